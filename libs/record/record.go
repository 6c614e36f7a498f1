// Package record is what stands in RAW and HINTS: records as vendors gave them,
// hints to look at a key, and the links that a delivery tells of.
//
// Until a record is mapped nobody knows whose it is or what classes it holds,
// so its vendor key and its bytes are sealed as restricted under the key's own
// token; hints and links hold no more than the key and are sealed as basic, so
// that who sends them needs no right to restricted keys. The head in the clear
// has what order and audit need.
package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// Received is a record as it was accepted.
type Received struct {
	Source     string            `json:"source"`
	Event      string            `json:"event,omitempty"` // the vendor's word
	Version    connector.Version `json:"version,omitzero"`
	Partial    bool              `json:"partial,omitempty"`
	Deleted    bool              `json:"deleted,omitempty"`
	AcceptedAt time.Time         `json:"accepted_at"`

	Key  string          `json:"-"` // the vendor's own, sealed
	Body json.RawMessage `json:"-"` // bytes intact, sealed
}

// Linked tells that one of our deliveries created or changed a person in an
// account that is also a source: the key is ours, not a stranger's.
type Linked struct {
	Source     string    `json:"source"`
	Employee   string    `json:"employee"`
	Target     string    `json:"target"`
	AcceptedAt time.Time `json:"accepted_at"`

	Key  string            `json:"-"` // sealed
	Sent map[string]string `json:"-"` // token of the value sent, by leaf; sealed
}

// Hint asks to read one key of an account.
type Hint struct {
	Account string    `json:"account"`
	Event   string    `json:"event,omitempty"`
	At      time.Time `json:"at"`

	Key string `json:"-"` // sealed
}

// Message is an event with the subject it belongs on.
type Message struct {
	Subject string
	Event   event.Event
}

// Codec packs and opens records of one company.
type Codec struct {
	Sealer  *seal.Sealer
	Company string
}

// Token stands for a vendor's key in subjects.
func (c Codec) Token(account, key string) string { return c.Sealer.Token("key", account, key) }

// Limit bounds the content of a message in bytes: what the server takes, 1 MiB,
// less what stands around it.
const Limit = 1<<20 - 16<<10

// Receive packs a connector's record. One that is larger than the bus takes is
// a fault of class Record. The id of the event is derived from what
// a repeat of the same message has equal, so a repeat has the same id.
func (c Codec) Receive(ctx context.Context, source string, r connector.Record, now time.Time) (Message, error) {
	d := newDraft()
	defer d.done()
	rec := Received{Source: source, Event: r.Event, Version: r.Version, Partial: r.Partial, Deleted: r.Deleted, AcceptedAt: now.UTC()}
	head, err := d.add(rec.head)
	if err != nil {
		return Message{}, err
	}
	body := r.Body
	if len(body) == 0 {
		body = json.RawMessage("null")
	}
	if !json.Valid(body) {
		return Message{}, fmt.Errorf("the record of %s is not JSON", source)
	}
	sealed, err := d.add(func(b []byte) ([]byte, error) { return keyed(b, r.Key, body) })
	if err != nil {
		return Message{}, err
	}
	if len(head)+len(sealed) > Limit {
		return Message{}, fault.New(fault.Record, "too_large", "the record of %s is larger than the bus takes", source)
	}
	return c.message(ctx, topology.RawRecord, source, r.Key,
		c.Sealer.Token("record", source, r.Key, r.ID), event.RecordReceivedV1, seal.Envelope{Head: head, Restricted: sealed})
}

// OpenReceived opens what Receive packed.
func (c Codec) OpenReceived(ctx context.Context, token string, e event.Event) (Received, error) {
	var r Received
	env, err := c.Sealer.Open(ctx, token, e.ID()+"|"+e.Type(), e.Data(), seal.Restricted)
	if err != nil {
		return r, foreign(err)
	}
	if r, err = readReceived(env.Head); err != nil {
		return r, foreign(fmt.Errorf("head of %s %w", e.Type(), err))
	}
	if r.Key, r.Body, err = openKeyed(env.Restricted); err != nil {
		return r, foreign(fmt.Errorf("sealed part of %s %w", e.Type(), err))
	}
	return r, nil
}

// Link packs the news that a delivery wrote to an account that is also a
// source. unique is derived from the delivery, so a repeat has the same id.
func (c Codec) Link(ctx context.Context, l Linked, unique string) (Message, error) {
	head, err := json.Marshal(l)
	if err != nil {
		return Message{}, err
	}
	sealed, err := json.Marshal(map[string]any{"key": l.Key, "sent": l.Sent})
	if err != nil {
		return Message{}, err
	}
	return c.message(ctx, topology.RawRecord, l.Source, l.Key,
		c.Sealer.Token("linked", l.Source, l.Key, unique), event.RecordLinkedV1, seal.Envelope{Head: head, Basic: sealed})
}

// OpenLinked opens what Link packed.
func (c Codec) OpenLinked(ctx context.Context, token string, e event.Event) (Linked, error) {
	var l Linked
	var sealed struct {
		Key  string            `json:"key"`
		Sent map[string]string `json:"sent"`
	}
	err := c.open(ctx, token, e, seal.Basic, &l, &sealed)
	l.Key, l.Sent = sealed.Key, sealed.Sent
	return l, err
}

// Ask packs a hint.
func (c Codec) Ask(ctx context.Context, account string, r connector.Record, now time.Time) (Message, error) {
	head, err := json.Marshal(Hint{Account: account, Event: r.Event, At: now.UTC()})
	if err != nil {
		return Message{}, err
	}
	sealed, err := json.Marshal(map[string]string{"key": r.Key})
	if err != nil {
		return Message{}, err
	}
	return c.message(ctx, topology.Hint, account, r.Key,
		c.Sealer.Token("hint", account, r.Key, r.ID), event.RecordHintedV1, seal.Envelope{Head: head, Basic: sealed})
}

// OpenHint opens what Ask packed.
func (c Codec) OpenHint(ctx context.Context, token string, e event.Event) (Hint, error) {
	var h Hint
	var sealed struct {
		Key string `json:"key"`
	}
	err := c.open(ctx, token, e, seal.Basic, &h, &sealed)
	h.Key = sealed.Key
	return h, err
}

func (c Codec) message(ctx context.Context, subject func(account, token string) string, account, key, id, typ string, env seal.Envelope) (Message, error) {
	token := c.Token(account, key)
	data, err := c.Sealer.Seal(ctx, token, id+"|"+typ, env)
	if err != nil {
		return Message{}, err
	}
	return Message{subject(account, token), event.New(id, "/muster/"+c.Company+"/"+account, typ, data)}, nil
}

// open opens one part of a message and decodes it and the head. What is not
// ours is a fault of class Record: it will never open.
func (c Codec) open(ctx context.Context, token string, e event.Event, part seal.Part, head, sealed any) error {
	env, err := c.Sealer.Open(ctx, token, e.ID()+"|"+e.Type(), e.Data(), part)
	if err != nil {
		return foreign(err)
	}
	plain := env.Basic
	if part == seal.Restricted {
		plain = env.Restricted
	}
	if err := decode("head", e.Type(), env.Head, head); err != nil {
		return foreign(err)
	}
	return foreign(decode("sealed part", e.Type(), plain, sealed))
}

var errForm = errors.New("is not of its form")

// decode keeps the decoder's own error out of the text, because it may quote a
// value.
func decode(what, typ string, data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s of %s %w", what, typ, errForm)
	}
	return nil
}

func foreign(err error) error {
	if errors.Is(err, seal.ErrForeign) || errors.Is(err, errForm) {
		return fault.New(fault.Record, "envelope", "%w", err)
	}
	return err
}
