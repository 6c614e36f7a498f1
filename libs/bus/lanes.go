package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Verdict is what a handler says about the batch it was given. The zero
// Verdict acknowledges it.
type Verdict struct {
	// Retry, if positive, asks for the same batch again after that time. Only
	// this key waits, and its order is kept. With Coalesce the batch may have
	// grown by then.
	Retry time.Duration
	// Done is the zero Verdict in a word; it wins over Retry.
	Done bool
	// After, if set, is waited for before the batch is acknowledged, while the
	// key goes on: for a handler whose record of what it did becomes durable
	// later. After an error the batch is not acknowledged and comes again with
	// the next run.
	After func(context.Context) error
}

// LaneOptions say how lanes work.
type LaneOptions struct {
	Feeds    []*Feed // at least one of both kinds
	Priority []*Feed // their messages go to the head of their key's lane, alone, and before all other keys

	Key    func(In) string                                            // default: the last token of the subject
	Handle func(ctx context.Context, batch []In, attempt int) Verdict // attempt counts from 1

	InFlight     int           // handlers at once; default 64
	Coalesce     bool          // give a handler all messages of its key that wait, in order, the newest last
	Heartbeat    time.Duration // how often running messages are reported; default 60 s
	DrainTimeout time.Duration // how long handlers may run on after ctx ended; default 15 s
	Remember     int           // keys whose last done message is remembered; default 65536
}

// LaneStats are numbers for metrics.
type LaneStats struct {
	Keys    int // keys with work
	Queued  int // messages that wait, for a handler or for their retry
	Waiting int // keys that wait for a retry
	Running int // handlers at work
	Paused  bool
	Probing bool
}

// Lanes hand the messages of feeds to handlers: of one key one at a time and
// in order, of many keys at once. A handler is called at least once for each
// message, and never for an older message of a key after a newer one of the
// same feed was done, unless this program restarts in between.
type Lanes struct {
	o       LaneOptions
	sources []source
	first   int // sources from here on are priority ones
	e       *engine
}

// source is what lanes need of a feed.
type source interface {
	Next(context.Context) (In, error)
	Ack(...In) error
	Working(...In) error
}

// NewLanes prepares lanes; Run works.
func NewLanes(o LaneOptions) *Lanes {
	var sources []source
	for _, f := range o.Feeds {
		sources = append(sources, f)
	}
	for _, f := range o.Priority {
		sources = append(sources, f)
	}
	return newLanes(o, sources, len(o.Feeds))
}

func newLanes(o LaneOptions, sources []source, first int) *Lanes {
	if o.Key == nil {
		o.Key = func(in In) string { return lastToken(in.Subject) }
	}
	if o.InFlight == 0 {
		o.InFlight = 64
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = time.Minute
	}
	if o.DrainTimeout == 0 {
		o.DrainTimeout = 15 * time.Second
	}
	if o.Remember == 0 {
		o.Remember = 65536
	}
	return &Lanes{o: o, sources: sources, first: first, e: newEngine(o, sources)}
}

// Run works until ctx ends: then it stops taking messages, lets running
// handlers end and returns nil. What is not done comes again to the next run.
// It ends with an error when a feed does. It may be called once.
func (l *Lanes) Run(ctx context.Context) error {
	taking, stop := context.WithCancel(ctx)
	defer stop()
	l.e.taking = taking
	errs := make(chan error, len(l.sources))
	var wg sync.WaitGroup
	for i, s := range l.sources {
		wg.Go(func() {
			if err := l.take(taking, i, s); err != nil {
				errs <- err
				stop()
			}
		})
	}
	beats := make(chan struct{})
	wg.Go(func() {
		tick := time.NewTicker(l.o.Heartbeat)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				l.e.heartbeat()
			case <-beats:
				return
			}
		}
	})
	<-taking.Done()
	l.e.drain(l.o.DrainTimeout)
	close(beats)
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

// take moves messages from a feed into the lanes.
func (l *Lanes) take(ctx context.Context, i int, s source) error {
	if f, ok := s.(*Feed); ok {
		defer f.Close()
	}
	for {
		in, err := s.Next(ctx)
		switch {
		case err == nil:
			l.e.push(i, l.o.Key(in), in, i >= l.first)
		case errors.Is(err, ErrReset):
			l.e.forget(i)
		case ctx.Err() != nil || errors.Is(err, ErrClosed):
			return nil
		default:
			return fmt.Errorf("lanes: %w", err)
		}
	}
}

// Pause starts no handlers for d; running ones go on. After it one handler at
// a time probes until one of them, started after the pause, succeeds. A new
// pause replaces the old one; d = 0 ends it and begins the probing.
func (l *Lanes) Pause(d time.Duration) { l.e.pause(d) }

// Stats counts what is in the lanes now.
func (l *Lanes) Stats() LaneStats { return l.e.stats() }
