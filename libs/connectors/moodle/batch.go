package moodle

import (
	"context"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"

	"github.com/muster-hr/muster/libs/fault"
)

// overhead are the form fields of every call: token, function, format, and one
// in reserve, as PHP cuts off silently.
const overhead = 4

// entry is one user in a call of many.
type entry struct {
	id   string // of an update; filled in by a create
	form form
	ctx  context.Context //nolint:containedctx // each of a call's users has an own one
	err  error
	done chan struct{}
}

// batch gathers the entries that wait for a place into calls of several. Nobody
// waits to be joined: who comes alone goes alone.
//
//	Apply ─┐
//	Apply ─┼─► queue ──(a place is free)──► one call ──► an answer for each
//	Apply ─┘
type batch struct {
	api    *api
	most   int // entries in a call
	inputs int // form fields in a call
	run    func(ctx context.Context, es []*entry) ([]error, error)

	mu    sync.Mutex
	queue []*entry
}

// do sends one entry, in company or not, and waits for what came of it.
func (b *batch) do(ctx context.Context, e *entry) error {
	e.ctx, e.done = ctx, make(chan struct{})
	b.mu.Lock()
	b.queue = append(b.queue, e)
	b.mu.Unlock()
	for {
		select {
		case b.api.gate <- struct{}{}:
			b.lead()
			b.api.leave()
		case <-e.done:
			return e.err
		case <-ctx.Done():
			if b.withdraw(e) {
				return ended(ctx)
			}
			<-e.done // it is under way, and ends when nobody waits for it
			return e.err
		}
	}
}

// lead sends the oldest entries as one call. It goes on as long as one of them
// still wants an answer, and carries the trace of the first; the spans of the
// others are linked to it.
func (b *batch) lead() {
	es := b.take()
	if len(es) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(es[0].ctx))
	defer cancel()
	var left atomic.Int64
	left.Store(int64(len(es)))
	lead := trace.SpanContextFromContext(ctx)
	for i, e := range es {
		stop := context.AfterFunc(e.ctx, func() {
			if left.Add(-1) == 0 {
				cancel()
			}
		})
		defer stop()
		if i > 0 && lead.IsValid() {
			trace.SpanFromContext(e.ctx).AddLink(trace.Link{SpanContext: lead})
		}
	}
	for i, err := range halve(ctx, es, b.run) {
		es[i].err = err
		close(es[i].done)
	}
}

func (b *batch) take() []*entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, inputs := 0, overhead
	for n < len(b.queue) && n < b.most {
		inputs += len(b.queue[n].form)
		if n > 0 && inputs > b.inputs {
			break
		}
		n++
	}
	es := b.queue[:n:n]
	b.queue = b.queue[n:]
	return es
}

// withdraw takes an entry back, if nobody has taken it yet.
func (b *batch) withdraw(e *entry) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, q := range b.queue {
		if q == e {
			b.queue = append(b.queue[:i:i], b.queue[i+1:]...)
			return true
		}
	}
	return false
}

// halve makes one call for all. What one of them did wrong fails a call as a
// whole at Moodle, and it does not say which: then each half goes alone, until
// the culprit does. A database that refuses gets one more try, alone.
//
// run gives an error for each, or one for the whole call.
func halve[T any](ctx context.Context, all []T, run func(context.Context, []T) ([]error, error)) []error {
	errs, err := run(ctx, all)
	if err == nil {
		for i, e := range errs {
			if is(e, reasonWrite) {
				errs[i] = once(ctx, all[i:i+1], run)
			}
		}
		return errs
	}
	switch {
	case fault.Of(err).Class == fault.Record && len(all) > 1:
		half := len(all) / 2
		return append(halve(ctx, all[:half], run), halve(ctx, all[half:], run)...)
	case is(err, reasonWrite):
		return []error{once(ctx, all, run)}
	}
	errs = make([]error, len(all))
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// once is the error of a single one.
func once[T any](ctx context.Context, one []T, run func(context.Context, []T) ([]error, error)) error {
	errs, err := run(ctx, one)
	if err != nil {
		return err
	}
	return errs[0]
}
