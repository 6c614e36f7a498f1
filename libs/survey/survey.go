// Package survey is what somebody answered to a survey, in one form for all
// vendors. A survey connector's record has it as its body; it is of class
// survey, so it is sealed and told to nobody who may not see answers.
//
//	vendor ──► connector ──► Response ──(linked to the employee)──► facts
//
// Who answered is only as sure as the vendor makes it: fields in a link can be
// changed by whoever opens it. Until it is linked a response names nobody.
package survey

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"github.com/muster-hr/muster/libs/fault"
)

// Kind is what sort of answer it is, and so what its value is.
type Kind string

// The kinds, with the JSON of their values.
const (
	Scale   Kind = "scale"   // number between min and max, where these are known
	ENPS    Kind = "enps"    // number from 0 to 10
	Choice  Kind = "choice"  // text
	Choices Kind = "choices" // list of texts
	Number  Kind = "number"  // number
	YesNo   Kind = "yes_no"  // true, false
	Date    Kind = "date"    // YYYY-MM-DD
	Text    Kind = "text"    // text
)

// Response is one sheet of answers. What was not answered is absent: 0 and
// false are answers.
type Response struct {
	Survey      string            `json:"survey"`          // the vendor's id of the survey
	Cycle       string            `json:"cycle,omitempty"` // of a survey that is repeated under one id
	Response    string            `json:"response"`        // the vendor's id of the response; never changes
	SubmittedAt time.Time         `json:"submitted_at"`
	Anonymous   bool              `json:"anonymous"`            // nothing in it says who answered
	Employee    string            `json:"employee,omitempty"`   // our id, once linked; never set by a connector
	Respondent  *Respondent       `json:"respondent,omitempty"` // who the vendor says it was
	Answers     []Answer          `json:"answers"`
	Scores      map[string]any    `json:"scores,omitempty"` // numbers that the vendor reckoned
	Custom      map[string]any    `json:"custom,omitempty"`
	Hidden      map[string]string `json:"hidden,omitempty"` // fields that came with the link, as they came
}

// Respondent has one of its fields set.
type Respondent struct {
	ExternalID     string `json:"external_id,omitempty"` // an id of the person that the company put into the link
	Email          string `json:"email,omitempty"`
	EmployeeNumber string `json:"employee_number,omitempty"`
}

// Answer is the answer to one question.
type Answer struct {
	Question string `json:"question"`       // an id that stays when the text is changed
	Text     string `json:"text,omitempty"` // the question as it was written, placeholders included
	Kind     Kind   `json:"kind"`
	Value    any    `json:"value"`
	Own      bool   `json:"own,omitempty"` // beside the choices that were given: somebody's own words are in the value
	Comment  string `json:"comment,omitempty"`
	Min      *int   `json:"min,omitempty"` // ends of a scale
	Max      *int   `json:"max,omitempty"`
}

// Parse reads the body of a survey connector's record. A body without survey,
// response or time is the record's fault: it is not a response, or one that
// the connector could not read and handed on as it was.
func Parse(body []byte) (Response, error) {
	var r Response
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	err := d.Decode(&r)
	path := ""
	switch {
	case err != nil:
	case r.Survey == "":
		path = "survey"
	case r.Response == "":
		path = "response"
	case r.SubmittedAt.IsZero():
		path = "submitted_at"
	default:
		return r, nil
	}
	// The decoder's own text may quote the body.
	return Response{}, &fault.Error{Class: fault.Record, Reason: "survey", Path: path, Err: errors.New("the record is not a response to a survey")}
}
