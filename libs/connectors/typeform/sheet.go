package typeform

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/survey"
)

// sheet is one response, as a webhook sends it and as the API lists it. The API
// has no form_id and no definition; answers may be null there.
type sheet struct {
	FormID      string                     `json:"form_id"`
	Token       string                     `json:"token"`
	Type        string                     `json:"response_type"` // API only
	LandedAt    string                     `json:"landed_at"`
	SubmittedAt string                     `json:"submitted_at"`
	Hidden      map[string]json.RawMessage `json:"hidden"`
	Calculated  struct {
		Score json.Number `json:"score"`
	} `json:"calculated"`
	Variables []struct {
		Key    string      `json:"key"`
		Type   string      `json:"type"`
		Number json.Number `json:"number"`
		Text   string      `json:"text"`
	} `json:"variables"`
	Definition struct {
		Title  string     `json:"title"`
		Fields []question `json:"fields"`
	} `json:"definition"`
	Answers  []answer `json:"answers"`
	Metadata struct {
		Referer string `json:"referer"`
	} `json:"metadata"`
}

// question is a field of a form's definition; groups have questions in them.
type question struct {
	ID         string `json:"id"`
	Title      string `json:"title"`
	Properties struct {
		Steps      int        `json:"steps"`
		StartAtOne bool       `json:"start_at_one"`
		Fields     []question `json:"fields"`
	} `json:"properties"`
}

// answer is a tagged union: its type names the member that has the value.
type answer struct {
	Type  string
	Value json.RawMessage
	Field struct {
		ID   string `json:"id"`
		Ref  string `json:"ref"`
		Type string `json:"type"`
	}
}

// UnmarshalJSON takes the value from the member that type names.
func (a *answer) UnmarshalJSON(raw []byte) error {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		return err
	}
	if err := json.Unmarshal(m["type"], &a.Type); err != nil || a.Type == "" {
		return errors.New("an answer has no type")
	}
	if err := json.Unmarshal(m["field"], &a.Field); err != nil {
		return errors.New("an answer has no field")
	}
	a.Value = m[a.Type]
	return nil
}

// What a hidden field can hold.
const (
	byExternalID = "external_id"
	byNumber     = "employee_number"
	byEmail      = "email"
)

// reader makes records of sheets.
type reader struct {
	respondent map[string]string // hidden field → what it holds
	emailRef   string
	enps       string
	scales     map[string][2]int
}

func newReader(a connector.Account) (reader, error) {
	r := reader{respondent: a.Table("respondent"), emailRef: a.Text("email_question"), enps: a.Text("enps"), scales: map[string][2]int{}}
	if r.respondent == nil {
		r.respondent = defaultRespondent
	}
	for name, holds := range r.respondent {
		if holds != byExternalID && holds != byNumber && holds != byEmail {
			return r, fmt.Errorf("typeform: respondent.%s is %q: write %s, %s or %s", name, holds, byExternalID, byNumber, byEmail)
		}
	}
	for ref, ends := range a.Table("scales") {
		low, high, _ := strings.Cut(ends, "-")
		from, errFrom := strconv.Atoi(strings.TrimSpace(low))
		to, errTo := strconv.Atoi(strings.TrimSpace(high))
		if errFrom != nil || errTo != nil || from >= to {
			return r, fmt.Errorf("typeform: scales.%s is %q: write its ends, as in 1-5", ref, ends)
		}
		r.scales[ref] = [2]int{from, to}
	}
	return r, nil
}

// record makes a record of a sheet. at is where the sheet stands, for errors.
func (r reader) record(s sheet, at string) (connector.Record, error) {
	if s.Token == "" {
		return connector.Record{}, unreadable(at+"token", "the response has no token")
	}
	when, err := time.Parse(time.RFC3339, s.SubmittedAt)
	if err != nil || when.Year() < 2000 { // the year 1 stands for "not known"
		return connector.Record{}, unreadable(at+"submitted_at", "the response was not submitted at a time")
	}
	out := survey.Response{
		Survey: s.FormID, Response: s.Token, SubmittedAt: when.UTC(),
		Answers: []survey.Answer{}, Scores: map[string]any{}, Custom: map[string]any{}, Hidden: s.hidden(),
	}
	if s.Calculated.Score != "" {
		out.Scores["total"] = s.Calculated.Score
	}
	for _, v := range s.Variables {
		switch {
		case v.Key == "" || v.Key == "score": // the same as calculated.score
		case v.Type == "number" && v.Number == "": // nothing is not 0
		case v.Type == "number":
			out.Custom[v.Key] = v.Number
		default:
			out.Custom[v.Key] = v.Text
		}
	}
	if s.Definition.Title != "" {
		out.Custom["survey_title"] = s.Definition.Title
	}
	asked := map[string]question{}
	index(asked, s.Definition.Fields)
	for i, a := range s.Answers {
		one, err := r.answer(a, asked[a.Field.ID])
		if err != nil {
			return connector.Record{}, unreadable(fmt.Sprintf("%sanswers[%d].%s", at, i, safe(a.Type)), err.Error())
		}
		if one.Kind == survey.ENPS {
			out.Scores["enps"] = one.Value
		}
		out.Answers = append(out.Answers, one)
	}
	out.Respondent = r.whose(s, out.Hidden)
	out.Anonymous = out.Respondent == nil
	body, err := json.Marshal(out)
	if err != nil {
		return connector.Record{}, unreadable(at+"answers", "the response holds a value that cannot be written as JSON")
	}
	return connector.Record{
		Kind: connector.KindRecord, Key: s.Token, Event: eventResponse, ID: hash(s.Token),
		Version: connector.Version{Scale: connector.ScaleTime, Value: when.UTC().Format(time.RFC3339Nano)}, Body: body,
	}, nil
}

// index finds questions by id, those in groups too.
func index(into map[string]question, qs []question) {
	for _, q := range qs {
		into[q.ID] = q
		index(into, q.Properties.Fields)
	}
}

// hidden are the fields of the link. Typeform sends texts.
func (s sheet) hidden() map[string]string {
	out := map[string]string{}
	for name, raw := range s.Hidden {
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = string(bytes.TrimSpace(raw))
		}
		if text = strings.TrimSpace(text); text != "" && text != "null" {
			out[name] = text
		}
	}
	return out
}

// whose is who answered, as far as the sheet says so: an id before a number
// before an e-mail, and hidden fields before an answer.
func (r reader) whose(s sheet, hidden map[string]string) *survey.Respondent {
	said := map[string]string{}
	for name, holds := range r.respondent {
		if v := hidden[name]; v != "" && (said[holds] == "" || v < said[holds]) { // two fields of one kind: always the same one
			said[holds] = v
		}
	}
	switch {
	case said[byExternalID] != "":
		return &survey.Respondent{ExternalID: said[byExternalID]}
	case said[byNumber] != "":
		return &survey.Respondent{EmployeeNumber: said[byNumber]}
	case said[byEmail] != "":
		return &survey.Respondent{Email: said[byEmail]}
	}
	for _, a := range s.Answers {
		var mail string
		if r.emailRef != "" && a.Type == "email" && (a.Field.Ref == r.emailRef || a.Field.ID == r.emailRef) && json.Unmarshal(a.Value, &mail) == nil && mail != "" {
			return &survey.Respondent{Email: mail}
		}
	}
	return nil
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

// safe is a type's word if it looks like one: it goes into an error.
func safe(word string) string {
	if word == "" || len(word) > 20 || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return "value"
	}
	return word
}
