package pipeline

import (
	"context"
	"errors"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/telemetry"
	"github.com/muster-hr/muster/libs/topology"
)

// committer has at most one commit in flight.
type committer struct {
	p        *Pipeline
	feed     *bus.Feed
	inflight *group
	batched  bool // the group before was large enough for a batch
	done     chan error
}

// idle tells whether something is collected and nothing in flight.
func (c *committer) idle() bool { return c.inflight == nil && !c.p.group.empty() }

func (c *committer) flush(ctx context.Context) {
	if !c.idle() {
		return
	}
	g := c.p.group
	c.inflight, c.p.group, c.batched = g, &group{}, g.size() >= crossing
	go func() {
		err := c.p.commit(ctx, g)
		if err == nil {
			err = c.feed.Ack(g.acks...)
		}
		c.done <- err
	}()
}

// settle takes the result of a commit. A refusal halves the next groups until
// the culprit is alone; a culprit that is refused alone is buried.
func (c *committer) settle(err error) error {
	g, p := c.inflight, c.p
	c.inflight = nil
	if err == nil {
		p.limit = min(groupLimit, p.limit*2)
		return nil
	}
	if errors.Is(err, bus.ErrConflict) || errors.Is(err, bus.ErrTooLarge) {
		p.limit = max(1, p.limit/2)
		if len(g.items) == 1 {
			if raw := g.items[0].raw; p.refused.raw != raw {
				p.refused = refusal{raw: raw}
			}
			p.refused.times++
		}
	}
	return err
}

// drain commits what is collected and waits for it.
func (c *committer) drain(ctx context.Context) error {
	for c.inflight != nil || !c.p.group.empty() {
		c.flush(ctx)
		select {
		case err := <-c.done:
			if err := c.settle(err); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// wait lets a commit in flight come to its end. Whatever that is: the next
// session reads what is there.
func (c *committer) wait() {
	if c.inflight != nil {
		if err := <-c.done; err != nil {
			c.p.Log.Debug("the commit in flight failed as well", "reason", fault.Reason(err))
		}
	}
}

// crossing is the number of messages from which one atomic batch is cheaper
// than plain publishes in flight together. It is lower than that of the bus:
// here they go in two rounds, the employees before their statements.
const crossing = 12

// batchLimit is the most messages the server takes in one atomic batch.
const batchLimit = 1000

// commit makes a group durable. Dead letters and notes go first: they are
// idempotent by subject or harmless twice, while a record acknowledged without
// them would be lost.
func (p *Pipeline) commit(ctx context.Context, g *group) error {
	if err := g.pack(); err != nil {
		return err
	}
	for _, s := range g.dead {
		_, err := p.Bus.Publish(s.ctx, topology.Dead, s.out)
		if err != nil && !errors.Is(err, bus.ErrConflict) { // a conflict says it is there already
			return err
		}
	}
	var notes []waiter
	for _, s := range g.notes {
		w, err := p.send(topology.Audit, s)
		if err != nil {
			return err
		}
		notes = append(notes, w)
	}
	if err := settle(ctx, notes); err != nil {
		return err
	}
	if err := p.commitAnswers(ctx, g.answers); err != nil {
		return err
	}
	messages := 0
	for _, i := range g.items {
		messages += i.size()
	}
	var together, plain []*item
	for _, i := range g.items {
		if i.atomic || messages >= crossing {
			together = append(together, i)
		} else {
			plain = append(plain, i)
		}
	}
	for len(together) > 0 {
		n, size := 0, 0
		for n < len(together) && size+together[n].size() <= batchLimit {
			size += together[n].size()
			n++
		}
		if err := p.commitBatch(ctx, together[:n], size); err != nil {
			return err
		}
		together = together[n:]
	}
	return p.commitPlain(ctx, plain)
}

// commitBatch writes items, of size messages together, all or nothing.
func (p *Pipeline) commitBatch(ctx context.Context, items []*item, size int) error {
	all, outs := make([]*staged, 0, size), make([]bus.Out, 0, size)
	for _, i := range items {
		for s := range i.messages() {
			out := s.out
			out.Traceparent, out.Expect = telemetry.Traceparent(s.ctx), s.expect()
			all, outs = append(all, s), append(outs, out)
		}
	}
	if len(outs) == 1 {
		seq, err := p.Bus.Publish(all[0].ctx, topology.People, outs[0])
		if err == nil && all[0].rev != nil {
			all[0].rev.seq = seq
		}
		return err
	}
	last, err := p.Bus.PublishAtomic(ctx, topology.People, outs)
	if err != nil {
		return err
	}
	first := last - uint64(len(all)) + 1
	for n, s := range all {
		if s.rev != nil {
			s.rev.seq = first + uint64(n)
		}
	}
	return nil
}

// commitPlain writes small ordinary updates without a batch: the employees
// first, their statements once those are durable. A crash in between leaves an
// employee ahead of its statement; the record comes again, the state names the
// RAW sequence it contains, and only the statement is written.
func (p *Pipeline) commitPlain(ctx context.Context, items []*item) error {
	var employees, said []waiter
	for _, i := range items {
		for _, s := range i.people {
			w, err := p.send(topology.People, s)
			if err != nil {
				return err
			}
			employees = append(employees, w)
		}
	}
	if err := settle(ctx, employees); err != nil {
		return err
	}
	for _, i := range items {
		if i.statement == "" {
			continue
		}
		w, err := p.send(topology.People, i.said)
		if err != nil {
			return err
		}
		said = append(said, w)
	}
	return settle(ctx, said)
}

type waiter struct {
	staged
	future *bus.Future
}

func (p *Pipeline) send(stream string, s staged) (waiter, error) {
	out := s.out
	out.Expect = s.expect()
	f, err := p.Bus.PublishAsync(s.ctx, stream, out)
	return waiter{s, f}, err
}

func settle(ctx context.Context, sent []waiter) error {
	var errs error
	for _, w := range sent {
		seq, err := w.future.Wait(ctx)
		if err != nil {
			errs = errors.Join(errs, err)
			continue
		}
		if w.rev != nil {
			w.rev.seq = seq
		}
	}
	return errs
}
