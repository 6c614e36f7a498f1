package record

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/internal/appendjson"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// Outcomes of an attempt. Intended is not one yet: it stands before a call that
// is not safe to repeat, until the outcome replaces it.
const (
	OutcomeIntended    = "intended"
	OutcomeApplied     = "applied"
	OutcomeUnchanged   = "unchanged"
	OutcomeAccepted    = "accepted"
	OutcomeFailed      = "failed" // this attempt; another follows
	OutcomeParked      = "parked"
	OutcomeHeld        = "held" // nothing was sent, a person decides
	OutcomeDead        = "dead"
	OutcomeDiscarded   = "discarded"
	OutcomeInterrupted = "interrupted"
)

// Delivery is one attempt at one target for one employee, and at the same time
// the memory of the target: every message repeats what is needed to go on.
type Delivery struct {
	Target      string    `json:"target"`
	Integration string    `json:"integration,omitempty"`
	Employee    string    `json:"employee"`
	Event       string    `json:"event"` // ce-id of the change behind it
	Type        string    `json:"type,omitempty"`
	Version     uint64    `json:"version"` // the employee's version it is about
	Attempt     int       `json:"attempt"`
	Outcome     string    `json:"outcome"`
	Class       string    `json:"class,omitempty"`
	Reason      string    `json:"reason,omitempty"`
	Path        string    `json:"path,omitempty"`
	Rule        string    `json:"rule,omitempty"`
	Fields      []string  `json:"fields,omitempty"` // canonical patterns that were sent
	Superseded  []uint64  `json:"superseded,omitempty"`
	Purpose     string    `json:"purpose,omitempty"`
	LegalBasis  string    `json:"legal_basis,omitempty"`
	Processor   string    `json:"processor,omitempty"`
	Config      string    `json:"config"`
	At          time.Time `json:"at"`
	AcceptedAt  time.Time `json:"accepted_at"`
	TookMS      int64     `json:"took_ms,omitempty"`
	Trace       string    `json:"trace,omitempty"` // traceparent of the attempt, for the next one to link to

	Done      uint64    `json:"done"`               // highest version that needs nothing more
	Digest    string    `json:"digest,omitempty"`   // of what was applied last
	Status    string    `json:"status,omitempty"`   // employment.status applied last, if the target may know it
	Uncertain time.Time `json:"uncertain,omitzero"` // since when a write may have happened that nobody confirmed
	Left      bool      `json:"left,omitempty"`     // no integration covered the employee any more, and on_leave was followed

	WaitsFor []string          `json:"waits_for,omitempty"` // our ids of those whom the body applied last should name and the target did not know
	Named    map[string]string `json:"named,omitempty"`     // whom it names: HMAC of the name, by our id

	File   int64    `json:"file,omitempty"`   // number of the file that the change went in
	Staged []Staged `json:"staged,omitempty"` // what goes in files and is not at its end, in order

	Refs  map[string]string `json:"-"` // the connector's own ids, sealed
	Tried *Tried            `json:"-"` // while a write is uncertain: as whom or what the person may be there now, sealed
	Body  map[string]any    `json:"-"` // what was applied last, sealed; of a target that takes files what is staged for it too
}

// Tried is what a write was begun with that may have arrived, of several one
// over the other: the person may have changed since.
type Tried struct {
	Body  map[string]any  `json:"body"`
	Match connector.Match `json:"match"`
}

type sealedDelivery struct {
	Refs   map[string]string `json:"refs,omitempty"`
	Body   map[string]any    `json:"body,omitempty"`
	Tried  *Tried            `json:"tried,omitempty"`
	Staged []sealedStaged    `json:"staged,omitempty"`
}

// sealed writes a sealed part, and nothing if there is nothing in it.
func (s *sealedDelivery) sealed(b []byte) ([]byte, error) {
	if s.Refs == nil && s.Body == nil && s.Tried == nil && s.Staged == nil {
		return b, nil
	}
	o := appendjson.Into(b)
	o.SomeTextMap("refs", s.Refs)
	if len(s.Body) > 0 {
		o.Value("body", s.Body)
	}
	if s.Tried != nil {
		o.Value("tried", s.Tried)
	}
	if len(s.Staged) > 0 {
		o.Value("staged", s.Staged)
	}
	return o.Bytes()
}

// head writes the head, in the order of the fields.
func (d *Delivery) head(b []byte) ([]byte, error) {
	o := appendjson.Into(b)
	o.Text("target", d.Target)
	o.SomeText("integration", d.Integration)
	o.Text("employee", d.Employee)
	o.Text("event", d.Event)
	o.SomeText("type", d.Type)
	o.Uint("version", d.Version)
	o.Int("attempt", int64(d.Attempt))
	o.Text("outcome", d.Outcome)
	o.SomeText("class", d.Class)
	o.SomeText("reason", d.Reason)
	o.SomeText("path", d.Path)
	o.SomeText("rule", d.Rule)
	o.SomeTexts("fields", d.Fields)
	if len(d.Superseded) > 0 {
		o.Value("superseded", d.Superseded)
	}
	o.SomeText("purpose", d.Purpose)
	o.SomeText("legal_basis", d.LegalBasis)
	o.SomeText("processor", d.Processor)
	o.Text("config", d.Config)
	o.Time("at", d.At)
	o.Time("accepted_at", d.AcceptedAt)
	o.SomeInt("took_ms", d.TookMS)
	o.SomeText("trace", d.Trace)
	o.Uint("done", d.Done)
	o.SomeText("digest", d.Digest)
	o.SomeText("status", d.Status)
	o.SomeTime("uncertain", d.Uncertain)
	o.True("left", d.Left)
	o.SomeTexts("waits_for", d.WaitsFor)
	o.SomeTextMap("named", d.Named)
	o.SomeInt("file", d.File)
	if len(d.Staged) > 0 {
		o.Value("staged", d.Staged)
	}
	return o.Bytes()
}

// Deliver packs an attempt. With restricted its body is sealed as such.
func (c Codec) Deliver(ctx context.Context, d Delivery, restricted bool) (Message, error) {
	room := newDraft()
	defer room.done()
	head, err := room.add(d.head)
	if err != nil {
		return Message{}, err
	}
	env := seal.Envelope{Head: head}
	basic, staged := sealedDelivery{Refs: d.Refs}, sealStaged(d.Staged)
	if restricted {
		closed := sealedDelivery{Body: d.Body, Tried: d.Tried, Staged: staged}
		if env.Restricted, err = room.add(closed.sealed); err != nil {
			return Message{}, err
		}
	} else {
		basic.Body, basic.Tried, basic.Staged = d.Body, d.Tried, staged
	}
	if env.Basic, err = room.add(basic.sealed); err != nil {
		return Message{}, err
	}
	typ := event.DeliveryCompletedV1
	if d.Outcome == OutcomeIntended {
		typ = event.DeliveryIntendedV1
	}
	id := c.Sealer.Token("delivery", d.Target, d.Employee, d.Event, d.Outcome, strconv.Itoa(d.Attempt), d.At.Format(time.RFC3339Nano))
	data, err := c.Sealer.Seal(ctx, d.Employee, id+"|"+typ, env)
	if err != nil {
		return Message{}, err
	}
	return Message{topology.DeliveredTo(d.Target, d.Employee), event.New(id, "/muster/"+c.Company+"/delivery-"+d.Target, typ, data)}, nil
}

// OpenDelivery opens what Deliver packed; restricted as there.
func (c Codec) OpenDelivery(ctx context.Context, id string, e event.Event, restricted bool) (Delivery, error) {
	parts := []seal.Part{seal.Basic}
	if restricted {
		parts = append(parts, seal.Restricted)
	}
	var d Delivery
	env, err := c.Sealer.Open(ctx, id, e.ID()+"|"+e.Type(), e.Data(), parts...)
	if err != nil {
		return d, foreign(err)
	}
	if err := decode("head", e.Type(), env.Head, &d); err != nil {
		return d, foreign(err)
	}
	for _, part := range [][]byte{env.Basic, env.Restricted} {
		if part == nil {
			continue
		}
		var s sealedDelivery
		numbers := json.NewDecoder(bytes.NewReader(part))
		numbers.UseNumber() // so that a body compares as it was written
		if err := numbers.Decode(&s); err != nil {
			return d, foreign(fmt.Errorf("sealed part of %s %w", e.Type(), errForm))
		}
		if s.Refs != nil {
			d.Refs = s.Refs
		}
		if s.Body != nil {
			d.Body = s.Body
		}
		if s.Tried != nil {
			d.Tried = s.Tried
		}
		if err := openStaged(d.Staged, s.Staged); err != nil {
			return d, foreign(fmt.Errorf("sealed part of %s: %w", e.Type(), err))
		}
	}
	return d, nil
}
