package record

import (
	"context"
	"encoding/json"
	"time"

	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// DeadLetter is something given up: a person decides. The head names where and
// why, the sealed part holds what was given up.
type DeadLetter struct {
	Stage       string    `json:"stage"` // map or deliver
	Source      string    `json:"source,omitempty"`
	Integration string    `json:"integration,omitempty"`
	Target      string    `json:"target,omitempty"`
	Employee    string    `json:"employee,omitempty"`
	Event       string    `json:"event"` // ce-id of what was given up
	Version     uint64    `json:"version,omitempty"`
	Class       string    `json:"class"`
	Reason      string    `json:"reason"`
	Path        string    `json:"path,omitempty"`
	Rule        string    `json:"rule,omitempty"`
	Attempts    int       `json:"attempts"`
	At          time.Time `json:"at"`
	Config      string    `json:"config"`

	Key  string          `json:"-"` // of a record: the vendor's own, sealed
	Body json.RawMessage `json:"-"` // of a record: its bytes, sealed
}

// Bury packs a dead letter. owner is the employee id, or the key's token of a
// record that was not linked yet. Its id is derived, so burying twice is one.
func (c Codec) Bury(ctx context.Context, owner string, d DeadLetter) (Message, error) {
	head, err := json.Marshal(d)
	if err != nil {
		return Message{}, err
	}
	env := seal.Envelope{Head: head}
	typ, where := event.DeliveryRejectedV1, d.Target
	if d.Stage == topology.StageMap {
		typ, where = event.RecordRejectedV1, d.Source
		body := d.Body
		if !json.Valid(body) {
			body = json.RawMessage("null")
		}
		if env.Restricted, err = keyed(nil, d.Key, body); err != nil {
			return Message{}, err
		}
	}
	id := c.Sealer.Token("dead", d.Stage, where, owner, d.Event)
	data, err := c.Sealer.Seal(ctx, owner, id+"|"+typ, env)
	if err != nil {
		return Message{}, err
	}
	integration := d.Integration
	if integration == "" {
		integration = where
	}
	return Message{topology.DeadLetter(d.Stage, integration, owner, d.Event), event.New(id, "/muster/"+c.Company+"/"+d.Stage, typ, data)}, nil
}
