// Package keep follows the streams and keeps what they tell in the ledger.
//
//	stream ──► up to 2048 messages or 20 ms ──► one transaction ──► acknowledge
//
// A message is acknowledged after its row was committed. What comes again after
// a crash is recognised by its sequence, so every message has exactly one row.
// Rows that were committed and are gone, since the database failed over or was
// restored, are written again as far as the streams still have their messages.
// What all consumers have acknowledged is trimmed, never the newest of a
// subject.
package keep

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/ledger"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/topology"
)

// Trimmed are the streams of which only the newest message of a subject is
// needed once everybody has read the others. Of SURVEYS the older one of a
// response that was linked later is not sealed under its employee's keys.
var Trimmed = []string{topology.Raw, topology.People, topology.Delivered, topology.Surveys}

// Options say what is kept and trimmed, and how.
type Options struct {
	Codec     *record.Codec   // opens responses to surveys and packs notes of our own; nil: there are no facts and no notes
	Newest    map[string]bool // targets that take a person's newest state, which stands for all before it
	Streams   []string        // followed by the durable consumer of the audit
	Trim      []string        // streams to trim
	TrimEvery time.Duration   // 0: never
	Batch     int             // rows at a time; 0: 2048
	Within    time.Duration   // time to gather them; 0: 20 ms
	Log       *slog.Logger
	Metrics   Metrics
}

// Metrics are told what was done; nil fields are not.
type Metrics struct {
	Rows    func(stream string, n int)    // rows added
	Lag     func(stream string, n uint64) // messages that wait
	Lost    func(stream string, n uint64) // rows that the database lost and that cannot be written again
	Trimmed func(stream string, n int)    // subjects trimmed
}

// Keeper follows the streams of one company.
type Keeper struct {
	bus    *bus.Bus
	ledger *ledger.Ledger
	o      Options

	open    atomic.Bool  // the tables are there
	failing atomic.Int32 // streams that cannot be written down now

	committed func(stream string) error // tests let the process die between commit and acknowledgement
}

// A batch of so many messages shows load: then the next one is gathered for so
// many times longer.
const (
	loaded   = 32
	patience = 10
)

// How long to wait before trying again what cannot be done now: the database
// is away, the stream is not made yet.
const (
	retryFirst = 100 * time.Millisecond
	retryMost  = 10 * time.Second
)

// New makes a keeper; Run starts it.
func New(b *bus.Bus, l *ledger.Ledger, o Options) *Keeper {
	if o.Batch == 0 {
		o.Batch = 2048
	}
	if o.Within == 0 {
		o.Within = 20 * time.Millisecond
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Keeper{bus: b, ledger: l, o: o}
}

// State is "" while rows can be written, else the reason why not, for anybody
// to see.
func (k *Keeper) State() string {
	switch {
	case !k.open.Load():
		return "starting"
	case k.failing.Load() > 0:
		return "cannot write"
	}
	return ""
}

// Run makes the tables, then follows all streams until ctx ends. A database
// that is away is waited for: the streams keep what is not yet written.
func (k *Keeper) Run(ctx context.Context) error {
	err := k.persist(ctx, "make the tables", func() error {
		return errors.Join(k.ledger.Migrate(ctx), k.ledger.Ahead(ctx, time.Now().UTC()))
	})
	if err != nil {
		return ended(ctx, err)
	}
	k.open.Store(true)
	g, ctx := errgroup.WithContext(ctx)
	for _, stream := range k.o.Streams {
		g.Go(func() error { return ended(ctx, k.follow(ctx, stream)) })
	}
	g.Go(func() error { return k.every(ctx, k.o.TrimEvery, k.trim) })
	g.Go(func() error { return k.every(ctx, time.Hour, k.hourly) })
	return g.Wait()
}

// follow writes a stream down until ctx ends. A database that lost what it had
// committed is brought up to it again first.
func (k *Keeper) follow(ctx context.Context, stream string) error {
	for lost := uint64(0); ; {
		err := k.restore(ctx, stream, lost)
		if err == nil {
			err = k.read(ctx, stream)
		}
		behind, ok := errors.AsType[*ledger.Behind](err)
		if !ok {
			return err
		}
		lost = behind.Lost
	}
}

// read writes down what comes, until it cannot.
func (k *Keeper) read(ctx context.Context, stream string) error {
	var feed *bus.Feed
	err := k.persist(ctx, "follow "+stream, func() (err error) {
		feed, err = k.bus.Feed(ctx, bus.FeedOptions{Stream: stream, Durable: topology.AuditAll, Pull: k.o.Batch})
		return err
	})
	if err != nil {
		return err
	}
	defer feed.Close()
	within := k.o.Within
	var ins []bus.In // both are used again: a row takes as much room as a head
	var rows []ledger.Record
	for {
		var err error
		ins, err = feed.NextBatch(ctx, ins[:0], k.o.Batch, within)
		if errors.Is(err, bus.ErrReset) {
			continue // what was gathered comes again
		}
		if err != nil {
			return err
		}
		rows = slices.Grow(rows[:0], len(ins))[:len(ins)]
		if err := k.keep(ctx, feed, stream, ins, rows); err != nil {
			return err
		}
		clear(ins) // lets go of the messages
		clear(rows)
		// Under load fewer and larger transactions leave the disk to the streams.
		within = k.o.Within
		if len(ins) >= loaded {
			within *= patience
		}
	}
}

// keep writes a batch and acknowledges it. rows is room for its rows.
func (k *Keeper) keep(ctx context.Context, feed *bus.Feed, stream string, ins []bus.In, rows []ledger.Record) error {
	// After bus.AckWait, which a database may be away for, the server gives again
	// what it gave out, behind it.
	slices.SortStableFunc(ins, func(a, b bus.In) int { return cmp.Compare(a.Seq, b.Seq) })
	ins = slices.CompactFunc(ins, func(a, b bus.In) bool { return a.Seq == b.Seq })
	if err := k.write(ctx, stream, ins, rows); err != nil {
		return err
	}
	if k.committed != nil {
		if err := k.committed(stream); err != nil {
			return err
		}
	}
	if err := feed.Ack(ins...); err != nil {
		return err
	}
	if k.o.Metrics.Lag != nil {
		k.o.Metrics.Lag(stream, ins[len(ins)-1].Pending)
	}
	return nil
}

// write commits the rows of a batch.
func (k *Keeper) write(ctx context.Context, stream string, ins []bus.In, rows []ledger.Record) error {
	rows = rows[:len(ins)]
	for i := range ins {
		rows[i] = Row(ins[i])
		rows[i].Newest = k.o.Newest[rows[i].Target]
		if !k.answered(&rows[i]) {
			continue
		}
		if err := k.persist(ctx, "open a response", func() error { return k.answers(ctx, ins[i], &rows[i]) }); err != nil {
			return err
		}
	}
	var added int
	err := k.shown(ctx, "write down "+stream, func() (err error) {
		added, err = k.ledger.Append(ctx, stream, rows)
		return err
	})
	if err == nil && k.o.Metrics.Rows != nil {
		k.o.Metrics.Rows(stream, added)
	}
	return err
}

// shown is persist for what a stream cannot be written down without: while it
// fails, State says so.
func (k *Keeper) shown(ctx context.Context, what string, f func() error) error {
	failed := false
	err := k.persist(ctx, what, func() error {
		err := f()
		if err != nil && !failed {
			failed = true
			k.failing.Add(1)
		}
		return err
	})
	if failed {
		k.failing.Add(-1)
	}
	return err
}

// persist does f until it succeeds, ctx ends or the database turns out to have
// lost what it had. Errors are logged once per
// kind of trouble, not per try.
func (k *Keeper) persist(ctx context.Context, what string, f func() error) error {
	wait, logged := retryFirst, ""
	for {
		err := f()
		if err == nil {
			if logged != "" {
				k.o.Log.InfoContext(ctx, "works again", "what", what)
			}
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if _, behind := errors.AsType[*ledger.Behind](err); behind {
			return err
		}
		if err.Error() != logged {
			logged = err.Error()
			k.o.Log.ErrorContext(ctx, "cannot "+what+", trying again", "err", err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
		wait = min(2*wait, retryMost)
	}
}

// every does f now and again. It is housekeeping: a failure is logged and the
// next turn tries again.
func (k *Keeper) every(ctx context.Context, d time.Duration, f func(context.Context) error) error {
	if d <= 0 {
		return nil
	}
	ticker := time.NewTicker(d)
	defer ticker.Stop()
	for {
		if err := f(ctx); err != nil && ctx.Err() == nil {
			k.o.Log.WarnContext(ctx, "housekeeping of the audit failed", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// hourly makes the next partitions and writes the ends of the chains to the
// log: a chain does not show that its tail was cut off, the log does.
func (k *Keeper) hourly(ctx context.Context) error {
	if err := k.ledger.Ahead(ctx, time.Now().UTC()); err != nil {
		return err
	}
	heads, err := k.ledger.Heads(ctx)
	if err != nil {
		return err
	}
	for _, h := range heads {
		k.o.Log.InfoContext(ctx, "end of chain", "stream", h.Stream, "life", h.Life, "seq", h.Seq, "rows", h.Rows, "hash", hex.EncodeToString(h.Hash))
	}
	return nil
}

// ended makes the end of our context no error.
func ended(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return fmt.Errorf("audit: %w", err)
}
