package deliver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// parking knows which employees wait at this target. Messages of PARKED are the
// truth; this set is read from them at the start.
type parking struct {
	mu    sync.Mutex
	spots map[string]spot
}

// spot is where one employee waits. Its times are the machine's, as the
// wake-ups are: how long a target fails has nothing to do with business days.
type spot struct {
	Target   string    `json:"target"`
	Employee string    `json:"employee"`
	Since    time.Time `json:"since"`
	Attempts int       `json:"attempts"` // wake-ups so far
	Reason   string    `json:"reason"`
}

func newParking() *parking { return &parking{spots: map[string]spot{}} }

func (p *parking) get(id string) (s spot, parked bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, parked = p.spots[id]
	return s, parked
}

// set takes or frees a spot and gives the number of those taken.
func (p *parking) set(id string, s *spot) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s == nil {
		delete(p.spots, id)
	} else {
		p.spots[id] = *s
	}
	return len(p.spots)
}

// recall reads who is parked and makes sure that each has a wake-up: a crash
// may have come between the two.
func (d *Deliverer) recall(ctx context.Context) error {
	var parked []spot
	err := d.Bus.EachLast(ctx, topology.Parked, topology.ParkedAt(d.Target.Name, "*"), func(in bus.In) error {
		s := spot{Target: d.Target.Name, Employee: topology.Last(in.Subject), Since: in.At, Reason: "restart"}
		if d.event {
			s.Since = time.Time{} // each change has its own, see exhausted
		}
		parked = append(parked, s)
		return nil
	})
	if err != nil {
		return err
	}
	for _, s := range parked {
		if err := d.wake(ctx, s); err != nil {
			return err
		}
		d.Metrics.Parked(d.parking.set(s.Employee, &s))
	}
	return d.recallWaits(ctx)
}

// park moves an employee out of the lane, in order: a marker for a state-like
// target, which reads the newest state when it wakes, the change itself for an
// event-like one.
func (d *Deliverer) park(ctx context.Context, t try, f *fault.Error) error {
	s := spot{Target: d.Target.Name, Employee: t.id, Since: time.Now().UTC(), Reason: f.Reason}
	if err := d.store(ctx, s, t.in); err != nil {
		return err
	}
	m := t.m
	m.Class, m.Reason, m.Path, m.Rule = f.Class.String(), f.Reason, f.Path, f.Rule
	m.Outcome, m.At = record.OutcomeParked, d.Clock.Now()
	if err := d.remember(ctx, m); err != nil {
		return err
	}
	if err := d.wake(ctx, s); err != nil {
		return err
	}
	d.Metrics.Parked(d.parking.set(t.id, &s))
	return nil
}

// parkAgain waits for one more wake-up.
func (d *Deliverer) parkAgain(ctx context.Context, s spot, f *fault.Error) error {
	s.Attempts++
	s.Reason = f.Reason
	if err := d.wake(ctx, s); err != nil {
		return err
	}
	d.parking.set(s.Employee, &s)
	return nil
}

// exhausted tells whether what was tried is tried for longer than the budget: a
// state since it was parked, a change since it was or since the one before it
// was given up.
func (d *Deliverer) exhausted(t try) bool {
	since := t.spot.Since
	if d.event && t.in.At.After(since) {
		since = t.in.At
	}
	return time.Since(since) > d.Target.Retry.Budget
}

// follow puts changes behind those of the same employee that are parked.
func (d *Deliverer) follow(ctx context.Context, id string, batch []bus.In) bus.Verdict {
	if !d.event {
		return bus.Verdict{} // the marker stands for the newest state, whichever that is
	}
	s, _ := d.parking.get(id)
	for _, in := range batch {
		if err := d.store(ctx, s, in); err != nil {
			return bus.Verdict{Retry: ourPause}
		}
	}
	return bus.Verdict{}
}

func (d *Deliverer) store(ctx context.Context, s spot, in bus.In) error {
	out := bus.Out{Subject: topology.ParkedAt(d.Target.Name, s.Employee), Event: in.Event, Traceparent: in.Traceparent}
	if !d.event {
		var err error
		out, err = d.clear(ctx, out.Subject, event.DeliveryParkedV1, d.Codec.Sealer.Token("parked", d.Target.Name, in.Event.ID()), s)
		if err != nil {
			return err
		}
		out.Rollup = true
	}
	_, err := d.Bus.Publish(ctx, topology.Parked, out)
	return err
}

// wake schedules the next look. The server fires it, so a thousand parked
// employees cost a message each and no timer here.
func (d *Deliverer) wake(ctx context.Context, s spot) error {
	out, err := d.clear(ctx, topology.WakeAt(d.Target.Name, s.Employee), event.DeliveryWakeV1,
		d.Codec.Sealer.Token("wake", d.Target.Name, s.Employee, fmt.Sprint(s.Attempts)), s)
	if err != nil {
		return err
	}
	out.At = time.Now().Add(backoff(d.Target.Retry.First, s.Attempts+1, d.Target.Retry.Max))
	out.Target, out.Rollup = topology.DueAt(d.Target.Name, s.Employee), true // the newest wake-up says what those before it said
	_, err = d.Bus.Publish(ctx, topology.Parked, out)
	return err
}

func (d *Deliverer) clear(ctx context.Context, subject, typ, id string, v any) (bus.Out, error) {
	head, err := json.Marshal(v)
	if err != nil {
		return bus.Out{}, err
	}
	data, err := d.Codec.Sealer.Seal(ctx, "", "", seal.Envelope{Head: head}) // nothing to seal: no key is fetched
	return bus.Out{Subject: subject, Event: event.New(id, "/muster/"+d.Company.Name+"/delivery-"+d.Target.Name, typ, data)}, err
}

// due wakes a parked employee: everything that waits is tried in order, until
// something has to wait on.
func (d *Deliverer) due(ctx context.Context, id string, attempt int) bus.Verdict {
	if _, parked := d.parking.get(id); !parked {
		return d.again(ctx, id, attempt) // called, or a wake-up of before a restart, and the one after it came first
	}
	var end bus.Verdict
	stop := errors.New("not settled")
	err := d.waiting(ctx, id, func(in bus.In) error {
		s, _ := d.parking.get(id)
		m, durable, err := d.attempt(ctx, in)
		if durable != nil { // what is parked may go only after it
			if err := durable(ctx); err != nil {
				return err
			}
		}
		if err := d.after(ctx, id); err != nil {
			return err
		}
		v, settled := d.verdict(ctx, try{id: id, in: in, m: m, attempt: laneAttempts, spot: &s}, err)
		if !settled {
			end = v
			return stop
		}
		if err != nil { // given up: who waited behind it has a budget of its own
			s.Since, s.Attempts = time.Now().UTC(), 0
			d.parking.set(id, &s)
		}
		return d.Bus.Purge(ctx, topology.Parked, topology.ParkedAt(d.Target.Name, id), d.settledUpTo(in))
	})
	switch {
	case errors.Is(err, stop):
		return end
	case err != nil:
		return bus.Verdict{Retry: ourPause}
	}
	d.Metrics.Parked(d.parking.set(id, nil))
	return bus.Verdict{}
}

// waiting gives what is parked of an employee, in order: the changes, or for a
// state-like target the newest state.
func (d *Deliverer) waiting(ctx context.Context, id string, fn func(bus.In) error) error {
	if d.event {
		return d.Bus.Each(ctx, topology.Parked, topology.ParkedAt(d.Target.Name, id), fn)
	}
	in, err := d.Bus.Last(ctx, topology.People, topology.Employee(id))
	if errors.Is(err, bus.ErrNotFound) { // nobody is there any more
		return d.Bus.Purge(ctx, topology.Parked, topology.ParkedAt(d.Target.Name, id), math.MaxUint64)
	}
	if err != nil {
		return err
	}
	return fn(in)
}

// settledUpTo is the sequence in PARKED below which nothing waits any more once
// in is settled.
func (d *Deliverer) settledUpTo(in bus.In) uint64 {
	if d.event {
		return in.Seq + 1
	}
	return math.MaxUint64 // the marker
}
