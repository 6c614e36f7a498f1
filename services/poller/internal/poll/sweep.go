package poll

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"go.opentelemetry.io/otel/codes"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// frame is the head of a message on hr.raw.<source>._read. The last one is the
// memory of the sweep: its cursor is where the next begins.
type frame struct {
	Source  string           `json:"source"`
	Cursor  connector.Cursor `json:"cursor"`
	Records int              `json:"records"`
	At      time.Time        `json:"at"`
}

// sweep asks on a schedule for what changed, so that a webhook that was never
// sent is found. The schedule goes on over restarts: it counts from the last
// frame. A sweep that fails is tried again sooner.
func (p *Poller) sweep(ctx context.Context) error {
	failed := 0
	wait, err := p.untilNext(ctx)
	for {
		if err != nil && ctx.Err() == nil {
			failed++
			f := fault.Of(err)
			wait = min(p.Schedule, max(f.After, backoff(targetFactor*p.first, failed)))
			p.Log.WarnContext(ctx, "a sweep failed", "source", p.Source, "class", f.Class.String(), "reason", f.Reason, "err", err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		if err = p.ask(ctx); err == nil {
			failed, wait = 0, p.Schedule
		}
	}
}

// untilNext is how long it is to the next sweep. An account that was never
// asked begins its schedule now, and a frame remembers that.
func (p *Poller) untilNext(ctx context.Context) (time.Duration, error) {
	last, err := p.last(ctx)
	if err != nil {
		return 0, err
	}
	now := p.Clock.Now()
	if last.At.IsZero() {
		return p.Schedule, p.remember(ctx, frame{Source: p.Source, At: now})
	}
	return min(p.Schedule, max(0, last.At.Add(p.Schedule).Sub(now))), nil
}

// ask reads every page after the stored cursor. What a page brought is durable
// before its cursor is.
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
	at := last.Cursor
	for more := true; more; {
		page, err := p.Changes.Changes(ctx, at)
		if err != nil {
			return err
		}
		if page.More && page.Next == at {
			return fault.New(fault.Transient, "cursor", "the vendor has more and does not say where to go on")
		}
		for _, rec := range page.Records {
			if err := p.take(ctx, rec); err != nil {
				return err
			}
		}
		at, more = page.Next, page.More
		if err := p.remember(ctx, frame{p.Source, at, len(page.Records), p.Clock.Now()}); err != nil {
			return err
		}
	}
	return nil
}

// take makes what a page holds durable. A record that cannot be packed becomes
// a dead letter: it must not keep the others of its page from coming.
func (p *Poller) take(ctx context.Context, rec connector.Record) error {
	now := p.Clock.Now()
	switch rec.Kind {
	case connector.KindRecord:
		err := p.store(ctx, rec, now)
		if f := fault.Of(err); f != nil && f.Class == fault.Record {
			return p.bury(ctx, p.Codec.Token(p.Source, rec.Key), record.DeadLetter{
				Event: p.Codec.Sealer.Token("record", p.Source, rec.Key, rec.ID), Attempts: 1, Key: rec.Key,
			}, f)
		}
		return err
	case connector.KindHint:
		msg, err := p.Codec.Ask(ctx, p.Source, rec, now)
		if err != nil {
			return err
		}
		_, err = p.Bus.Publish(ctx, topology.Hints, bus.Out{Subject: msg.Subject, Event: msg.Event})
		return err
	case connector.KindPing, connector.KindIgnored:
	}
	return nil
}

// last is the newest frame; the zero one if there is none.
func (p *Poller) last(ctx context.Context) (f frame, err error) {
	in, err := p.Bus.Last(ctx, topology.Raw, topology.RawReads(p.Source))
	if errors.Is(err, bus.ErrNotFound) {
		return frame{}, nil
	}
	if err != nil {
		return frame{}, err
	}
	head, err := seal.Head(in.Event.Data())
	if err != nil {
		return frame{}, err
	}
	err = json.Unmarshal(head, &f)
	return f, err
}

func (p *Poller) remember(ctx context.Context, f frame) error {
	head, err := json.Marshal(f)
	if err != nil {
		return err
	}
	data, err := p.Codec.Sealer.Seal(ctx, "", "", seal.Envelope{Head: head}) // nothing to seal: no key is fetched
	if err != nil {
		return err
	}
	id := p.Codec.Sealer.Token("read", p.Source, string(f.Cursor), f.At.String())
	_, err = p.Bus.Publish(ctx, topology.Raw, bus.Out{Subject: topology.RawReads(p.Source), Event: event.New(id, "/muster/"+p.Company+"/poller", event.ReadEndedV1, data)})
	return err
}
