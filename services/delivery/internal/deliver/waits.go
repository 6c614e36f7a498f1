package deliver

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"slices"
	"sync"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// Whom a body names by `ref`, in most companies the manager, must be known at
// the target first. Somebody who is not is left out, and the one who is
// delivered without waits:
//
//	X is mapped, M is not known there ──► note hr.waits.X ──► Apply ──► outcome, waits_for [M]
//	M has refs there, or others than before ──► hr.due.X for each who waits ──► X once more
//
// Whether X is owed another delivery is told by X's record and M's refs alone;
// wake-ups and notes only say that it is time to look. So one too many does no
// harm, and none is lost: the note is durable before X's outcome, and after a
// start each is looked at.

// waits knows who waits for whom at this target, and, from the first time that
// somebody is named otherwise than before, who names whom.
type waits struct {
	mu    sync.Mutex
	by    map[string]map[string]bool // who waits, by whom they wait for
	noted map[string][]string        // whom the note of an employee names, sorted
	moved map[string]bool            // who is named otherwise, and not all were told
	names map[string]map[string]bool // who names an employee; nil until it is needed

	reading sync.Mutex // while names is read
}

func newWaits() *waits {
	return &waits{by: map[string]map[string]bool{}, noted: map[string][]string{}, moved: map[string]bool{}}
}

func put(m map[string]map[string]bool, key, id string) {
	if m[key] == nil {
		m[key] = map[string]bool{}
	}
	m[key][id] = true
}

// awaited is the head of a note.
type awaited struct {
	Target   string   `json:"target"`
	Employee string   `json:"employee"`
	For      []string `json:"waits_for,omitempty"`
}

// named is the name by which the target knows an employee, "" if it does not.
// It is another's lane that asks, so what is read is not kept as memory: the
// employee's own lane may be ahead of it.
func (d *Deliverer) named(ctx context.Context, id string) (string, error) {
	if m, ok := d.memory.Get(id); ok {
		return d.name(m.Refs), nil
	}
	in, err := d.Bus.Last(ctx, topology.Delivered, topology.DeliveredTo(d.Target.Name, id))
	if errors.Is(err, bus.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	m, err := d.Codec.OpenDelivery(ctx, id, in.Event, false)
	if errors.Is(err, seal.ErrNoKey) { // erased
		return "", nil
	}
	return d.name(m.Refs), err
}

func (d *Deliverer) name(refs connector.Refs) string {
	if d.effects.Ref != "" {
		return refs[d.effects.Ref]
	}
	return refs["id"]
}

func (d *Deliverer) nameToken(name string) string {
	return d.Codec.Sealer.Token("named", d.Target.Name, name)
}

// owed tells whether what was delivered of an employee leaves out somebody who
// is known at the target by now, or names somebody otherwise than the target
// does. What was given up is a person's to decide.
func (d *Deliverer) owed(ctx context.Context, m *record.Delivery) (bool, error) {
	if m.Outcome == record.OutcomeDead || m.Left {
		return false, nil
	}
	for _, id := range m.WaitsFor {
		if name, err := d.named(ctx, id); err != nil || name != "" {
			return name != "", err
		}
	}
	for id, token := range m.Named {
		name, err := d.named(ctx, id)
		if err != nil {
			return false, err
		}
		if name != "" && d.nameToken(name) != token {
			return true, nil
		}
	}
	return false, nil
}

// await notes durably for whom an employee waits, before the delivery without
// them. It is true when one of them has come meanwhile: then the body is to be
// made again.
func (d *Deliverer) await(ctx context.Context, id string, whom []string) (come bool, err error) {
	w := d.waits
	w.mu.Lock()
	for _, m := range whom { // before they are looked at: who comes later sees it
		put(w.by, m, id)
	}
	noted := slices.Equal(w.noted[id], whom)
	w.mu.Unlock()
	if !noted {
		if err := d.leaveNote(ctx, topology.WaitsAt(d.Target.Name, id), awaited{d.Target.Name, id, whom}); err != nil {
			return false, err
		}
		w.mu.Lock()
		w.noted[id] = whom
		w.mu.Unlock()
	}
	for _, m := range whom {
		if name, err := d.named(ctx, m); err != nil || name != "" {
			return name != "", err
		}
	}
	return false, nil
}

func (d *Deliverer) leaveNote(ctx context.Context, subject string, note awaited) error {
	out, err := d.clear(ctx, subject, event.DeliveryAwaitsV1, d.Codec.Sealer.Token("awaits", append([]string{subject}, note.For...)...), note)
	if err != nil {
		return err
	}
	out.Rollup = true
	_, err = d.Bus.Publish(ctx, topology.Parked, out)
	return err
}

// moves notes durably, before the record that says so, that an employee is
// named otherwise at the target from now on.
func (d *Deliverer) moves(ctx context.Context, m record.Delivery) error {
	before, ok := d.memory.Peek(m.Employee)
	if !ok || d.name(before.Refs) == "" || d.name(before.Refs) == d.name(m.Refs) {
		return nil
	}
	if err := d.leaveNote(ctx, topology.MovedAt(d.Target.Name, m.Employee), awaited{Target: d.Target.Name, Employee: m.Employee}); err != nil {
		return err
	}
	d.waits.mu.Lock()
	d.waits.moved[m.Employee] = true
	d.waits.mu.Unlock()
	return nil
}

// after comes after each attempt: who waited for the employee is called, and
// the note of one who waits for nobody any more goes. Until both are done the
// message behind the attempt is not acknowledged.
func (d *Deliverer) after(ctx context.Context, id string) error {
	if err := d.tell(ctx, id); err != nil {
		return err
	}
	w := d.waits
	w.mu.Lock()
	_, noted := w.noted[id]
	w.mu.Unlock()
	if !noted {
		return nil
	}
	m, err := d.recollect(ctx, id)
	if err != nil {
		return err
	}
	switch m.Outcome {
	case record.OutcomeApplied, record.OutcomeUnchanged, record.OutcomeAccepted, record.OutcomeDiscarded:
	default:
		return nil
	}
	if len(m.WaitsFor) > 0 && !m.Left {
		return nil
	}
	if err := d.Bus.Purge(ctx, topology.Parked, topology.WaitsAt(d.Target.Name, id), math.MaxUint64); err != nil {
		return err
	}
	w.mu.Lock()
	delete(w.noted, id)
	w.mu.Unlock()
	return nil
}

// tell calls those who wait for an employee, once the target knows them, and
// those who name them by what is not their name any more.
func (d *Deliverer) tell(ctx context.Context, id string) error {
	w := d.waits
	w.mu.Lock()
	moved := w.moved[id]
	ids := slices.Collect(maps.Keys(w.by[id]))
	w.mu.Unlock()
	if !moved && len(ids) == 0 {
		return nil
	}
	name, err := d.named(ctx, id)
	if err != nil || name == "" {
		return err
	}
	if moved {
		naming, err := d.naming(ctx, id)
		if err != nil {
			return err
		}
		ids = append(ids, naming...)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if err := d.call(ctx, ids, d.nameToken(name)); err != nil {
		return err
	}
	if moved {
		if err := d.Bus.Purge(ctx, topology.Parked, topology.MovedAt(d.Target.Name, id), math.MaxUint64); err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range ids {
		delete(w.by[id], x)
	}
	if len(w.by[id]) == 0 {
		delete(w.by, id)
	}
	delete(w.moved, id)
	return nil
}

// call wakes employees durably. A manager may have thousands of reports, so all
// are under way together.
func (d *Deliverer) call(ctx context.Context, ids []string, why string) error {
	sent := make([]*bus.Future, 0, len(ids))
	for _, x := range ids {
		out, err := d.clear(ctx, topology.DueAt(d.Target.Name, x), event.DeliveryWakeV1, d.Codec.Sealer.Token("called", d.Target.Name, x, why), awaited{Target: d.Target.Name, Employee: x})
		if err != nil {
			return err
		}
		out.Rollup = true // as a wake-up
		f, err := d.Bus.PublishAsync(ctx, topology.Parked, out)
		if err != nil {
			return err
		}
		sent = append(sent, f)
	}
	for _, f := range sent {
		if _, err := f.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// naming gives those who may name an employee. Most targets know people by ids
// that never change, so nothing is kept for it until somebody is renamed; then
// the records of all are read once.
func (d *Deliverer) naming(ctx context.Context, id string) ([]string, error) {
	w := d.waits
	w.reading.Lock()
	defer w.reading.Unlock()
	w.mu.Lock()
	known := w.names != nil
	if !known {
		w.names = map[string]map[string]bool{} // from now on kept takes note too
	}
	w.mu.Unlock()
	if !known {
		err := d.Bus.EachLast(ctx, topology.Delivered, topology.DeliveredTo(d.Target.Name, "*"), func(in bus.In) error {
			var m record.Delivery
			head, err := seal.Head(in.Event.Data())
			if err == nil {
				err = json.Unmarshal(head, &m)
			}
			if err != nil {
				return err
			}
			w.note(&m)
			return nil
		})
		if err != nil {
			w.mu.Lock()
			w.names = nil
			w.mu.Unlock()
			return nil, err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.names[id])), nil
}

// note remembers whom a record names, if anybody ever asked.
func (w *waits) note(m *record.Delivery) {
	if len(m.Named) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.names == nil {
		return
	}
	for id := range m.Named {
		put(w.names, id, m.Employee)
	}
}

// recallWaits reads the notes after a start. Who waits for somebody who is
// there is called: a crash may have come before that.
func (d *Deliverer) recallWaits(ctx context.Context) error {
	w := d.waits
	look := map[string]bool{}
	for _, kind := range []string{topology.WaitsAt(d.Target.Name, "*"), topology.MovedAt(d.Target.Name, "*")} {
		err := d.Bus.EachLast(ctx, topology.Parked, kind, func(in bus.In) error {
			var note awaited
			head, err := seal.Head(in.Event.Data())
			if err == nil {
				err = json.Unmarshal(head, &note)
			}
			if err != nil {
				return err
			}
			x := topology.Last(in.Subject)
			if topology.Token(in.Subject, 1) == "moved" {
				w.moved[x], look[x] = true, true
				return nil
			}
			w.noted[x] = note.For
			for _, m := range note.For {
				put(w.by, m, x)
				look[m] = true
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for id := range look {
		if err := d.tell(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// again delivers an employee who was called and is not parked once more, if
// there is a reason. An event-like target gets it after the changes before it;
// one that is still to come brings the same.
func (d *Deliverer) again(ctx context.Context, id string, attempt int) bus.Verdict {
	in, err := d.Bus.Last(ctx, topology.People, topology.Employee(id))
	if errors.Is(err, bus.ErrNotFound) {
		return bus.Verdict{}
	}
	if err == nil && d.event {
		var m *record.Delivery
		if m, err = d.recollect(ctx, id); err == nil {
			if h, headErr := headOf(in); headErr != nil || h.Version != m.Done {
				return bus.Verdict{}
			}
		}
	}
	if err != nil {
		return bus.Verdict{Retry: ourPause}
	}
	return d.deliver(ctx, id, in, attempt)
}
