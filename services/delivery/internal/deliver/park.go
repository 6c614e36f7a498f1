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
	"github.com/muster-hr/muster/libs/employee"
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

type spot struct {
	Target   string    `json:"target"`
	Employee string    `json:"employee"`
	Since    time.Time `json:"since"`
	Attempts int       `json:"attempts"` // wake-ups so far
	Reason   string    `json:"reason"`
}

func newParking() *parking { return &parking{spots: map[string]spot{}} }

func (p *parking) holds(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.spots[id]
	return ok
}

func (p *parking) get(id string) spot {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spots[id]
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
	var ids []string
	err := d.Bus.EachLast(ctx, topology.Parked, topology.ParkedAt(d.Target.Name, "*"), func(in bus.In) error {
		id := topology.Last(in.Subject)
		d.parking.set(id, &spot{Target: d.Target.Name, Employee: id, Since: in.At, Reason: "restart"})
		ids = append(ids, id)
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := d.wake(ctx, d.parking.get(id)); err != nil {
			return err
		}
	}
	return nil
}

// park moves an employee out of the lane, in order: a marker for a state-like
// target, which reads the newest state when it wakes, the change itself for an
// event-like one.
func (d *Deliverer) park(ctx context.Context, id string, in bus.In, f *fault.Error) error {
	s := spot{Target: d.Target.Name, Employee: id, Since: d.Clock.Now(), Reason: f.Reason}
	if err := d.store(ctx, s, in); err != nil {
		return err
	}
	mem, err := d.recollect(ctx, id)
	if err != nil {
		return err
	}
	m := *mem
	head, err := headOf(in)
	if err != nil {
		return err
	}
	m.Target, m.Employee, m.Event, m.Type, m.Version = d.Target.Name, id, in.Event.ID(), in.Event.Type(), head.Version
	m.Class, m.Reason, m.Outcome, m.At, m.Config = f.Class.String(), f.Reason, record.OutcomeParked, d.Clock.Now(), d.Company.Version
	if err := d.remember(ctx, m); err != nil {
		return err
	}
	if err := d.wake(ctx, s); err != nil {
		return err
	}
	d.Metrics.Parked(d.parking.set(id, &s))
	return nil
}

// follow puts changes behind those of the same employee that are parked.
func (d *Deliverer) follow(ctx context.Context, id string, batch []bus.In) error {
	if !d.event {
		return nil // the marker stands for the newest state, whichever that is
	}
	for _, in := range batch {
		if err := d.store(ctx, d.parking.get(id), in); err != nil {
			return err
		}
	}
	return nil
}

func (d *Deliverer) store(ctx context.Context, s spot, in bus.In) error {
	subject := topology.ParkedAt(d.Target.Name, s.Employee)
	if d.event {
		_, err := d.Bus.Publish(ctx, topology.Parked, bus.Out{Subject: subject, Event: in.Event})
		return err
	}
	out, err := d.clear(ctx, subject, event.DeliveryParkedV1, d.Codec.Sealer.Token("parked", d.Target.Name, in.Event.ID()), s)
	if err != nil {
		return err
	}
	out.Rollup = true
	_, err = d.Bus.Publish(ctx, topology.Parked, out)
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
	out.Target = topology.DueAt(d.Target.Name, s.Employee)
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

// due wakes a parked employee: everything that waits is tried in order.
func (d *Deliverer) due(ctx context.Context, id string, attempt int) bus.Verdict {
	if !d.parking.holds(id) {
		return bus.Verdict{}
	}
	s := d.parking.get(id)
	in, err := d.drain(ctx, id, attempt+s.Attempts)
	if err == nil {
		if err = d.Bus.Purge(ctx, topology.Parked, topology.ParkedAt(d.Target.Name, id), math.MaxUint64); err == nil {
			d.Metrics.Parked(d.parking.set(id, nil))
			return bus.Verdict{}
		}
	}
	if wait, ok := errors.AsType[later](err); ok {
		return bus.Verdict{Retry: wait.after}
	}
	if f := fault.Of(err); f.Class == fault.Transient && f.Reason != "unclassified" || f.Class == fault.Transient && !errors.Is(err, bus.ErrUnavailable) {
		if d.Clock.Now().Sub(s.Since) > d.Target.Retry.Budget {
			return d.exhausted(ctx, id, in, s, f)
		}
		s.Attempts++
		if err := d.wake(ctx, s); err != nil {
			return bus.Verdict{Retry: time.Second}
		}
		d.parking.set(id, &s)
		return bus.Verdict{}
	}
	return d.verdict(ctx, id, in, laneAttempts, err)
}

// exhausted gives up what was tried for the whole budget and lets what waited
// behind it go on at the next wake-up.
func (d *Deliverer) exhausted(ctx context.Context, id string, in bus.In, s spot, f *fault.Error) bus.Verdict {
	if err := d.bury(ctx, id, in, s.Attempts, f); err != nil {
		return bus.Verdict{Retry: time.Second}
	}
	if d.event {
		if err := d.Bus.Purge(ctx, topology.Parked, topology.ParkedAt(d.Target.Name, id), in.Seq+1); err != nil {
			return bus.Verdict{Retry: time.Second}
		}
	}
	return bus.Verdict{Retry: time.Second}
}

// drain delivers what is parked. It gives back the message it stopped at.
func (d *Deliverer) drain(ctx context.Context, id string, attempt int) (bus.In, error) {
	if !d.event {
		in, err := d.newest(ctx, id, nil)
		if err != nil {
			return in, err
		}
		return in, d.attempt(ctx, in, nil, attempt)
	}
	var last bus.In
	err := d.Bus.Each(ctx, topology.Parked, topology.ParkedAt(d.Target.Name, id), func(in bus.In) error {
		last = in
		if err := d.attempt(ctx, in, nil, attempt); err != nil {
			if f := fault.Of(err); f.Class != fault.Record {
				return err
			} else if err := d.bury(ctx, id, in, attempt, f); err != nil {
				return err
			}
		}
		return d.Bus.Purge(ctx, topology.Parked, topology.ParkedAt(d.Target.Name, id), in.Seq+1)
	})
	return last, err
}

func headOf(in bus.In) (employee.Head, error) {
	var h employee.Head
	raw, err := seal.Head(in.Event.Data())
	if err == nil {
		err = json.Unmarshal(raw, &h)
	}
	return h, err
}
