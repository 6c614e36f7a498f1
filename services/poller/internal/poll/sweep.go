package poll

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/fault"
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
// sent is found.
func (p *Poller) sweep(ctx context.Context) error {
	tick := time.NewTicker(p.Schedule)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := p.ask(ctx); err != nil && ctx.Err() == nil {
			p.Log.WarnContext(ctx, "a sweep failed", "source", p.Source, "reason", fault.Reason(err), "err", err)
		}
	}
}

// ask reads every page after the stored cursor. What a page brought is durable
// before its cursor is.
func (p *Poller) ask(ctx context.Context) error {
	ctx, span := p.Tracer.Start(ctx, "sweep {source}")
	defer span.End()
	at, err := p.cursor(ctx)
	if err != nil {
		return err
	}
	for more := true; more; {
		page, err := p.Changes.Changes(ctx, at)
		if err != nil {
			return err
		}
		for _, rec := range page.Records {
			if err := p.take(ctx, rec); err != nil {
				return err
			}
		}
		if page.Next == at && !page.More {
			return nil
		}
		at, more = page.Next, page.More
		if err := p.remember(ctx, frame{p.Source, at, len(page.Records), p.Clock.Now()}); err != nil {
			return err
		}
	}
	return nil
}

func (p *Poller) take(ctx context.Context, rec connector.Record) error {
	now := p.Clock.Now()
	switch rec.Kind {
	case connector.KindRecord:
		return p.store(ctx, rec, now)
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

func (p *Poller) cursor(ctx context.Context) (connector.Cursor, error) {
	in, err := p.Bus.Last(ctx, topology.Raw, topology.RawReads(p.Source))
	if errors.Is(err, bus.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	head, err := seal.Head(in.Event.Data())
	if err != nil {
		return "", err
	}
	var f frame
	err = json.Unmarshal(head, &f)
	return f.Cursor, err
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
