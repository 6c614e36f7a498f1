package record

import (
	"context"
	"encoding/json"
	"time"

	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/survey"
	"github.com/muster-hr/muster/libs/topology"
)

// Whose a response is.
const (
	AnswersLinked    = "linked"
	AnswersUnlinked  = "unlinked"  // it names somebody whom nobody is known by, or two people
	AnswersAnonymous = "anonymous" // it names nobody, and nobody is looked for
)

// Answered is a response to a survey with what is known of who gave it. The
// newest message on its subject is what holds; there is another only when a
// response that was unlinked found its employee.
type Answered struct {
	Source      string    `json:"source"`
	Survey      string    `json:"survey"` // the vendor's id
	Status      string    `json:"status"`
	Employee    string    `json:"employee,omitempty"`
	LinkedBy    string    `json:"linked_by,omitempty"` // id, external_id, employee_number or email
	Awaits      []string  `json:"awaits,omitempty"`    // of an unlinked one: tokens by which its employee may become known
	Event       string    `json:"event"`               // ce-id of the record
	Raw         uint64    `json:"raw"`                 // RAW sequence of the record
	SubmittedAt time.Time `json:"submitted_at"`
	AcceptedAt  time.Time `json:"accepted_at"`
	Config      string    `json:"config"`

	Body json.RawMessage `json:"-"` // the response as the connector gave it, sealed
}

// owner is under whose keys a response is sealed: the employee's, so that
// erasing them takes the answers along, else those of the record.
func (a Answered) owner(token string) string {
	if a.Employee != "" {
		return a.Employee
	}
	return token
}

// Answer packs a response. token stands for the vendor's id of it.
func (c Codec) Answer(ctx context.Context, token string, a Answered) (Message, error) {
	head, err := json.Marshal(a)
	if err != nil {
		return Message{}, err
	}
	id := c.Sealer.Token("answered", a.Event, a.Employee)
	data, err := c.Sealer.Seal(ctx, a.owner(token), id+"|"+event.SurveyResponseReceivedV1, seal.Envelope{Head: head, Restricted: a.Body})
	if err != nil {
		return Message{}, err
	}
	return Message{topology.Survey(a.Survey, token), event.New(id, "/muster/"+c.Company+"/transform", event.SurveyResponseReceivedV1, data)}, nil
}

// OpenAnswered opens what Answer packed. The response names its employee.
func (c Codec) OpenAnswered(ctx context.Context, token string, e event.Event) (Answered, survey.Response, error) {
	a, err := AnsweredHead(e)
	if err != nil {
		return a, survey.Response{}, err
	}
	env, err := c.Sealer.Open(ctx, a.owner(token), e.ID()+"|"+e.Type(), e.Data(), seal.Restricted)
	if err != nil {
		return a, survey.Response{}, foreign(err)
	}
	a.Body = env.Restricted
	r, err := survey.Parse(a.Body)
	r.Employee = a.Employee
	return a, r, err
}

// AnsweredHead reads the clear head alone; it needs no key.
func AnsweredHead(e event.Event) (Answered, error) {
	var a Answered
	head, err := seal.Head(e.Data())
	if err != nil {
		return a, foreign(err)
	}
	return a, foreign(decode("head", e.Type(), head, &a))
}
