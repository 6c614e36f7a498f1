// Package pipeline is the way of a record to a change.
//
//	RAW ──► map ──► identify ──► order ──► merge ──► effective ──► publish ──► PEOPLE
//	        │                                                        │
//	        └─ on all cores, in order ──► one sequencer ──► one commit at a time, the next collected meanwhile
//
// Mapping is pure and runs on all cores; everything that looks at the index
// runs in one goroutine, in RAW order. A commit that fails throws the index
// away: it is read again from PEOPLE, and RAW comes again from its ack floor.
// So there is one way back into a known state, and it is the way a start goes.
package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.opentelemetry.io/otel/trace"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/clock"
	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/topology"
)

// Deps is what a pipeline works with.
type Deps struct {
	Bus     *bus.Bus
	Codec   record.Codec
	Company *config.Company
	Clock   clock.Clock
	Log     *slog.Logger
	Tracer  trace.Tracer
	Metrics Metrics
}

// Metrics counts what came of records and changes.
type Metrics struct {
	Record func(source, outcome string)
	Change func(typ string)
	Dead   func(stage string)
}

// Pipeline turns RAW into PEOPLE. One runs per company; the expected sequence
// of every message it writes is the fence against a second one.
type Pipeline struct {
	Deps
	effective effective
	books     map[string]rulebook
	states    *lru.Cache[string, *employee.State]
	ix        *index
	waiting   map[string]*work // by `<source>.<token>`
	group     *group
	limit     int            // changes per commit; halved after a refusal until the culprit is alone
	refusals  map[uint64]int // of records that were refused alone, by RAW sequence
}

const (
	groupLimit  = 400
	groupLinger = 10 * time.Millisecond // only after a group that was a batch
	stateCache  = 4096
)

// New makes a pipeline for a company.
func New(d Deps) (*Pipeline, error) {
	p := &Pipeline{Deps: d, effective: effective{d.Company.Zone}, books: rulebooks(d.Company), limit: groupLimit, refusals: map[uint64]int{}}
	var err error
	p.states, err = lru.New[string, *employee.State](stateCache)
	return p, err
}

// Run works until ctx ends.
func (p *Pipeline) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := p.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		p.Log.WarnContext(ctx, "starting again from what is committed", "reason", fault.Reason(err), "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
	return nil
}

// session loads the index and follows RAW until something fails.
func (p *Pipeline) session(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.ix, p.waiting, p.group = newIndex(), map[string]*work{}, &group{}
	p.states.Purge()
	if err := p.ix.load(ctx, p.Bus, func(in bus.In) { p.await(ctx, in) }); err != nil {
		return err
	}
	feed, err := p.Bus.Feed(ctx, bus.FeedOptions{Stream: topology.Raw, Durable: topology.TransformRaw})
	if err != nil {
		return err
	}
	defer feed.Close()
	return p.follow(ctx, p.mapped(ctx, feed), feed)
}

// mapped fetches and maps records on all cores and hands them on in order.
func (p *Pipeline) mapped(ctx context.Context, feed *bus.Feed) <-chan chan *work {
	out := make(chan chan *work, 2*groupLimit)
	go func() {
		defer close(out)
		cores, some := make(chan struct{}, runtime.GOMAXPROCS(0)), false
		for {
			in, err := feed.Next(ctx)
			if errors.Is(err, bus.ErrReset) && !some {
				continue // nothing was handed out yet
			}
			some = true
			slot := make(chan *work, 1)
			if err != nil {
				slot <- &work{err: err, fatal: true}
				select {
				case out <- slot:
				case <-ctx.Done():
				}
				return
			}
			select {
			case out <- slot:
			case <-ctx.Done():
				return
			}
			cores <- struct{}{}
			go func() {
				defer func() { <-cores }()
				slot <- p.open(ctx, in)
			}()
		}
	}()
	return out
}

// follow is the sequencer: it processes records in order and commits them in
// groups, one commit in flight while the next group is collected.
func (p *Pipeline) follow(ctx context.Context, mapped <-chan chan *work, feed *bus.Feed) error {
	c := &committer{p: p, feed: feed, done: make(chan error, 1)}
	var linger <-chan time.Time
	for {
		if linger == nil && c.idle() && len(mapped) == 0 {
			if c.batched && p.group.size() < p.limit {
				linger = time.After(groupLinger - min(groupLinger, time.Since(p.group.begun)))
			} else {
				c.flush(ctx)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-c.done:
			if err := c.settle(err); err != nil {
				return err
			}
		case <-linger:
			linger = nil
			c.flush(ctx)
		case <-p.nextWait():
			for _, w := range p.ended() {
				if err := p.take(ctx, c, w); err != nil {
					return err
				}
			}
		case slot, ok := <-mapped:
			if !ok {
				return nil
			}
			w := <-slot
			if w.fatal {
				return w.err
			}
			if err := p.take(ctx, c, w); err != nil {
				return err
			}
		}
	}
}

// take processes one record once the group is free for it, and then the
// records that waited for what it brought.
func (p *Pipeline) take(ctx context.Context, c *committer, w *work) error {
	id := p.whose(w)
	reads := w.linked != nil || w.rec.Partial || p.books[w.source].waits // its statement is read back
	if p.group.size() >= p.limit || p.group.touches(w.source+"."+w.token, id) || reads && c.inflight.touches(w.source+"."+w.token, "") {
		if err := c.drain(ctx); err != nil {
			return err
		}
	}
	if err := p.process(ctx, w); err != nil {
		return err
	}
	again := p.group.again
	p.group.again = nil
	for _, waited := range again {
		if err := p.take(ctx, c, waited); err != nil {
			return err
		}
	}
	if p.group.size() >= p.limit {
		c.flush(ctx)
	}
	return nil
}

// whose is the employee a record will be merged into, as far as is known.
func (p *Pipeline) whose(w *work) string {
	if w.linked != nil {
		return w.linked.Employee
	}
	v := p.ix.identify(w.source, w.token, w.ours, w.keys, p.books[w.source], w.waited)
	if v.create {
		return p.Codec.Sealer.Token("employee", w.source, w.rec.Key)
	}
	return v.employee
}

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
	if errors.Is(err, bus.ErrConflict) && len(g.acks) == 1 {
		p.refusals[g.acks[0].Seq]++
	}
	p.limit = max(1, p.limit/2)
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

func rulebooks(c *config.Company) map[string]rulebook {
	books := map[string]rulebook{}
	for name, s := range c.Sources {
		b := rulebook{confidence: map[string]bool{}}
		for _, m := range s.Match {
			b.confidence[matchKind(m.By)] = m.Sure
		}
		b.waits = len(c.AlsoTargets(name)) > 0
		books[name] = b
	}
	return books
}

func matchKind(by string) string {
	switch by {
	case config.ByWorkEmail:
		return matchEmail
	case config.ByEmployeeNumber:
		return matchNumber
	}
	return matchID
}
