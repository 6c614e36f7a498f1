package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"syscall"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// How long a batch waits for a receiver that is not listening yet: services
// start in any order, and the console may be the last.
const (
	refusedPause = 250 * time.Millisecond
	refusedLimit = 15 * time.Second
)

// patient wraps an exporter: it waits for a receiver that refuses connections,
// and tells the service's own log about failures once per failing period. The
// SDK would tell its global error handler about each batch.
type patient struct {
	next   sdktrace.SpanExporter
	log    *slog.Logger
	failed atomic.Bool
}

// ExportSpans never fails: lost spans must not look like lost work.
func (p *patient) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := p.next.ExportSpans(ctx, spans)
	for begun := time.Now(); errors.Is(err, syscall.ECONNREFUSED) && time.Since(begun) < refusedLimit; {
		select {
		case <-ctx.Done():
			p.tell(ctx, err)
			return nil
		case <-time.After(refusedPause):
		}
		err = p.next.ExportSpans(ctx, spans)
	}
	p.tell(ctx, err)
	return nil
}

func (p *patient) tell(ctx context.Context, err error) {
	was := p.failed.Swap(err != nil)
	switch {
	case p.log == nil || was == (err != nil):
	case err != nil:
		p.log.WarnContext(ctx, "traces are not exported", "err", err)
	default:
		p.log.InfoContext(ctx, "traces are exported again")
	}
}

// Shutdown stops the exporter.
func (p *patient) Shutdown(ctx context.Context) error { return p.next.Shutdown(ctx) }
