package poll

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/topology"
)

// bulk replaces single reads by one read of what changed, when many hints wait:
//
//	hints 51…400 wait ► the newest is noted ► every page behind the stored cursor ► 51…400 are done
//	hints that came meanwhile stay
//
// How many wait is asked of the broker, and nothing of this is kept: after a
// crash the hints come again, the read goes on behind the last page that was
// stored, and then stands for all of them.
type bulk struct {
	upTo  atomic.Uint64 // hints up to this sequence are in what a read of changes brought
	ended atomic.Int64  // when that was, Unix nanoseconds

	mu     sync.Mutex // one read at a time; of the rest
	failed int
	next   time.Time // not before
}

// stands tells whether a read of changes stands for a batch, and makes that
// read if too many wait for single ones. An error is the vendor's, and asks for
// a pause: when the changes cannot be read for another reason, single reads go on.
//
// What a read of changes listed itself is always read: the cursor is past it.
func (p *Poller) stands(ctx context.Context, batch []bus.In) (bool, error) {
	if p.Bulk <= 0 || p.Changes == nil || slices.ContainsFunc(batch, p.isListed) {
		return false, nil
	}
	newest := batch[len(batch)-1].Seq
	if newest <= p.bulk.upTo.Load() {
		return true, nil
	}
	if many, err := p.crowded(ctx); err != nil || !many {
		return newest <= p.bulk.upTo.Load(), err // one may have come to its end meanwhile
	}
	p.bulk.mu.Lock()
	defer p.bulk.mu.Unlock()
	if newest <= p.bulk.upTo.Load() {
		return true, nil
	}
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if wait := p.paused(); wait > 0 { // another handler was told so while this one stood in line
		return false, throttled(wait)
	}
	if p.Clock.Now().Before(p.bulk.next) {
		return false, nil
	}
	if many, err := p.crowded(ctx); err != nil || !many {
		return false, err
	}
	upTo, ok, err := p.together(ctx, newest)
	if err == nil {
		if ok {
			p.bulk.failed = 0
			p.bulk.ended.Store(p.Clock.Now().UnixNano())
			p.bulk.upTo.Store(upTo)
		}
		return ok, nil
	}
	f := fault.Of(err)
	if f.Class == fault.Throttled {
		p.pause(max(f.After, p.first)) // before another handler gets the lock
		return false, err
	}
	if ours(err) || ctx.Err() != nil {
		return false, err
	}
	p.bulk.failed++
	wait := backoff(targetFactor*p.first, p.bulk.failed)
	p.bulk.next = p.Clock.Now().Add(wait)
	p.Log.WarnContext(ctx, "changes could not be read, so hints are read one by one", "source", p.Source, "class", f.Class.String(), "reason", f.Reason, "for", wait, "err", err)
	return false, nil
}

// isListed tells of a hint that a read of changes gave.
func (p *Poller) isListed(in bus.In) bool {
	return in.Subject == topology.Listed(p.Source, topology.Last(in.Subject))
}

// farewell is how long what a read stood for may count as waiting: it is done,
// and its acknowledgement is under way.
const farewell = time.Minute

// crowded asks the broker whether more hints wait than are read one by one.
// When the broker does not answer, nothing that is read could be stored.
func (p *Poller) crowded(ctx context.Context) (bool, error) {
	s, err := p.Bus.ConsumerState(ctx, topology.Hints, topology.PollerHints(p.Source))
	if err != nil {
		if ours(err) || ctx.Err() != nil {
			return false, err
		}
		return false, nil
	}
	if s.AckFloor < p.bulk.upTo.Load() && p.Clock.Now().UnixNano()-p.bulk.ended.Load() < int64(farewell) {
		return false, nil
	}
	return s.Pending+uint64(max(0, s.AckPending)) > uint64(p.Bulk), nil
}

// together reads every page behind the stored cursor, and gives the newest hint
// that had come before. False: there is no cursor yet, so it would be everybody.
func (p *Poller) together(ctx context.Context, newest uint64) (upTo uint64, ok bool, err error) {
	p.asking.Lock()
	defer p.asking.Unlock()
	last, err := p.last(ctx)
	if err != nil || last.Cursor == "" {
		return 0, false, err
	}
	if last.More { // a pass that began before these hints came stands for none of them
		if err := p.ask(ctx); err != nil {
			return 0, false, err
		}
	}
	in, err := p.Bus.Last(ctx, topology.Hints, topology.Hint(p.Source, "*"))
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		return 0, false, err
	}
	p.Log.InfoContext(ctx, "many hints wait: what changed is read together", "source", p.Source)
	return max(newest, in.Seq), true, p.ask(ctx)
}

// covers tells whether a source's changes hold all that its hints may tell of.
func covers(s connector.Source) bool {
	c, said := s.(connector.Covers)
	return !said || c.Covers()
}
