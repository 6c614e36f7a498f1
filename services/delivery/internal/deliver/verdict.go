package deliver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/topology"
)

// later asks for the same delivery again after a while; nothing failed.
type later struct{ after time.Duration }

// Error says how long.
func (l later) Error() string { return fmt.Sprintf("again in %s", l.after.Round(time.Millisecond)) }

// try is one attempt, for what is to be said about its end.
type try struct {
	id      string
	in      bus.In
	m       record.Delivery
	attempt int   // in the lane, from 1
	spot    *spot // where the employee is parked; nil in the lane
}

// laneAttempts is how often a delivery is tried while its lane waits; then the
// employee is parked and the lane is free.
const laneAttempts = 3

// ourPause is the wait when something of ours, not the target, is not there.
const ourPause = time.Second

// verdict is the only place that decides what becomes of a delivery. settled
// tells that nothing more is to be done for this version; what is not settled
// comes again with the lane (Retry) or with the next wake-up.
func (d *Deliverer) verdict(ctx context.Context, t try, err error) (v bus.Verdict, settled bool) {
	if err == nil {
		return bus.Verdict{}, true
	}
	if wait, ok := errors.AsType[later](err); ok {
		return bus.Verdict{Retry: max(wait.after, time.Millisecond)}, false
	}
	if errors.Is(err, bus.ErrUnavailable) || errors.Is(err, bus.ErrBusy) || errors.Is(err, bus.ErrClosed) || ctx.Err() != nil {
		return bus.Verdict{Retry: ourPause}, false // nothing to note, nothing to park
	}
	f := fault.Of(err)
	d.Log.WarnContext(ctx, "delivery failed", "target", d.Target.Name, "employee", t.id, "event", t.in.Event.ID(), "attempt", t.m.Attempt, "class", f.Class.String(), "reason", f.Reason, "path", f.Path, "rule", f.Rule)
	next := func(err error) bus.Verdict {
		if err != nil {
			return bus.Verdict{Retry: ourPause}
		}
		return bus.Verdict{}
	}
	switch f.Class {
	case fault.Throttled:
		wait := d.breaker.throttle(f.After)
		if wait < f.After {
			d.Log.WarnContext(ctx, "the target asks for a longer pause than it gets", "target", d.Target.Name, "asked", f.After, "pause", wait)
		}
		return bus.Verdict{Retry: wait}, false
	case fault.Target:
		return bus.Verdict{Retry: d.breaker.open()}, false
	case fault.Record:
		err := d.bury(ctx, t, f)
		return next(err), err == nil
	case fault.Done, fault.Transient:
	}
	switch {
	case t.spot == nil && t.attempt < laneAttempts:
		return bus.Verdict{Retry: backoff(d.laneRetry(), t.attempt, time.Minute)}, false
	case t.spot == nil:
		return next(d.park(ctx, t, f)), false
	case d.exhausted(t):
		err := d.bury(ctx, t, f)
		return next(err), err == nil
	}
	return next(d.parkAgain(ctx, *t.spot, f)), false
}

// laneRetry is the first pause within a lane: short, because others of the
// same employee wait behind it.
func (d *Deliverer) laneRetry() time.Duration { return min(time.Second, d.Target.Retry.First) }

// backoff doubles from first with each attempt up to limit, with ±20 % jitter
// so that those who failed together do not come back together.
func backoff(first time.Duration, attempt int, limit time.Duration) time.Duration {
	wait := first << min(attempt-1, 30)
	if wait <= 0 || wait > limit {
		wait = limit
	}
	return time.Duration(float64(wait) * (0.8 + 0.4*rand.Float64()))
}

// bury gives a delivery up for a person to decide: dead letter first, then the
// outcome, so that none is ever without the other.
func (d *Deliverer) bury(ctx context.Context, t try, f *fault.Error) error {
	m := t.m
	m.Class, m.Reason, m.Path, m.Rule = f.Class.String(), f.Reason, f.Path, f.Rule
	m.At, m.Done = d.Clock.Now(), max(m.Done, m.Version)
	return d.buried(ctx, m)
}

// buried makes a dead letter of a record that says what is wrong, once.
func (d *Deliverer) buried(ctx context.Context, m record.Delivery) error {
	letter, err := d.Codec.Bury(ctx, m.Employee, record.DeadLetter{
		Stage: topology.StageDeliver, Integration: m.Integration, Target: m.Target, Employee: m.Employee, Event: m.Event, Version: m.Version,
		Class: m.Class, Reason: m.Reason, Path: m.Path, Rule: m.Rule, Attempts: m.Attempt, At: m.At, Config: m.Config,
	})
	if err != nil {
		return err
	}
	none := uint64(0)
	_, err = d.Bus.Publish(ctx, topology.Dead, bus.Out{Subject: letter.Subject, Event: letter.Event, Expect: &none})
	if err != nil && !errors.Is(err, bus.ErrConflict) { // a conflict: it is there already
		return err
	}
	m.Outcome = record.OutcomeDead
	if err := d.remember(ctx, m); err != nil {
		return err
	}
	d.Metrics.Dead()
	return nil
}
