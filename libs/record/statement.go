package record

import (
	"context"
	"encoding/json"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/internal/appendjson"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// Status of a statement.
const (
	StatusApplied   = "applied"   // merged into an employee, which changed
	StatusUnchanged = "unchanged" // merged, nothing differed
	StatusWaiting   = "waiting"   // an unknown key of an account that is also a target: link_wait
	StatusReview    = "review"    // a match that a person must confirm
	StatusLinked    = "linked"    // known through our own delivery, nothing read yet
)

// Conflict is a field that a source may not set, with the rule that decided.
type Conflict struct {
	Path   string `json:"path"`
	Rule   string `json:"rule"`
	Winner string `json:"winner,omitempty"` // the source whose value stands
}

// Statement is what one source says now about one key.
type Statement struct {
	Source     string            `json:"source"`
	Employee   string            `json:"employee,omitempty"` // "" until linked
	Status     string            `json:"status"`
	Version    connector.Version `json:"version,omitzero"`
	Event      string            `json:"event"` // ce-id of the record
	Word       string            `json:"word,omitempty"`
	Raw        uint64            `json:"raw"` // RAW sequence of the record
	AcceptedAt time.Time         `json:"accepted_at"`
	StatedAt   time.Time         `json:"stated_at"`
	Conflicts  []Conflict        `json:"conflicts,omitempty"`
	Seen       []string          `json:"seen,omitempty"` // records without a version already taken, newest last
	Sent       map[string]string `json:"sent,omitempty"` // what we last wrote there ourselves: HMAC by leaf
	Config     string            `json:"config"`

	Key      string            `json:"-"` // the vendor's own, sealed
	Whole    json.RawMessage   `json:"-"` // the last whole record, sealed
	Partials []json.RawMessage `json:"-"` // partial ones since, sealed
}

type sealedStatement struct {
	Key      string            `json:"key"`
	Whole    json.RawMessage   `json:"whole,omitempty"`
	Partials []json.RawMessage `json:"partials,omitempty"`
}

// State packs a statement for its subject under PEOPLE.
func (c Codec) State(ctx context.Context, token string, s Statement) (Message, error) {
	d := newDraft()
	defer d.done()
	head, err := d.add(s.head)
	if err != nil {
		return Message{}, err
	}
	sealed, err := d.add(s.sealed)
	if err != nil {
		return Message{}, err
	}
	id := c.Sealer.Token("stated", s.Event, s.Status)
	data, err := c.Sealer.Seal(ctx, token, id+"|"+event.RecordStatedV1, seal.Envelope{Head: head, Restricted: sealed})
	if err != nil {
		return Message{}, err
	}
	return Message{topology.Said(s.Source, token), event.New(id, "/muster/"+c.Company+"/transform", event.RecordStatedV1, data)}, nil
}

// sealed writes the sealed part: the vendor's bytes stay as they are.
func (s *Statement) sealed(b []byte) ([]byte, error) {
	o := appendjson.Into(b)
	o.Text("key", s.Key)
	o.SomeRaw("whole", s.Whole)
	if s.Partials != nil {
		o.Add("partials", func(b []byte) ([]byte, error) {
			return appendjson.List(b, s.Partials, func(b []byte, p json.RawMessage) ([]byte, error) { return append(b, p...), nil })
		})
	}
	return o.Bytes()
}

// head writes the head, in the order of the fields.
func (s *Statement) head(b []byte) ([]byte, error) {
	o := appendjson.Into(b)
	o.Text("source", s.Source)
	o.SomeText("employee", s.Employee)
	o.Text("status", s.Status)
	someVersion(&o, s.Version)
	o.Text("event", s.Event)
	o.SomeText("word", s.Word)
	o.Uint("raw", s.Raw)
	o.Time("accepted_at", s.AcceptedAt)
	o.Time("stated_at", s.StatedAt)
	if len(s.Conflicts) > 0 {
		o.Add("conflicts", func(b []byte) ([]byte, error) { return appendjson.List(b, s.Conflicts, encodeConflict) })
	}
	o.SomeTexts("seen", s.Seen)
	o.SomeTextMap("sent", s.Sent)
	o.Text("config", s.Config)
	return o.Bytes()
}

func encodeConflict(b []byte, c Conflict) ([]byte, error) {
	o := appendjson.Into(b)
	o.Text("path", c.Path)
	o.Text("rule", c.Rule)
	o.SomeText("winner", c.Winner)
	return o.Bytes()
}

// OpenStatement opens what State packed.
func (c Codec) OpenStatement(ctx context.Context, token string, e event.Event) (Statement, error) {
	var s Statement
	var sealed sealedStatement
	err := c.open(ctx, token, e, seal.Restricted, &s, &sealed)
	s.Key, s.Whole, s.Partials = sealed.Key, sealed.Whole, sealed.Partials
	return s, err
}

// StatementHead reads the clear head alone; it needs no key.
func StatementHead(e event.Event) (Statement, error) {
	var s Statement
	head, err := seal.Head(e.Data())
	if err != nil {
		return s, foreign(err)
	}
	return s, foreign(decode("head", e.Type(), head, &s))
}
