package bamboohr

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"path"
	"reflect"
	"slices"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

// sink creates and updates employees. Its refs:
//
//	id      the vendor's id of the employee
//	our_id  the id that we wrote into our_id_field, so that it is written once
//	ended   the day of the end of the employment that we wrote, until it starts again
type sink struct {
	*client
	ourField    string
	terminated  string
	rehire      string
	overlap     time.Duration
	consistency time.Duration
	seen        *listings
}

func newSink(a connector.Account) (connector.Sink, error) {
	c, err := newClient(a)
	if err != nil {
		return nil, err
	}
	s := sink{
		client: c, ourField: a.Text("our_id_field"), overlap: overlap(a), consistency: a.Duration("consistency"), seen: &listings{},
		terminated: a.Text("terminated_label"), rehire: a.Text("rehire_label"),
	}
	if s.terminated == "" {
		s.terminated = "Terminated"
	}
	if s.rehire == "" {
		s.rehire = "Full-Time"
	}
	return s, nil
}

// Effects: a create has no idempotency key, so a lost answer needs a look.
func (s sink) Effects() connector.Effects {
	return connector.Effects{Idempotent: false, Consistency: s.consistency, StateLike: true}
}

// Apply updates the employee that the refs name, else creates one. The flat
// fields go in one call; the end of an employment, and its start again, is a
// row of the table employmentStatus.
func (s sink) Apply(ctx context.Context, d connector.Delivery, p connector.Progress) (connector.Receipt, error) {
	if d.Refs["id"] != "" {
		return s.update(ctx, d)
	}
	if leaves(d.Status) {
		// Never there: nobody is created only to leave.
		return connector.Receipt{Refs: d.Refs, Outcome: "unchanged", Sent: []string{}}, nil
	}
	refs, sent, err := s.create(ctx, d, p)
	if f := fault.Of(err); f != nil && f.Reason == "exists" {
		// Somebody has this e-mail. If it is our own lost create, go on with it.
		s.seen.drop(text(d.Body, "lastName")) // it does not know a create whose answer was lost
		own, _, findErr := s.search(ctx, d)
		if findErr != nil {
			return connector.Receipt{}, findErr
		}
		if len(own) == 1 {
			d.Refs, d.Before = s.refs(own[0], d.ID), nil
			return s.update(ctx, d)
		}
	}
	if err != nil {
		return connector.Receipt{Refs: refs, Key: refs["id"]}, err
	}
	return connector.Receipt{Refs: refs, Key: refs["id"], Sent: sent}, nil
}

func (s sink) refs(id, ours string) connector.Refs {
	r := connector.Refs{"id": id}
	if s.ourField != "" {
		r["our_id"] = ours
	}
	return r
}

// create posts the body; the id is only in Location. An end that is known
// already is a second call, before which the id is saved.
func (s sink) create(ctx context.Context, d connector.Delivery, p connector.Progress) (connector.Refs, []string, error) {
	body := map[string]any{}
	for name, v := range d.Body {
		if v != nil && !isRowField(name) {
			body[name] = v
		}
	}
	sent := slices.Sorted(maps.Keys(body))
	for _, name := range []string{"firstName", "lastName"} {
		if v, _ := body[name].(string); v == "" {
			f := fault.New(fault.Record, "required", "BambooHR creates nobody without a first and a last name")
			f.Path = name
			return nil, nil, f
		}
	}
	if s.ourField != "" {
		body[s.ourField] = d.ID
	}
	a, err := s.do(ctx, call{method: http.MethodPost, path: "/employees", template: "/employees", json: body})
	if err != nil {
		return nil, nil, err
	}
	id := path.Base(a.Header.Get("Location"))
	if !isID(id) {
		// Created, but unknown as whom: the next attempt looks for it first.
		return nil, nil, fault.New(fault.Transient, "location", "the employee was created, and the answer does not say with which id")
	}
	refs := s.refs(id, d.ID)
	s.seen.add(text(d.Body, "lastName"), listed{
		id: id, given: text(d.Body, "firstName"), looked: true, ours: refs["our_id"], identity: identity{text(d.Body, "workEmail"), text(d.Body, "employeeNumber")},
	})
	if text(d.Body, "terminationDate") == "" {
		return refs, sent, nil
	}
	if p != nil {
		if err := p(ctx, maps.Clone(refs)); err != nil {
			return refs, nil, fmt.Errorf("save the id of the new employee: %w", err)
		}
	}
	row, err := s.spell(ctx, d, refs)
	return refs, append(sent, row...), err
}

// update sends the fields and the row of the employment. An end goes first: a
// field that is refused must not keep anybody employed.
func (s sink) update(ctx context.Context, d connector.Delivery) (connector.Receipt, error) {
	id := d.Refs["id"]
	if !isID(id) {
		return connector.Receipt{}, fault.New(fault.Record, "refs", "the saved id is not one of BambooHR")
	}
	receipt := connector.Receipt{Refs: maps.Clone(d.Refs), Key: id, Outcome: "unchanged", Sent: []string{}}
	steps := []func(context.Context, connector.Delivery, connector.Refs) ([]string, error){s.fields, s.spell}
	if leaves(d.Status) {
		slices.Reverse(steps)
	}
	for _, step := range steps {
		sent, err := step(ctx, d, receipt.Refs)
		if err != nil {
			return connector.Receipt{}, err
		}
		if sent != nil {
			receipt.Outcome, receipt.Sent = "", append(receipt.Sent, sent...)
		}
	}
	return receipt, nil
}

// fields sends what differs from the body that was applied last; all of it if
// that is not known. A field that the body does not have is not touched, one
// with null is emptied. It gives the fields of the body that were sent, nil if
// nothing was to be done, and keeps refs["our_id"].
func (s sink) fields(ctx context.Context, d connector.Delivery, refs connector.Refs) ([]string, error) {
	changed := map[string]any{}
	for name, v := range d.Body {
		if isRowField(name) {
			continue
		}
		if before, known := d.Before[name]; d.Before == nil || !known || !same(before, v) {
			if v == nil {
				v = ""
			}
			changed[name] = v
		}
	}
	sent := slices.AppendSeq([]string{}, maps.Keys(changed))
	slices.Sort(sent)
	if s.ourField != "" && refs["our_id"] != d.ID {
		changed[s.ourField] = d.ID
	}
	if len(changed) == 0 {
		return nil, nil
	}
	_, err := s.do(ctx, call{method: http.MethodPost, path: "/employees/" + refs["id"], template: "/employees/{id}", json: changed, person: true})
	if err != nil {
		return nil, err
	}
	if s.ourField != "" {
		refs["our_id"] = d.ID
	}
	return sent, nil
}

func text(body map[string]any, name string) string {
	s, _ := body[name].(string)
	return s
}

// same compares as JSON: what was saved comes back with other Go types.
func same(a, b any) bool {
	if reflect.DeepEqual(a, b) {
		return true
	}
	x, errX := encode(a)
	y, errY := encode(b)
	return errX == nil && errY == nil && string(x) == string(y)
}
