package poll

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/telemetry"
	"github.com/muster-hr/muster/libs/topology"
)

// A page is stored in parts of this size, whatever its source gives at once, and
// so many of a part are sealed side by side: each waits for a data key, and keys
// that are wanted together are synced together.
const (
	partSize = 1000
	packers  = 512
)

// item is a record or hint of a page on its way to its stream.
type item struct {
	stream string
	out    bus.Out    // without a subject: there is nothing to store
	span   trace.Span // nil for hints
	lost   bool       // it became a dead letter
}

// takeAll makes a page durable, the records of one key in their order. lost
// counts those that became dead letters.
func (p *Poller) takeAll(ctx context.Context, page connector.Page) (lost int, err error) {
	for _, r := range page.Rejected {
		if err := p.reject(ctx, r); err != nil {
			return 0, err
		}
	}
	lost = len(page.Rejected)
	for records := page.Records; len(records) > 0; {
		part := records[:min(partSize, len(records))]
		records = records[len(part):]
		n, err := p.takePart(ctx, part)
		if err != nil {
			return 0, err
		}
		lost += n
	}
	return lost, nil
}

// takePart packs records side by side, hands them over in their order, and waits
// until all are durable.
func (p *Poller) takePart(ctx context.Context, records []connector.Record) (lost int, err error) {
	now := p.Clock.Now()
	items := make([]item, len(records))
	g, packing := errgroup.WithContext(ctx)
	g.SetLimit(packers)
	for i, r := range records {
		g.Go(func() (err error) { items[i], err = p.pack(packing, r, now); return err })
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	stored := make([]*bus.Future, len(items))
	defer func() {
		for i := range items {
			if items[i].span != nil {
				telemetry.End(items[i].span, err)
			}
		}
	}()
	for i := range items {
		it := &items[i]
		if it.lost {
			lost++
		}
		if it.out.Subject == "" {
			continue
		}
		sending := ctx
		if it.stream == topology.Raw {
			sending, it.span = telemetry.StartSend(ctx, p.Tracer, telemetry.Message{Stream: topology.Raw, Template: "hr.raw.{source}.{key}", ID: it.out.Event.ID()})
		}
		if stored[i], err = p.Bus.PublishAsync(sending, it.stream, it.out); err != nil {
			return 0, err
		}
	}
	for _, f := range stored {
		if f == nil {
			continue
		}
		if _, err = f.Wait(ctx); err != nil {
			return 0, err
		}
	}
	return lost, nil
}

// pack makes what a page holds ready to be stored. A record that cannot be
// packed becomes a dead letter: it must not keep the others of its page from
// coming.
func (p *Poller) pack(ctx context.Context, rec connector.Record, now time.Time) (item, error) {
	switch rec.Kind {
	case connector.KindRecord:
		msg, err := p.Codec.Receive(ctx, p.Source, rec, now)
		if err != nil {
			err = unpackable("record", err)
			f := fault.Of(err)
			if f.Class != fault.Record {
				return item{}, err
			}
			return item{lost: true}, p.bury(ctx, p.Codec.Token(p.Source, rec.Key), record.DeadLetter{
				Event: p.Codec.Sealer.Token("record", p.Source, rec.Key, rec.ID), Attempts: 1, Key: rec.Key,
			}, f)
		}
		return item{stream: topology.Raw, out: bus.Out{Subject: msg.Subject, Event: msg.Event}}, nil
	case connector.KindHint:
		msg, err := p.Codec.Ask(ctx, p.Source, rec, now)
		if err != nil {
			return item{}, err
		}
		subject := topology.Listed(p.Source, topology.Last(msg.Subject))
		return item{stream: topology.Hints, out: bus.Out{Subject: subject, Event: msg.Event}}, nil
	case connector.KindPing, connector.KindIgnored:
	}
	return item{}, nil
}
