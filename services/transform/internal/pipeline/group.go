package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/telemetry"
	"github.com/muster-hr/muster/libs/topology"
)

// staged is one message of the next commit. The sequence it expects is read
// from rev when the commit begins, because the commit before may still move it.
type staged struct {
	ctx context.Context // carries the span under which it is sent
	out bus.Out
	rev *revision
}

// item is what one record changes, committed together: the employee's state,
// match keys, leaver pointer, and the statement.
type item struct {
	statement string
	employee  string
	people    []staged
	said      *staged
	atomic    bool // links, match keys and pointers come with it: all or nothing
}

// group is one commit: each subject at most once.
type group struct {
	items  []*item
	dead   []staged
	notes  []staged
	acks   []bus.In
	again  []*work // waiting records whose link has come
	begun  time.Time
	claims map[string]bool
	failed error // something could not be packed: the session starts again
}

func (g *group) empty() bool { return len(g.acks) == 0 && len(g.items) == 0 }

func (g *group) size() int { return len(g.items) }

func (g *group) add(i *item) {
	if g.claims == nil {
		g.claims, g.begun = map[string]bool{}, time.Now()
	}
	g.items = append(g.items, i)
	g.claims["said."+i.statement] = true
	if len(i.people) > 0 {
		g.claims["employee."+i.employee] = true
	}
}

func (g *group) note(s staged) { g.notes = append(g.notes, s) }

// touches tells whether the group already writes one of the subjects.
func (g *group) touches(statement, employee string) bool {
	return g != nil && (g.claims["said."+statement] || employee != "" && g.claims["employee."+employee])
}

// crossing is the number of messages from which one atomic batch is cheaper
// than plain publishes in flight together.
const crossing = 12

// batchLimit is the most messages the server takes in one atomic batch.
const batchLimit = 1000

// commit makes a group durable and acknowledges its records. Dead letters and
// notes go first: they are idempotent by subject or harmless twice, while a
// record acknowledged without them would be lost.
func (p *Pipeline) commit(ctx context.Context, g *group) error {
	if g.failed != nil {
		return g.failed
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
	messages := 0
	for _, i := range g.items {
		messages += len(i.people) + 1
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
		for n < len(together) && size+len(together[n].people)+1 <= batchLimit {
			size += len(together[n].people) + 1
			n++
		}
		if err := p.commitBatch(ctx, together[:n]); err != nil {
			return err
		}
		together = together[n:]
	}
	return p.commitPlain(ctx, plain)
}

// commitBatch writes items all or nothing.
func (p *Pipeline) commitBatch(ctx context.Context, items []*item) error {
	var all []staged
	for _, i := range items {
		all = append(all, i.people...)
		all = append(all, *i.said)
	}
	outs := make([]bus.Out, len(all))
	for n, s := range all {
		outs[n] = s.out
		outs[n].Traceparent = telemetry.Traceparent(s.ctx)
		if s.rev != nil {
			outs[n].Expect = &s.rev.seq
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
		w, err := p.send(topology.People, *i.said)
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
	if s.rev != nil {
		out.Expect = &s.rev.seq
	}
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
