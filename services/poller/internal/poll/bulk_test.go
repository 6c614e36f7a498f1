package poll

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/testkit"
	"github.com/muster-hr/muster/libs/topology"
)

// newBulk is an account that was swept once: the cursor is "1", and the pages
// behind it are list. Its schedule is not reached.
func newBulk(t *testing.T, list ...[]connector.Record) (*world, *pages) {
	w, p := newSweep(t, append([][]connector.Record{{rec("known", "0")}}, list...)...)
	all := p.pages
	p.pages = all[:1]
	if err := New(w.deps).ask(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.pages, p.asked = all, nil
	w.deps.Schedule, w.deps.Bulk = time.Hour, 20
	return w, p
}

func listed(key, id string) connector.Record {
	return connector.Record{Kind: connector.KindHint, Key: key, ID: id, Event: "listed"}
}

func (w *world) crowd(n int) {
	w.t.Helper()
	for i := range n {
		w.hint(fmt.Sprint("h", i), "1", "told")
	}
}

func (w *world) waiting() uint64 {
	w.t.Helper()
	s, err := w.bus.StreamState(context.WithoutCancel(w.t.Context()), topology.Hints)
	if err != nil {
		w.t.Fatal(err)
	}
	return s.Messages
}

func (w *world) read() int {
	w.vendor.mu.Lock()
	defer w.vendor.mu.Unlock()
	n := 0
	for _, one := range w.vendor.reads {
		n += one
	}
	return n
}

// TestManyHintsAreOneRead: one read of changes from the stored cursor replaces
// the single ones; only what it listed is read, what came meanwhile stays, and
// no hint is gone before every page is stored.
func TestManyHintsAreOneRead(t *testing.T) {
	w, p := newBulk(t,
		[]connector.Record{listed("h3", "a"), rec("h9", "b")},
		[]connector.Record{listed("h7", "c"), listed("new", "d")},
	)
	w.crowd(100)
	p.hook = func(after connector.Cursor) {
		w.vendor.mu.Lock()
		for key, n := range w.vendor.running {
			if n > 0 {
				t.Errorf("%s is read during a page", key)
			}
		}
		w.vendor.mu.Unlock()
		if after == "1" {
			w.hint("late", "1", "")
		}
		if n := w.waiting(); n < 101 {
			t.Errorf("at page %s only %d hints are left", after, n)
		}
	}
	w.start()
	w.settled()
	if got := p.cursors()[:2]; !slices.Equal(got, []connector.Cursor{"1", "2"}) || w.cursor() != "3" {
		t.Errorf("asked from %q, the cursor is %q", got, w.cursor())
	}
	for _, key := range []string{"h3", "h7", "new", "late"} {
		if w.vendor.count(key) != 1 || len(w.records(key)) != 1 {
			t.Errorf("%s: %d reads, %d records", key, w.vendor.count(key), len(w.records(key)))
		}
	}
	if n := w.read(); n != 4 || len(w.records("h9")) != 1 || w.vendor.overlap {
		t.Errorf("%d single reads, want 4; overlap %t", n, w.vendor.overlap)
	}
}

// TestAPassThatBeganBefore stands for no hint that came later: its first page may
// be older than what the hint tells of. It is finished, then another begins.
func TestAPassThatBeganBefore(t *testing.T) {
	w, p := newBulk(t, []connector.Record{rec("h0", "a")}, []connector.Record{rec("h2", "b")})
	w.deps.Schedule = 0   // no sweep finishes it
	before := New(w.deps) // it dies after its first page
	last, err := before.last(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := before.page(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	w.crowd(60)
	var once sync.Once
	p.hook = func(after connector.Cursor) {
		if after == "2" {
			once.Do(func() {
				p.mu.Lock()
				defer p.mu.Unlock()
				p.pages = append(p.pages, []connector.Record{rec("h0", "z")}) // told by a hint, and not on the first page
			})
		}
	}
	w.start()
	w.settled()
	if n := len(w.records("h0")); n != 2 || w.cursor() != "4" || w.vendor.count("h0") != 0 {
		t.Errorf("%d records of h0, want 2; the cursor is %q, %d single reads", n, w.cursor(), w.vendor.count("h0"))
	}
}

// TestKillBetweenPages: the poller's connection is cut after each of the pages
// in turn. Nothing was acknowledged, the next run goes on behind the last stored
// page, and every change is there.
func TestKillBetweenPages(t *testing.T) {
	for _, at := range []connector.Cursor{"1", "2", "3"} {
		t.Run(string(at), func(t *testing.T) {
			w, p := newBulk(t,
				[]connector.Record{rec("h0", "a"), listed("h1", "b")},
				[]connector.Record{rec("h2", "c")},
				[]connector.Record{rec("h3", "d"), listed("h4", "e")},
			)
			w.crowd(60)
			var once sync.Once
			dead := make(chan struct{})
			cut := testkit.Connect(t, w.srv, bus.Options{Name: "poller", Timeout: time.Second})
			p.hook = func(after connector.Cursor) {
				if after == at {
					once.Do(func() { cut.Close(); close(dead) })
				}
			}
			whole := w.deps.Bus
			w.deps.Bus = cut
			stop := w.start()
			<-dead
			stop()
			if n := w.waiting(); n < 60 || w.cursor() != at {
				t.Fatalf("%d hints are left, the cursor is %q", n, w.cursor())
			}
			w.deps.Bus = whole
			w.start()
			w.settled()
			if w.cursor() != "4" {
				t.Errorf("the cursor is %q", w.cursor())
			}
			for _, key := range []string{"h0", "h1", "h2", "h3", "h4"} {
				ids := map[string]bool{}
				for _, in := range w.stored(topology.Raw, topology.RawRecord("hr", w.codec.Token("hr", key))) {
					ids[in.Event.ID()] = true
				}
				if len(ids) != 1 {
					t.Errorf("%s has %d records", key, len(ids))
				}
			}
			if n := w.read(); n != 2 {
				t.Errorf("%d single reads, want those of the two that were listed", n)
			}
		})
	}
}

// TestListedIsAlwaysRead: what a read of changes listed is not in the next one.
// A webhook for the same key and a crowd do not take it away.
func TestListedIsAlwaysRead(t *testing.T) {
	w, p := newBulk(t, []connector.Record{listed("h1", "a"), listed("h2", "b")})
	if err := New(w.deps).ask(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.crowd(60)
	w.start()
	w.settled()
	if w.vendor.count("h1") != 1 || w.vendor.count("h2") != 1 || w.read() != 2 {
		t.Errorf("h1 %d, h2 %d, all %d reads", w.vendor.count("h1"), w.vendor.count("h2"), w.read())
	}
	if !slices.Contains(p.cursors(), "2") {
		t.Errorf("asked from %q", p.cursors())
	}
}

// uncovered is a source whose hints tell of more than it lists.
type uncovered struct{ connector.Source }

func (uncovered) Covers() bool { return false }

// TestHintsThatAreReadOneByOne: no crowd, or nothing to stand for it.
func TestHintsThatAreReadOneByOne(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*world, *pages)
		asks   int
	}{
		"no crowd":           {func(w *world, _ *pages) { w.deps.Bulk = 30 }, 0},
		"switched off":       {func(w *world, _ *pages) { w.deps.Bulk = 0 }, 0},
		"no source":          {func(w *world, _ *pages) { w.deps.Changes = nil }, 0},
		"hints tell of more": {func(w *world, _ *pages) { w.deps.Changes = uncovered{w.deps.Changes} }, 0},
		"never swept":        {func(w *world, _ *pages) { w.deps.Source = "young" }, 0},
		"changes fail": {func(_ *world, p *pages) {
			p.fail["1"] = fault.New(fault.Target, "permission", "no")
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w, p := newBulk(t)
			c.change(w, p)
			if w.deps.Source == "young" {
				if err := bus.Ensure(t.Context(), testkit.Connect(t, w.srv, bus.Options{Name: "admin"}), bus.PlanFor(bus.Names{Sources: []string{"hr", "young"}})); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 30 {
				w.tell(w.deps.Source, fmt.Sprint("h", i), "1", "")
			}
			poller := New(w.deps)
			poller.first = time.Hour // one failure is enough for this test
			w.run(poller)
			w.settled()
			if n := w.read(); n != 30 || len(p.cursors()) != c.asks {
				t.Errorf("%d single reads, asked from %q", n, p.cursors())
			}
		})
	}
}

// TestThrottledChangesPauseTheAccount: nobody is read one by one because the
// vendor wants less.
func TestThrottledChangesPauseTheAccount(t *testing.T) {
	w, p := newBulk(t, []connector.Record{rec("h1", "a")})
	p.fail["1"] = &fault.Error{Class: fault.Throttled, Reason: "rate_limited", After: 50 * time.Millisecond}
	w.crowd(60)
	w.start()
	w.settled()
	if n := w.read(); n != 0 || len(w.records("h1")) != 1 {
		t.Errorf("%d single reads", n)
	}
	if got := p.cursors(); !slices.Equal(got[:2], []connector.Cursor{"1", "1"}) {
		t.Errorf("asked from %q", got)
	}
}
