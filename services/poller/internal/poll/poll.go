// Package poll follows one account: hints become reads, a schedule asks for
// what changed.
package poll

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/clock"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/telemetry"
	"github.com/muster-hr/muster/libs/topology"
)

// Deps is what a poller works with.
type Deps struct {
	Bus      *bus.Bus
	Codec    record.Codec
	Company  string
	Config   string
	Source   string
	Reader   connector.Reader // nil: one record cannot be read, and no hints come
	Changes  connector.Source // nil: the vendor cannot say what changed
	Schedule time.Duration    // between two sweeps; 0: none
	Bulk     int              // above so many waiting hints one read of changes replaces single reads; 0: never
	InFlight int
	Clock    clock.Clock
	Log      *slog.Logger
	Tracer   trace.Tracer
	Dead     func()
}

// Poller follows one account.
type Poller struct {
	Deps
	lanes   *bus.Lanes
	first   time.Duration // pause after the first failure
	bulk    bulk
	until   atomic.Int64 // when the vendor said it may be asked again, Unix nanoseconds
	asking  sync.Mutex   // one goes through the pages at a time
	reading sync.RWMutex // held for writing by a page, whose keys nobody reads meanwhile
}

// New makes a poller.
func New(d Deps) *Poller {
	if d.Changes != nil && !covers(d.Changes) {
		d.Bulk = 0
	}
	return &Poller{Deps: d, first: firstRetry}
}

// Run follows hints and the schedule until ctx ends.
func (p *Poller) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	if p.Reader != nil {
		feed, err := p.Bus.Feed(ctx, bus.FeedOptions{Stream: topology.Hints, Durable: topology.PollerHints(p.Source)})
		if err != nil {
			return err
		}
		p.lanes = bus.NewLanes(bus.LaneOptions{Feeds: []*bus.Feed{feed}, InFlight: p.InFlight, Coalesce: true, Handle: p.handle})
		g.Go(func() error { return p.lanes.Run(ctx) })
	}
	if p.Changes != nil && p.Schedule > 0 {
		g.Go(func() error { return p.sweep(ctx) })
	}
	return g.Wait()
}

// handle reads one key once, however many hints wait for it: the read begins
// after the newest of them came.
func (p *Poller) handle(ctx context.Context, batch []bus.In, attempt int) bus.Verdict {
	in := batch[len(batch)-1]
	if in.Err != nil {
		p.Log.ErrorContext(ctx, "a hint is not a CloudEvent and was passed over", "sequence", in.Seq, "err", in.Err)
		return bus.Verdict{}
	}
	done, err := p.stands(ctx, batch)
	if err == nil && !done {
		err = p.read(ctx, in, attempt)
	}
	return p.verdict(ctx, in, attempt, err)
}

// read turns a hint into a record of RAW.
func (p *Poller) read(ctx context.Context, in bus.In, attempt int) (err error) {
	ctx, span := telemetry.StartProcess(telemetry.Extract(ctx, in.Traceparent), p.Tracer, telemetry.Message{
		Stream: topology.Hints, Template: "hr.hint.{account}.{key}", ID: in.Event.ID(), Consumer: topology.PollerHints(p.Source), Attempt: attempt,
	}, nil)
	defer func() { telemetry.End(span, err) }()
	hint, err := p.Codec.OpenHint(ctx, topology.Last(in.Subject), in.Event)
	if err != nil {
		return unpackable("hint", fmt.Errorf("open a hint: %w", err))
	}
	p.reading.RLock()
	defer p.reading.RUnlock()
	rec, err := p.Reader.Read(ctx, hint.Key)
	if err != nil {
		return err
	}
	if rec.Event == "" {
		rec.Event = hint.Event
	}
	if rec.Deleted && hint.Event == "" {
		rec.Event = "deleted"
	}
	if rec.ID == "" {
		rec.ID = in.Event.ID() + rec.Version.Value
	}
	return p.store(ctx, rec, hint.At)
}

// store makes a record durable. accepted is when we first heard of it, from
// which latencies count.
func (p *Poller) store(ctx context.Context, rec connector.Record, accepted time.Time) (err error) {
	msg, err := p.Codec.Receive(ctx, p.Source, rec, accepted)
	if err != nil {
		return unpackable("record", fmt.Errorf("pack a record: %w", err))
	}
	ctx, send := telemetry.StartSend(ctx, p.Tracer, telemetry.Message{Stream: topology.Raw, Template: "hr.raw.{source}.{key}", ID: msg.Event.ID()})
	defer func() { telemetry.End(send, err) }()
	_, err = p.Bus.Publish(ctx, topology.Raw, bus.Out{Subject: msg.Subject, Event: msg.Event})
	return err
}

// firstRetry is the pause after the first failure; it doubles with each until
// retryLimit. An account that is unusable is given targetFactor of it.
const (
	firstRetry   = time.Second
	retryLimit   = 5 * time.Minute
	targetFactor = 5
)

// verdict decides what becomes of a hint. A read that fails for a passing
// reason is tried for ever: the hint is all we have.
func (p *Poller) verdict(ctx context.Context, in bus.In, attempt int, err error) bus.Verdict {
	if err == nil {
		return bus.Verdict{}
	}
	if ctx.Err() != nil || ours(err) {
		return bus.Verdict{Retry: p.first}
	}
	f := fault.Of(err)
	p.Log.WarnContext(ctx, "a read failed", "source", p.Source, "hint", in.Event.ID(), "attempt", attempt, "class", f.Class.String(), "reason", f.Reason, "err", err)
	switch f.Class {
	case fault.Throttled:
		wait := max(f.After, p.first) // a wait of nothing would be the verdict that all is done
		p.pause(wait)
		return bus.Verdict{Retry: wait}
	case fault.Target:
		wait := backoff(targetFactor*p.first, attempt)
		p.lanes.Pause(wait)
		return bus.Verdict{Retry: wait}
	case fault.Record:
		token, letter := topology.Last(in.Subject), record.DeadLetter{Event: in.Event.ID(), Attempts: attempt}
		if hint, err := p.Codec.OpenHint(ctx, token, in.Event); err == nil { // else that is what the letter is about
			letter.Key = hint.Key
		}
		if err := p.bury(ctx, token, letter, f); err != nil {
			p.Log.WarnContext(ctx, "a dead letter could not be stored", "source", p.Source, "hint", in.Event.ID(), "err", err)
			return bus.Verdict{Retry: p.first}
		}
		return bus.Verdict{}
	case fault.Done:
		return bus.Verdict{}
	case fault.Transient:
	}
	return bus.Verdict{Retry: backoff(p.first, attempt)}
}

// pause leaves the whole account alone for as long as its vendor said, whoever
// was told: single reads and sweeps.
func (p *Poller) pause(d time.Duration) {
	p.until.Store(time.Now().Add(d).UnixNano())
	if p.lanes != nil {
		p.lanes.Pause(d)
	}
}

// paused is how long the account is still to be left alone.
func (p *Poller) paused() time.Duration { return max(0, time.Until(time.Unix(0, p.until.Load()))) }

// throttled is what the vendor would say if it were asked during a pause.
func throttled(d time.Duration) error {
	return &fault.Error{Class: fault.Throttled, Reason: "rate_limited", After: d}
}

// ours tells of an error of our own bus, which says nothing about a record.
func ours(err error) bool {
	return errors.Is(err, bus.ErrUnavailable) || errors.Is(err, bus.ErrBusy) || errors.Is(err, bus.ErrClosed)
}

// unpackable is the error of packing or opening something sealed: the fault of
// the record, unless only its key could not be had just now.
func unpackable(reason string, err error) error {
	if ours(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if f, told := errors.AsType[*fault.Error](err); told && f.Class == fault.Record {
		return err // it says itself what is wrong
	}
	return fault.New(fault.Record, reason, "%w", err)
}

func backoff(first time.Duration, attempt int) time.Duration {
	wait := min(first<<min(attempt-1, 20), retryLimit)
	return time.Duration(float64(wait) * (0.8 + 0.4*rand.Float64()))
}

// bury keeps what cannot be read or stored for a person to look at. token
// stands for its key.
func (p *Poller) bury(ctx context.Context, token string, d record.DeadLetter, f *fault.Error) error {
	d.Stage, d.Source, d.At, d.Config = topology.StageMap, p.Source, p.Clock.Now(), p.Config
	d.Class, d.Reason, d.Path, d.Rule = f.Class.String(), f.Reason, f.Path, f.Rule
	letter, err := p.Codec.Bury(ctx, token, d)
	if err != nil {
		return err
	}
	none := uint64(0)
	_, err = p.Bus.Publish(ctx, topology.Dead, bus.Out{Subject: letter.Subject, Event: letter.Event, Expect: &none})
	if err != nil && !errors.Is(err, bus.ErrConflict) {
		return err
	}
	p.Dead()
	return nil
}
