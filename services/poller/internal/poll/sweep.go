package poll

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/codes"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/topology"
)

// sweep asks on a schedule for what changed, so that a webhook that was never
// sent is found. The schedule goes on over restarts: it counts from the last
// frame. A sweep that fails is tried again sooner, unless the vendor said when:
// that holds for the whole account.
func (p *Poller) sweep(ctx context.Context) error {
	failed := 0
	wait, err := p.untilNext(ctx)
	for {
		if err != nil && ctx.Err() == nil {
			failed++
			f := fault.Of(err)
			wait = max(f.After, min(p.Schedule, backoff(targetFactor*p.first, failed)))
			if f.Class == fault.Throttled {
				p.pause(wait)
			}
			p.Log.WarnContext(ctx, "a sweep failed", "source", p.Source, "class", f.Class.String(), "reason", f.Reason, "err", err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		if wait, err = p.paused(), nil; wait > 0 {
			continue
		}
		p.asking.Lock()
		err = p.ask(ctx)
		p.asking.Unlock()
		if err == nil {
			failed, wait = 0, p.Schedule
		}
	}
}

// untilNext is how long it is to the next sweep. An account that was never
// asked begins its schedule now, and a frame remembers that. A sweep that was
// cut off goes on at once.
func (p *Poller) untilNext(ctx context.Context) (time.Duration, error) {
	last, err := p.last(ctx)
	if err != nil {
		return 0, err
	}
	now := p.Clock.Now()
	switch {
	case last.At.IsZero():
		last.At = now
		_, err = p.remember(ctx, event.ReadPagedV1, last)
		return p.Schedule, err
	case last.More:
		return 0, nil
	}
	return min(p.Schedule, max(0, last.At.Add(p.Schedule).Sub(now))), nil
}

// ask reads every page after the stored cursor. What a page brought is durable
// before its cursor is. Called by one goroutine at a time, under asking.
func (p *Poller) ask(ctx context.Context) (err error) {
	ctx, span := p.Tracer.Start(ctx, "sweep {source}")
	defer span.End()
	defer func() {
		if err != nil {
			span.SetStatus(codes.Error, fault.Reason(err))
		}
	}()
	last, err := p.last(ctx)
	if err != nil {
		return err
	}
	for last.More = true; last.More; {
		if last, err = p.page(ctx, last); err != nil {
			return err
		}
	}
	return nil
}

// page takes the page behind the last one, and gives what is remembered of it.
//
// No single read runs meanwhile, so that reads of one key never overlap.
func (p *Poller) page(ctx context.Context, last place) (place, error) {
	p.reading.Lock()
	defer p.reading.Unlock()
	if wait := p.paused(); wait > 0 { // a single read was told so since the page before
		return last, throttled(wait)
	}
	page, err := p.Changes.Changes(ctx, last.Cursor)
	if err != nil {
		return last, err
	}
	if page.More && page.Next == last.Cursor {
		return last, fault.New(fault.Transient, "cursor", "the vendor has more and does not say where to go on")
	}
	frame := page.Frame
	now := place{record.Read{Source: p.Source, Read: frame.Read, Cursor: last.Cursor, More: true, At: p.Clock.Now()}, last.seq}
	switch {
	case frame.Read == "":
	case frame.Begin:
		if now, err = p.remember(ctx, event.ReadBegunV1, now); err != nil {
			return last, err
		}
	case last.Read.Read == frame.Read:
		now.Total, now.Rejected = last.Total, last.Rejected
	default:
		return last, fault.New(fault.Transient, "frame", "the vendor goes on with a full read that never began")
	}
	lost, err := p.takeAll(ctx, page)
	if err != nil {
		return last, err
	}
	now.Cursor, now.More, now.Records, now.At = page.Next, page.More, len(page.Records), p.Clock.Now()
	if frame.Read == "" {
		return p.remember(ctx, event.ReadPagedV1, now)
	}
	now.Total, now.Rejected = now.Total+len(page.Records), now.Rejected+lost
	if frame.End == "" {
		return p.remember(ctx, event.ReadPagedV1, now)
	}
	if now.Outcome = frame.End; now.Outcome == connector.Complete && now.Rejected > 0 {
		now.Outcome = connector.Partial // who was rejected is not in RAW, and has not left
	}
	return p.remember(ctx, event.ReadEndedV1, now)
}

// reject keeps what is no record for a person to look at.
func (p *Poller) reject(ctx context.Context, r connector.Rejected) error {
	return p.bury(ctx, p.Codec.Token(p.Source, r.Key), record.DeadLetter{
		Event: p.Codec.Sealer.Token("rejected", p.Source, r.ID), Attempts: 1, Key: r.Key,
	}, &fault.Error{Class: fault.Record, Reason: r.Reason, Path: r.Path, Rule: r.Rule})
}

// place is a frame and the sequence it stands at. The next one must come right
// behind it, which fences another copy of this poller.
type place struct {
	record.Read
	seq uint64 // 0: there is none yet
}

// last is the newest frame.
func (p *Poller) last(ctx context.Context) (place, error) {
	in, err := p.Bus.Last(ctx, topology.Raw, topology.RawReads(p.Source))
	if errors.Is(err, bus.ErrNotFound) {
		return place{Read: record.Read{Source: p.Source}}, nil
	}
	if err != nil {
		return place{}, err
	}
	r, err := p.Codec.OpenFrame(in.Event)
	return place{r, in.Seq}, err
}

// remember stores a frame behind the one it follows, and gives its own place.
// The error is [bus.ErrConflict] if another copy's came first: what it knows is
// to be read again.
func (p *Poller) remember(ctx context.Context, typ string, next place) (place, error) {
	msg, err := p.Codec.Frame(ctx, typ, next.Read)
	if err != nil {
		return next, err
	}
	next.seq, err = p.Bus.Publish(ctx, topology.Raw, bus.Out{Subject: msg.Subject, Event: msg.Event, Expect: &next.seq})
	return next, err
}
