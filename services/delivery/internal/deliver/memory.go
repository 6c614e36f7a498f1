package deliver

import (
	"context"
	"errors"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// recollect is what is known about an employee at this target. The result is
// the caller's to read, not to change.
func (d *Deliverer) recollect(ctx context.Context, id string) (*record.Delivery, error) {
	if m, ok := d.memory.Get(id); ok {
		return m, nil
	}
	if err := d.trail.last(id).wait(ctx); err != nil { // the stream does not know it yet
		return nil, err
	}
	in, err := d.Bus.Last(ctx, topology.Delivered, topology.DeliveredTo(d.Target.Name, id))
	if errors.Is(err, bus.ErrNotFound) {
		return &record.Delivery{}, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := d.Codec.OpenDelivery(ctx, id, in.Event, d.restricted)
	if errors.Is(err, seal.ErrNoKey) {
		return &record.Delivery{}, nil
	}
	if err != nil {
		return nil, err
	}
	d.memory.Add(id, &m)
	d.before.Add(id, struct{}{})
	if d.filing != nil {
		d.filing.learn(id, m.Staged)
	}
	return &m, nil
}

// interrupted closes an attempt that a crash cut off: its record must not stay
// open for ever. What it may have done is still uncertain, and may have been
// done as late as just before the crash: a search that lags is waited for from
// now on.
func (d *Deliverer) interrupted(ctx context.Context, mem *record.Delivery) error {
	m := *mem
	m.Outcome, m.At, m.TookMS = record.OutcomeInterrupted, d.Clock.Now(), 0
	m.Uncertain = m.At
	if err := d.remember(ctx, m); err != nil {
		return err
	}
	*mem = m
	return nil
}
