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
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

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
	ranks     ranks
	states    *lru.Cache[string, *employee.State]
	ix        *index
	waiting   map[string]waiting // by `<source>.<token>`
	group     *group
	aside     aside
	meeting   meeting // employees whose state goes on without a record
	round     round
	limit     int     // changes per commit; halved after a refusal until the culprit is alone
	refused   refusal // of the record that was refused alone last
}

// refusal counts how often a record that stood alone was refused.
type refusal struct {
	raw   uint64
	times int
}

const (
	groupLimit  = 400
	groupLinger = 10 * time.Millisecond // only after a group that was a batch
	stateCache  = 2048                  // more than two groups: what is staged is never read back; some 6 kB each
	againPause  = 200 * time.Millisecond
	waitTick    = 250 * time.Millisecond // how often link_wait and the day are looked at; the clock may be moved
)

// New makes a pipeline for a company.
func New(d Deps) (*Pipeline, error) {
	p := &Pipeline{Deps: d, effective: effective{d.Company.Zone}, books: rulebooks(d.Company), ranks: ranking(d.Company.Authority), limit: groupLimit}
	var err error
	p.states, err = lru.New[string, *employee.State](stateCache)
	return p, err
}

// Run works until ctx ends. When it returns, nothing of it runs any more.
func (p *Pipeline) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := p.session(ctx); err != nil && ctx.Err() == nil {
			p.Log.WarnContext(ctx, "starting again from what is committed", "reason", fault.Reason(err), "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(againPause):
			}
		}
	}
	return nil
}

// session loads the index and follows RAW until something fails. It leaves
// nothing running: the next session reads what this one has committed.
func (p *Pipeline) session(ctx context.Context) error {
	p.ix, p.waiting, p.group, p.aside = newIndex(), map[string]waiting{}, &group{}, aside{}
	p.meeting = meeting{}
	p.states.Purge()
	if err := p.ix.load(ctx, p.Bus, func(st record.Statement, token string) { p.await(ctx, st, token) }); err != nil {
		return err
	}
	if err := p.ix.loadAnswers(ctx, p.Bus); err != nil {
		return err
	}
	p.catchUp(ctx)
	p.round.begin(p.effective.today(p.Clock.Now()), p.ix)
	feed, err := p.Bus.Feed(ctx, bus.FeedOptions{Stream: topology.Raw, Durable: topology.TransformRaw})
	if err != nil {
		return err
	}
	defer feed.Close()
	f := &feeder{out: make(chan chan *work, ahead)}
	feeding, stop := context.WithCancel(ctx)
	go f.run(feeding, feed, p.open)
	defer f.wait()
	defer stop()
	c := &committer{p: p, feed: feed, done: make(chan error, 1)}
	defer func() {
		_ = p.group.pack() // what was collected and is not committed comes again
		c.wait()
	}()
	return p.follow(ctx, c, f)
}

// feeder fetches records, has them mapped on all cores and hands them on in
// order. It closes out when the feed ends; then err says why.
type feeder struct {
	out chan chan *work
	err error
}

// openers is how many records are opened and mapped at a time. More than cores:
// a key that is not at hand is waited for, not computed.
const openers = 64

// ahead is how many records may be opened, or be about to, before their turn:
// those that are, and as many for the sequencer. A thousand records that wait in
// the clear are no faster.
const ahead = 2 * openers

func (f *feeder) run(ctx context.Context, feed *bus.Feed, open func(context.Context, bus.In) *work) {
	defer close(f.out)
	var cores errgroup.Group
	cores.SetLimit(openers)
	defer func() { _ = cores.Wait() }() // they report through their slots
	for given := false; ; {
		in, err := feed.Next(ctx)
		if errors.Is(err, bus.ErrReset) && !given {
			continue // nothing was handed out yet
		}
		if err != nil {
			f.err = err
			return
		}
		given = true
		slot := make(chan *work, 1)
		select {
		case f.out <- slot:
		case <-ctx.Done():
			f.err = ctx.Err()
			return
		}
		cores.Go(func() error {
			slot <- open(ctx, in)
			return nil
		})
	}
}

// wait returns when the feeder has ended; its context must have. What was
// handed out and not taken comes again.
func (f *feeder) wait() {
	for range f.out {
		continue
	}
}

// follow is the sequencer: it processes records in order and commits them in
// groups, one commit in flight while the next group is collected.
func (p *Pipeline) follow(ctx context.Context, c *committer, f *feeder) error {
	tick := time.NewTicker(waitTick)
	defer tick.Stop()
	var linger <-chan time.Time
	for {
		if c.inflight == nil && p.group.empty() && len(p.aside.list)+len(p.meeting.list) > 0 {
			if err := p.goOn(ctx, c); err != nil {
				return err
			}
		}
		if linger == nil && c.idle() && (len(f.out) == 0 || len(p.aside.list)+len(p.meeting.list) > 0) {
			if c.batched && p.group.size() < p.limit {
				linger = time.After(groupLinger - min(groupLinger, time.Since(p.group.begun)))
			} else if err := p.flush(ctx, c); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-c.done:
			if err := c.settle(err); err != nil {
				return err
			}
		case <-linger:
			linger = nil
			if err := p.flush(ctx, c); err != nil {
				return err
			}
		case <-tick.C:
			for _, over := range p.over() {
				if err := p.resume(ctx, c, over); err != nil {
					return err
				}
			}
			if err := p.linkFound(ctx, c); err != nil {
				return err
			}
			if err := p.newDay(ctx, c); err != nil {
				return err
			}
		case slot, ok := <-f.out:
			if !ok {
				return f.err
			}
			if err := p.take(ctx, c, <-slot); err != nil {
				return err
			}
		}
	}
}

// take processes one record, or sets it aside when a commit must come first.
func (p *Pipeline) take(ctx context.Context, c *committer, w *work) error {
	id := p.whose(w)
	switch busy := p.busy(c, w, id); {
	case !p.known(w) && (busy || len(p.aside.list) > 0), len(p.aside.list) >= asideLimit, p.group.size() >= p.limit:
		if err := p.settle(ctx, c); err != nil {
			return err
		}
	case busy:
		p.aside.add(w, id)
		return nil
	}
	if err := p.process(ctx, w); err != nil {
		return err
	}
	if p.group.size() >= p.limit {
		return p.flush(ctx, c)
	}
	return nil
}

// whose is the employee a record will be merged into, as far as is known.
func (p *Pipeline) whose(w *work) string {
	if w.linked != nil {
		return w.linked.Employee
	}
	if w.sheet != nil {
		p.link(w)
		return w.writes()
	}
	v := p.identify(w)
	if v.create {
		return p.newID(w)
	}
	return v.employee
}

// newID is derived, so that a commit that is tried again makes the same person.
func (p *Pipeline) newID(w *work) string {
	return p.Codec.Sealer.Token("employee", w.source, w.rec.Key)
}
