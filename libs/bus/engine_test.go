package bus

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// script is a source that gives what it is told and notes the acknowledgements.
type script struct {
	ins   chan In
	errs  chan error
	acks  []uint64
	beats []uint64
	mu    chan struct{}
}

func newScript() *script {
	return &script{ins: make(chan In, 1000), errs: make(chan error), mu: make(chan struct{}, 1)}
}

func (s *script) Next(ctx context.Context) (In, error) {
	select {
	case in := <-s.ins:
		return in, nil
	case err := <-s.errs:
		return In{}, err
	case <-ctx.Done():
		return In{}, ctx.Err()
	}
}

func (s *script) Ack(ins ...In) error     { s.note(&s.acks, ins); return nil }
func (s *script) Working(ins ...In) error { s.note(&s.beats, ins); return nil }

func (s *script) note(to *[]uint64, ins []In) {
	s.mu <- struct{}{}
	for _, in := range ins {
		*to = append(*to, in.Seq)
	}
	<-s.mu
}

func (s *script) give(key string, seqs ...uint64) {
	for _, n := range seqs {
		s.ins <- In{Subject: "hr.employee." + key, Seq: n, reply: fmt.Sprint(n)}
	}
}

// run starts lanes in a bubble and gives back how to stop them.
func run(t *testing.T, o LaneOptions, sources ...source) (*Lanes, func()) {
	l := newLanes(o, sources, len(sources))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	return l, func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}

func TestPauseThenProbeThenAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		var down atomic.Bool
		var now, most atomic.Int32
		down.Store(true)
		var l *Lanes
		l, stop := run(t, LaneOptions{InFlight: 8, Handle: func(context.Context, []In, int) Verdict {
			n := now.Add(1)
			defer now.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(time.Second)
			if down.Load() {
				l.Pause(time.Minute)
				return Verdict{Retry: 5 * time.Second}
			}
			return Verdict{}
		}}, s)
		for i := range 40 {
			s.give(fmt.Sprint("k", i), uint64(i+1))
		}
		synctest.Wait()
		equal(t, "at first", most.Load(), 8)
		time.Sleep(2 * time.Second) // all eight have failed
		most.Store(0)
		time.Sleep(58 * time.Second)
		equal(t, "paused", fmt.Sprint(most.Load(), l.Stats().Paused), "0 true")
		time.Sleep(10 * time.Second) // one probe, which fails
		equal(t, "probing", fmt.Sprint(most.Load(), l.Stats().Probing, now.Load()), "1 true 0")
		down.Store(false)
		time.Sleep(52 * time.Second) // the probe that succeeds has begun
		synctest.Wait()
		equal(t, "second probe", fmt.Sprint(most.Load(), now.Load()), "1 1")
		time.Sleep(time.Second)
		synctest.Wait()
		equal(t, "after its success", fmt.Sprint(now.Load(), l.Stats().Probing), "8 false")
		time.Sleep(time.Minute)
		synctest.Wait()
		equal(t, "acknowledged", len(s.acks), 40)
		stop()
	})
}

func TestOnlyTheFailingKeyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.give("bad", 1, 2)
		s.give("good", 3, 4)
		var order []string
		_, stop := run(t, LaneOptions{InFlight: 1, Handle: func(_ context.Context, b []In, attempt int) Verdict {
			order = append(order, fmt.Sprint(b[0].Seq, "/", attempt))
			if b[0].Seq == 1 && attempt < 3 {
				return Verdict{Retry: time.Minute}
			}
			return Verdict{}
		}}, s)
		time.Sleep(time.Hour)
		synctest.Wait()
		equal(t, "order", order, "[1/1 3/1 4/1 1/2 1/3 2/1]")
		equal(t, "acknowledged", s.acks, "[3 4 1 2]")
		stop()
	})
}

func TestCopiesAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.give("a", 1, 2)
		var handled []uint64
		release := make(chan struct{})
		_, stop := run(t, LaneOptions{Handle: func(_ context.Context, b []In, _ int) Verdict {
			<-release
			handled = append(handled, b[0].Seq)
			return Verdict{}
		}}, s)
		synctest.Wait()
		s.give("a", 1, 2) // copies of one in a handler and one in the lane
		synctest.Wait()
		close(release)
		synctest.Wait()
		s.give("a", 1, 2, 3) // copies of what is done: their acknowledgement was lost
		synctest.Wait()
		equal(t, "handled", handled, "[1 2 3]")
		equal(t, "acknowledged", s.acks, "[1 2 1 2 3]")
		stop()
	})
}

func TestResetForgetsWhatNoHandlerHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.give("a", 1, 3)
		s.give("b", 2)
		var handled []string
		release := make(chan struct{})
		l, stop := run(t, LaneOptions{Handle: func(_ context.Context, b []In, attempt int) Verdict {
			if b[0].Seq == 2 && attempt == 1 {
				return Verdict{Retry: time.Hour}
			}
			<-release
			handled = append(handled, fmt.Sprint(b[0].Seq, "/", attempt))
			return Verdict{}
		}}, s)
		synctest.Wait()
		equal(t, "before", l.Stats(), LaneStats{Keys: 2, Queued: 2, Waiting: 1, Running: 1})
		s.errs <- ErrReset
		synctest.Wait()
		equal(t, "after", l.Stats(), LaneStats{Keys: 1, Queued: 0, Waiting: 0, Running: 1})
		s.give("a", 1)
		s.give("b", 2)
		s.give("a", 3)
		close(release)
		synctest.Wait()
		time.Sleep(time.Hour)
		synctest.Wait()
		equal(t, "handled", handled, "[1/1 3/1 2/2]")
		equal(t, "empty", l.Stats(), LaneStats{})
		stop()
	})
}

func TestInvalidMessagesStayAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		var batches [][]uint64
		release := make(chan struct{})
		_, stop := run(t, LaneOptions{Coalesce: true, Handle: func(_ context.Context, b []In, _ int) Verdict {
			<-release
			var seqs []uint64
			for _, in := range b {
				seqs = append(seqs, in.Seq)
			}
			batches = append(batches, seqs)
			return Verdict{}
		}}, s)
		s.give("a", 1, 2, 3)
		s.ins <- In{Subject: "hr.employee.a", Seq: 4, Err: errors.New("no event")}
		s.give("a", 5, 6)
		synctest.Wait()
		close(release)
		synctest.Wait()
		equal(t, "batches", batches, "[[1] [2 3] [4] [5 6]]")
		stop()
	})
}

func TestRunningMessagesAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.give("a", 1, 2)
		_, stop := run(t, LaneOptions{Handle: func(context.Context, []In, int) Verdict {
			time.Sleep(140 * time.Second)
			return Verdict{}
		}}, s)
		time.Sleep(301 * time.Second)
		synctest.Wait()
		equal(t, "reported", s.beats, "[1 1 2 2]") // at 60, 120, 180 and 240 s
		stop()
	})
}

func TestFeedErrorEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, other := newScript(), newScript()
		l := newLanes(LaneOptions{Handle: func(context.Context, []In, int) Verdict { return Verdict{} }}, []source{s, other}, 2)
		done := make(chan error)
		go func() { done <- l.Run(context.Background()) }()
		s.errs <- ErrNotFound
		if err := <-done; !errors.Is(err, ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		filter, subject string
		want            bool
	}{
		{"a.b", "a.b", true}, {"a.b", "a.c", false}, {"a.b", "a.b.c", false}, {"a.b.c", "a.b", false},
		{"a.*", "a.b", true}, {"a.*", "a", false}, {"a.*", "a.b.c", false}, {"*.b", "a.b", true},
		{"a.>", "a.b.c", true}, {"a.>", "a", false}, {">", "a", true}, {"*", "", false},
	} {
		if got := Matches(c.filter, c.subject); got != c.want {
			t.Errorf("Matches(%q, %q) = %v", c.filter, c.subject, got)
		}
	}
}

// A key goes on while the record of its last batch becomes durable; nothing is
// acknowledged, and nothing handled twice, before that.
func TestAfterIsWaitedForBeforeTheAcknowledgement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		durable := map[uint64]chan error{1: make(chan error, 1), 2: make(chan error, 1), 3: make(chan error, 1)}
		var handled []uint64
		_, stop := run(t, LaneOptions{Handle: func(_ context.Context, batch []In, _ int) Verdict {
			seq := batch[0].Seq
			handled = append(handled, seq)
			return Verdict{After: func(ctx context.Context) error {
				select {
				case err := <-durable[seq]:
					return err
				case <-ctx.Done():
					return ctx.Err()
				}
			}}
		}}, s)
		s.give("a", 1, 2)
		synctest.Wait()
		equal(t, "handled", handled, []uint64{1, 2})
		equal(t, "acknowledged", s.acks, []uint64{})
		s.give("a", 1) // the server sends it again
		synctest.Wait()
		equal(t, "handled", handled, []uint64{1, 2})
		durable[1] <- nil
		synctest.Wait()
		equal(t, "acknowledged", s.acks, []uint64{1})
		s.give("a", 3)
		synctest.Wait()
		time.AfterFunc(time.Second, func() {
			durable[2] <- nil
			durable[3] <- errors.New("could not be stored")
		})
		stop() // waits for both
		equal(t, "acknowledged", s.acks, []uint64{1, 2})
	})
}
