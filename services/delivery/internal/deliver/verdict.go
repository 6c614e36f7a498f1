package deliver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
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

// laneAttempts is how often a delivery is tried while its lane waits; then the
// employee is parked and the lane is free.
const laneAttempts = 3

// verdict is the only place that decides what becomes of a delivery that did
// not end well.
func (d *Deliverer) verdict(ctx context.Context, id string, in bus.In, attempt int, err error) bus.Verdict {
	if err == nil {
		return bus.Verdict{}
	}
	if wait, ok := errors.AsType[later](err); ok {
		return bus.Verdict{Retry: wait.after}
	}
	if errors.Is(err, bus.ErrUnavailable) || errors.Is(err, bus.ErrBusy) || ctx.Err() != nil {
		return bus.Verdict{Retry: time.Second} // ours, not the target's: nothing to note, nothing to park
	}
	f := fault.Of(err)
	d.Log.WarnContext(ctx, "delivery failed", "target", d.Target.Name, "employee", id, "event", in.Event.ID(), "attempt", attempt, "class", f.Class.String(), "reason", f.Reason, "path", f.Path, "rule", f.Rule)
	switch f.Class {
	case fault.Throttled:
		d.pause(f.After)
		return bus.Verdict{Retry: f.After}
	case fault.Target:
		wait := d.breaker.open(d)
		return bus.Verdict{Retry: wait}
	case fault.Record:
		if err := d.bury(ctx, id, in, attempt, f); err != nil {
			return bus.Verdict{Retry: time.Second}
		}
		return bus.Verdict{}
	case fault.Done:
		return bus.Verdict{}
	case fault.Transient:
	}
	if attempt < laneAttempts {
		return bus.Verdict{Retry: backoff(d.laneRetry(), attempt, time.Minute)}
	}
	if err := d.park(ctx, id, in, f); err != nil {
		return bus.Verdict{Retry: time.Second}
	}
	return bus.Verdict{}
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
func (d *Deliverer) bury(ctx context.Context, id string, in bus.In, attempt int, f *fault.Error) error {
	mem, err := d.recollect(ctx, id)
	if err != nil {
		return err
	}
	m := *mem
	head, err := headOf(in)
	if err != nil {
		return err
	}
	integration := ""
	if len(d.integrations) > 0 {
		integration = d.integrations[0].Name
	}
	letter, err := d.Codec.Bury(ctx, id, record.DeadLetter{
		Stage: topology.StageDeliver, Source: head.Source, Integration: integration, Target: d.Target.Name, Employee: id, Event: in.Event.ID(), Version: head.Version,
		Class: f.Class.String(), Reason: f.Reason, Path: f.Path, Rule: f.Rule, Attempts: attempt, At: d.Clock.Now(), Config: d.Company.Version,
	})
	if err != nil {
		return err
	}
	none := uint64(0)
	if _, err := d.Bus.Publish(ctx, topology.Dead, bus.Out{Subject: letter.Subject, Event: letter.Event, Expect: &none}); err != nil && !errors.Is(err, bus.ErrConflict) {
		return err
	}
	m.Target, m.Integration, m.Employee, m.Event, m.Type, m.Version = d.Target.Name, integration, id, in.Event.ID(), in.Event.Type(), head.Version
	m.Attempt, m.Class, m.Reason, m.Path, m.Rule, m.AcceptedAt, m.Config = attempt, f.Class.String(), f.Reason, f.Path, f.Rule, head.AcceptedAt, d.Company.Version
	m.Outcome, m.At, m.Done, m.Uncertain = record.OutcomeDead, d.Clock.Now(), max(m.Done, head.Version), time.Time{}
	d.Metrics.Dead()
	return d.remember(ctx, m)
}

// breaker stops a target that is unusable as a whole. It opens for longer each
// time, up to five minutes, and lets one delivery through to look.
type breaker struct {
	mu    sync.Mutex
	opens int
	until time.Time
}

const breakerLimit = 5 * time.Minute

func (b *breaker) open(d *Deliverer) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if now.Before(b.until) {
		return time.Until(b.until) // others that were in flight found the same
	}
	b.opens++
	wait := backoff(d.Target.Retry.First, b.opens, breakerLimit)
	b.until = now.Add(wait)
	d.pause(wait)
	d.Metrics.Breaker(true)
	return wait
}

func (b *breaker) closed(d *Deliverer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.opens > 0 {
		b.opens, b.until = 0, time.Time{}
		d.Metrics.Breaker(false)
	}
}
