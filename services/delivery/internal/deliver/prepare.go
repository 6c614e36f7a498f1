package deliver

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
)

// job is one delivery, prepared: minimised, mapped, with what was known before.
type job struct {
	mem         *record.Delivery // what the next message repeats; changed as the job goes on
	integration *config.Integration
	delivery    connector.Delivery
	leaves      employee.Flat // what may be sent, by canonical leaf
	digest      string
	event       bool
	unsure      bool              // a process before us may have written a version in between and died before it said so
	left        bool              // no integration covers the employee any more
	held        bool              // and a person decides what becomes of the account
	kept        bool              // and it stays as it is
	idle        bool              // nothing is to be sent, but the record goes on
	owed        bool              // the target knows somebody by now whom the body before does not name as it should
	again       bool              // that alone is the reason
	waits       []string          // our ids of those whom the body leaves out
	named       map[string]string // and of those whom it names, see record.Delivery
	begun       time.Time
	durable     func(context.Context) error // waits for the outcome, if the lane need not
}

// prepare selects, minimises and maps. It is false when this target has
// nothing to do with the change.
func (d *Deliverer) prepare(ctx context.Context, j *job, in bus.In, h employee.Head) (ok bool, err error) {
	parts := []seal.Part{seal.Basic}
	if d.restricted {
		parts = append(parts, seal.Restricted)
	}
	env, err := d.Codec.Sealer.Open(ctx, h.ID, in.Event.ID()+"|"+in.Event.Type(), in.Event.Data(), parts...)
	if errors.Is(err, seal.ErrNoKey) {
		return false, nil // erased
	}
	if err != nil {
		return false, err
	}
	s, err := d.decode(h, env)
	if err != nil {
		return false, fault.New(fault.Record, "state", "version %d of the employee: %w", h.Version, err)
	}
	m := j.mem
	now := d.Clock.Now().In(d.Company.Zone) // `today` in a condition or mapping is a calendar day there
	if j.integration, j.left, err = d.choose(s, m, now); err != nil || j.integration == nil {
		return false, err
	}
	i := j.integration
	m.Integration, m.Purpose, m.LegalBasis, m.Processor = i.Name, i.Purpose, i.LegalBasis, i.Processor
	refs := d.refs(m, s) // before minimise: the key of the account need not be among what may be sent
	j.leaves = d.minimise(s, i)
	m.Fields = employee.Patterns(slices.AppendSeq(make([]string, 0, len(j.leaves)), maps.Keys(j.leaves)))
	status, _ := j.leaves["employment.status"].(string)
	if j.left {
		switch i.OnLeave {
		case config.OnLeaveKeep:
			if m.Left {
				return false, nil // said once
			}
			j.kept, m.Fields = true, nil
			return true, nil
		case config.OnLeaveHold:
			j.held, status = true, m.Status
		default:
			status = employee.Terminated
			if m.Left && m.Status == status && m.Uncertain.IsZero() { // it was shut: nothing more about the person goes there
				j.idle, m.Fields = true, nil
				return !d.event, nil
			}
		}
	}
	changed := slices.DeleteFunc(slices.Clone(h.Changed), func(p string) bool {
		return !d.allow[i.Name].Touches(p)
	})
	if d.event && len(changed) == 0 && m.Done > 0 && status == m.Status && !j.held && !j.owed && m.Left == j.left {
		// Who waits for somebody may not fall behind, see again.
		j.idle, m.Fields = true, nil
		return len(m.WaitsFor)+len(m.Named) > 0, nil
	}
	body, err := d.body(ctx, s, in, j, status, now)
	if err == nil && len(j.waits) > 0 && !j.left && i.Mode != config.ModeShadow {
		var come bool
		if come, err = d.await(ctx, h.ID, j.waits); err == nil && come {
			body, err = d.body(ctx, s, in, j, status, now)
		}
	}
	if err != nil {
		return false, err
	}
	if j.digest, err = d.Codec.Digest(d.Target.Name, body, status); err != nil {
		return false, err
	}
	j.delivery = connector.Delivery{
		ID: h.ID, Event: in.Event.ID(), Type: in.Event.Type(), Version: h.Version, Previous: m.Done, Status: status, Was: m.Status,
		Body: body, Before: m.Body, Refs: refs, Match: match(j.leaves), Changed: changed, Since: m.Uncertain,
	}
	if !j.event && m.Body != nil { // what was applied last need not be what is there, see doubt.go
		if m.Tried != nil {
			j.delivery.Before = perhaps(m.Body, m.Tried.Body, body)
		}
		if j.unsure || m.Tried == nil && !m.Uncertain.IsZero() {
			j.delivery.Before = unlike(j.delivery.Before, body)
		}
	}
	if j.again { // what differs is a manager's name there, and an idempotency key must not be that of the call before
		j.delivery.Event = d.Codec.Sealer.Token("again", d.Target.Name, in.Event.ID(), j.digest)
		j.delivery.Type, j.delivery.Changed = d.typ(j, in), []string{employee.ManagerPattern}
	}
	return true, nil
}

// decode reads what is needed of a person here.
func (d *Deliverer) decode(h employee.Head, env seal.Envelope) (*employee.State, error) {
	if d.Target.Source != "" { // where each value came from matters
		return employee.DecodeState(h, env.Basic, env.Restricted)
	}
	return employee.DecodeFields(h, env.Basic, env.Restricted, d.needs)
}

// typ is the event type that a target is told. What an event-like one gets once
// more is an update, not a second hire.
func (d *Deliverer) typ(j *job, in bus.In) string {
	if d.event && j.again {
		return event.EmployeeUpdatedV1
	}
	return in.Event.Type()
}

// choose finds the integration that covers the employee. Somebody whom none
// covers any more, but who is at the target or may be, has left the one that
// brought them there.
func (d *Deliverer) choose(s *employee.State, mem *record.Delivery, now time.Time) (chosen *config.Integration, left bool, err error) {
	var tree employee.Tree // of the whole person; only conditions look at it
	for _, i := range d.integrations {
		holds := i.When == nil
		if !holds {
			if tree == nil {
				tree = s.Fields.Tree()
				tree["id"] = s.ID
			}
			if holds, err = i.When.Holds(tree, now); err != nil {
				return nil, false, err
			}
		}
		if holds {
			return i, false, nil
		}
	}
	there := mem.Digest != "" || len(mem.Refs) > 0 || !mem.Uncertain.IsZero()
	for _, i := range d.integrations {
		if there && i.Name == mem.Integration {
			return i, true, nil
		}
	}
	return nil, false, nil
}

// minimise leaves of a state what the allow-list names, without what came from
// this very account: a value is never sent back to where it came from. A
// manager who is not known by our id yet is another person's number or e-mail:
// it stays here. From then on the state has no more than may be sent.
func (d *Deliverer) minimise(s *employee.State, i *config.Integration) employee.Flat {
	allow := d.allow[i.Name]
	maps.DeleteFunc(s.Fields, func(leaf string, v any) bool {
		own := d.Target.Source != "" && s.Provenance[leaf].Source == d.Target.Source
		_, named := v.(map[string]any)
		return own || !allow.Has(leaf) || named && employee.Pattern(leaf) == employee.ManagerPattern
	})
	return s.Fields
}

func (d *Deliverer) body(ctx context.Context, s *employee.State, in bus.In, j *job, status string, now time.Time) (map[string]any, error) {
	tree := j.leaves.Tree()
	if j.integration.Mapping == nil {
		return tree, nil
	}
	j.named = nil
	var unread error
	body, flags, err := j.integration.Mapping.Body(tree, mapping.Input{
		Account: d.Target.Name, ID: s.ID, Type: d.typ(j, in), Status: status, Ref: func(id string) (string, bool) {
			name, err := d.named(ctx, id)
			if err != nil {
				unread = err
			}
			if name != "" {
				if j.named == nil {
					j.named = map[string]string{}
				}
				j.named[id] = d.nameToken(name)
			}
			return name, name != ""
		},
	}, now)
	if err == nil {
		err = unread
	}
	if err != nil {
		return nil, err
	}
	j.waits = flags.WaitsFor
	normal, _ := record.Normal(body).(map[string]any)
	return normal, nil
}

// refs are the connector's own; before its first outcome, the key under which
// the person is known to come from the same account.
func (d *Deliverer) refs(mem *record.Delivery, s *employee.State) connector.Refs {
	if len(mem.Refs) > 0 {
		return mem.Refs
	}
	if d.Target.Source == "" {
		return nil
	}
	keys, _ := s.Fields["external."+d.Target.Source].([]any)
	for _, k := range keys {
		if key, _ := k.(string); key != "" {
			return connector.Refs{"id": key}
		}
	}
	return nil
}

func match(leaves employee.Flat) connector.Match {
	text := func(leaf string) string { s, _ := leaves[leaf].(string); return s }
	return connector.Match{EmployeeNumber: text("employee_number"), WorkEmail: text("work_email"), Username: text("username")}
}

// same tells whether the target already has what the job would bring: the same
// event body, or for a state nothing that it does not have.
func (j *job) same() bool {
	if j.event {
		return j.mem.Digest == j.digest
	}
	if j.unsure || j.mem.Digest == "" || j.mem.Status != j.delivery.Status || !j.mem.Uncertain.IsZero() {
		return false
	}
	return contains(j.mem.Body, j.delivery.Body)
}

// contains tells whether every value of part stands in whole.
func contains(whole, part map[string]any) bool {
	for k, v := range part {
		inner, nested := v.(map[string]any)
		if !nested {
			old, ok := whole[k]
			if !ok && v != nil || !employee.Equal(old, v) {
				return false
			}
			continue
		}
		old, _ := whole[k].(map[string]any)
		if !contains(old, inner) {
			return false
		}
	}
	return true
}

// laidOver is whole with every value of part in its place.
func laidOver(whole, part map[string]any) map[string]any {
	out := make(map[string]any, len(whole)+len(part))
	maps.Copy(out, whole)
	for k, v := range part {
		inner, nested := v.(map[string]any)
		old, had := out[k].(map[string]any)
		if nested && had {
			out[k] = laidOver(old, inner)
			continue
		}
		out[k] = v
	}
	return out
}
