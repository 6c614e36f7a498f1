package deliver

import (
	"context"
	"maps"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/protection"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/topology"
)

// write brings the job to the target and makes its outcome durable.
func (d *Deliverer) write(ctx context.Context, j *job) error {
	if d.limiter != nil {
		if err := d.limiter.Wait(ctx); err != nil {
			return err
		}
	}
	leave, ok := d.breaker.enter()
	if !ok {
		return later{time.Second} // the target pauses, or somebody else's call looks whether it is back
	}
	defer leave()
	found, tried := false, j.mem.Tried
	if len(j.delivery.Refs) == 0 && !d.effects.Idempotent {
		if err := d.look(ctx, j); err != nil {
			return err
		}
		found = len(j.delivery.Refs) > 0 // remembered before the write, which may hide them from the search
		// Who was brought there without any refs is known there by our id.
		if j.left && len(j.delivery.Refs) == 0 && j.mem.Digest == "" {
			j.mem.Reason, j.mem.Uncertain, j.mem.Tried = "not_there", time.Time{}, nil
			return d.conclude(ctx, j, record.OutcomeDiscarded) // nothing to close
		}
	}
	if found || d.intends(j) {
		j.mem.Uncertain = d.Clock.Now()
		if len(j.delivery.Refs) == 0 {
			j.mem.Tried = &record.Tried{Body: j.delivery.Body, Match: j.delivery.Match}
		}
		if err := d.note(ctx, j, record.OutcomeIntended); err != nil {
			return err
		}
	}
	call, cancel := context.WithTimeout(ctx, d.Target.Limits.Timeout) // of the vendor's calls alone
	defer cancel()
	receipt, err := d.Sink.Apply(call, j.delivery, func(_ context.Context, refs connector.Refs) error {
		j.mem.Refs = maps.Clone(refs)
		return d.note(ctx, j, record.OutcomeIntended)
	})
	ctx = context.WithoutCancel(ctx) // it happened: what came of it is told, also when our time is up
	if f := fault.Of(err); f != nil && f.Class != fault.Done {
		if f.Class != fault.Transient {
			j.mem.Uncertain, j.mem.Tried = j.delivery.Since, tried // refused: nothing happened now
		}
		known := !j.event && j.mem.Digest != ""
		if f.Class == fault.Transient && !j.mem.Uncertain.IsZero() || known {
			j.mem.Uncertain = d.Clock.Now() // it may have happened as late as now
		}
		if known { // also before a call that was refused, as one of several
			j.mem.Tried = also(j.mem.Body, tried, j.delivery)
		}
		return d.failed(ctx, j, f)
	}
	d.breaker.close()
	if receipt.Refs != nil {
		j.mem.Refs = maps.Clone(receipt.Refs)
	}
	if err := d.linked(ctx, j, receipt); err != nil {
		d.memory.Remove(j.delivery.ID) // it holds no longer, and the stream does not know
		return err
	}
	outcome := receipt.Outcome
	if outcome == "" {
		outcome = record.OutcomeApplied
	}
	return d.conclude(ctx, j, outcome)
}

// look finds a person who may already be there: always before a create, and
// after one whose answer was lost only once the vendor's window has passed in
// which a search may not show it.
func (d *Deliverer) look(ctx context.Context, j *job) error {
	if since := j.mem.Uncertain; !since.IsZero() {
		if left := d.effects.Consistency - d.Clock.Now().Sub(since); left > 0 {
			return later{left}
		}
	}
	call, cancel := context.WithTimeout(ctx, d.Target.Limits.Timeout)
	defer cancel()
	found, err := d.Sink.Find(call, j.delivery)
	if tried := j.mem.Tried; err == nil && tried != nil && !one(found) {
		// A create that was cut off made the person as they were then.
		then := j.delivery
		then.Body, then.Match = tried.Body, tried.Match
		var earlier []connector.Found
		if earlier, err = d.Sink.Find(call, then); one(earlier) {
			found = earlier
		}
	}
	if err != nil {
		return d.failed(context.WithoutCancel(ctx), j, fault.Of(err))
	}
	switch {
	case one(found):
		j.delivery.Refs = found[0].Refs
		j.mem.Refs = maps.Clone(found[0].Refs)
	case len(found) > 0:
		return &fault.Error{Class: fault.Record, Reason: "ambiguous_match", Rule: "find"}
	}
	return nil
}

// one tells whether a search leaves no doubt.
func one(found []connector.Found) bool { return len(found) == 1 && found[0].Sure }

// intends tells whether a crash during the call could repeat it: then an intent
// stands before it. Bringing a known person to a state is safe to repeat.
func (d *Deliverer) intends(j *job) bool {
	return !d.effects.Idempotent && (d.event || len(j.delivery.Refs) == 0) && !protection.Off(protection.Intent)
}

// linked tells the source side of the same account that the key is ours, with
// what we wrote, before the outcome: the echo must find it. Also when nothing
// had to be written: the call before, whose answer was lost, may have.
func (d *Deliverer) linked(ctx context.Context, j *job, r connector.Receipt) error {
	if d.Target.Source == "" || r.Key == "" {
		return nil
	}
	sent := make(map[string]string, len(j.leaves))
	for leaf, v := range j.leaves {
		sent[leaf] = d.Codec.ValueToken(leaf, v)
	}
	msg, err := d.Codec.Link(ctx, record.Linked{
		Source: d.Target.Source, Target: d.Target.Name, Employee: j.delivery.ID, Key: r.Key, Sent: sent, AcceptedAt: d.Clock.Now(),
	}, j.delivery.Event)
	if err != nil {
		return err
	}
	_, err = d.Bus.Publish(ctx, topology.Raw, bus.Out{Subject: msg.Subject, Event: msg.Event})
	return err
}

// conclude makes the end of a job durable; the lane goes on after it.
func (d *Deliverer) conclude(ctx context.Context, j *job, outcome string) error {
	m := j.mem
	m.Done = max(m.Done, m.Version)
	m.Left = j.left
	if outcome != record.OutcomeDiscarded && outcome != record.OutcomeHeld && !j.idle {
		m.Digest, m.Status, m.Uncertain, m.Tried = j.digest, j.delivery.Status, time.Time{}, nil
		m.WaitsFor, m.Named = j.waits, j.named
		if !j.event {
			m.Body = laidOver(m.Body, j.delivery.Body)
		}
	}
	var err error
	if d.effects.Idempotent {
		j.durable, err = d.noteLater(ctx, j, outcome)
	} else {
		err = d.note(ctx, j, outcome)
	}
	if err == nil && outcome == record.OutcomeApplied && !m.AcceptedAt.IsZero() && !j.again {
		d.Metrics.Latency(d.Clock.Now().Sub(m.AcceptedAt))
	}
	return err
}

// failed notes an attempt that did not succeed and gives its fault back. The
// record of one that is wrong comes with its dead letter.
func (d *Deliverer) failed(ctx context.Context, j *job, f *fault.Error) error {
	m := j.mem
	m.Class, m.Reason, m.Path, m.Rule = f.Class.String(), f.Reason, f.Path, f.Rule
	if f.Class == fault.Record {
		d.breaker.close() // a target that judges is there; of a file's piece it is our own judgement
		return f
	}
	if err := d.note(ctx, j, record.OutcomeFailed); err != nil {
		return err
	}
	return f
}

// note publishes the job's memory with an outcome and keeps it at hand once it
// is durable.
func (d *Deliverer) note(ctx context.Context, j *job, outcome string) error {
	return d.remember(ctx, d.noted(j, outcome))
}

func (d *Deliverer) noted(j *job, outcome string) record.Delivery {
	m := *j.mem
	m.Outcome, m.At, m.TookMS = outcome, d.Clock.Now(), time.Since(j.begun).Milliseconds()
	return m
}

// noteLater is note for a target that takes repeats without harm: the
// employee's next call need not wait for the record of this one. The memory is
// at hand at once; durable returns when the stream has it too.
func (d *Deliverer) noteLater(ctx context.Context, j *job, outcome string) (durable func(context.Context) error, err error) {
	m := d.noted(j, outcome)
	before := d.trail.last(m.Employee)
	var sent *bus.Future
	if before == nil {
		if sent, err = d.publish(ctx, m, true); err != nil {
			return nil, err
		}
	}
	own := d.trail.add(m.Employee)
	d.kept(&m)
	return func(ctx context.Context) (err error) {
		defer func() { d.trail.finish(m.Employee, own, err == nil) }()
		if err := before.wait(ctx); err != nil {
			return err
		}
		for {
			if sent == nil {
				sent, _ = d.publish(ctx, m, true)
			}
			if sent != nil {
				if _, err := sent.Wait(ctx); err == nil {
					return nil
				}
			}
			if err := pause(ctx, ourPause); err != nil {
				return err
			}
			sent = nil // the bus is busy or away: again, as long as we run
		}
	}, nil
}

func pause(ctx context.Context, t time.Duration) error {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// remember makes a record durable, then it is the memory.
func (d *Deliverer) remember(ctx context.Context, m record.Delivery) error {
	if err := d.trail.last(m.Employee).wait(ctx); err != nil {
		return err
	}
	sent, err := d.publish(ctx, m, false)
	if err != nil {
		return err
	}
	if _, err := sent.Wait(ctx); err != nil {
		d.memory.Remove(m.Employee) // it may be stored all the same: the stream knows
		return err
	}
	d.kept(&m)
	return nil
}

func (d *Deliverer) publish(ctx context.Context, m record.Delivery, later bool) (*bus.Future, error) {
	if err := d.moves(ctx, m); err != nil {
		return nil, err
	}
	msg, err := d.Codec.Deliver(ctx, m, d.restricted)
	if err != nil {
		return nil, err
	}
	return d.Bus.PublishAsync(ctx, topology.Delivered, bus.Out{Subject: msg.Subject, Event: msg.Event, Later: later})
}

// kept has a record at hand. Nobody changes it from now on.
func (d *Deliverer) kept(m *record.Delivery) {
	d.memory.Add(m.Employee, m)
	d.before.Remove(m.Employee)
	d.waits.note(m)
	if m.Outcome != record.OutcomeIntended {
		d.Metrics.Attempt(m.Outcome)
	}
}
