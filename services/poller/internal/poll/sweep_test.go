package poll

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/testkit"
	"github.com/muster-hr/muster/libs/topology"
)

// pages is a vendor's list of changes; the cursor is the number of the page.
type pages struct {
	mu    sync.Mutex
	pages [][]connector.Record
	asked []connector.Cursor
	fail  map[connector.Cursor]error // once each
	hook  func(connector.Cursor)
}

func (p *pages) changes(_ context.Context, after connector.Cursor) (connector.Page, error) {
	p.mu.Lock()
	p.asked = append(p.asked, after)
	err, hook := p.fail[after], p.hook
	delete(p.fail, after)
	all := p.pages
	p.mu.Unlock()
	if hook != nil {
		hook(after)
	}
	if err != nil {
		return connector.Page{}, err
	}
	n := 0
	_, _ = fmt.Sscan(string(after), &n)
	if n >= len(all) {
		return connector.Page{Next: after}, nil
	}
	return connector.Page{Records: all[n], Next: connector.Cursor(fmt.Sprint(n + 1)), More: n+1 < len(all)}, nil
}

func (p *pages) cursors() []connector.Cursor {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

func newSweep(t *testing.T, list ...[]connector.Record) (*world, *pages) {
	w := newWorld(t)
	p := &pages{pages: list, fail: map[connector.Cursor]error{}}
	w.vendor.changes = p.changes
	w.deps.Changes, w.deps.Schedule = w.vendor, 30*time.Millisecond
	return w, p
}

func rec(key, id string) connector.Record {
	return connector.Record{Kind: connector.KindRecord, Key: key, ID: id, Event: "changed", Body: json.RawMessage(`{"id":"` + id + `"}`)}
}

// frames are the poller's memory in RAW, oldest first.
func (w *world) frames() (all []record.Read) {
	w.t.Helper()
	for _, in := range w.stored(topology.Raw, topology.RawReads("hr")) {
		f, err := w.codec.OpenFrame(in.Event)
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, f)
	}
	return all
}

func (w *world) cursor() connector.Cursor {
	if all := w.frames(); len(all) > 0 {
		return all[len(all)-1].Cursor
	}
	return ""
}

// TestSweep: every page is taken, hints are read, the cursor stands behind what
// its page brought, and the next run goes on where the last one ended.
func TestSweep(t *testing.T) {
	w, p := newSweep(t,
		[]connector.Record{rec("1", "a"), rec("2", "b")},
		[]connector.Record{{Kind: connector.KindHint, Key: "3", ID: "c"}, {Kind: connector.KindIgnored}},
	)
	stop := w.start()
	w.until("the cursor", func() bool { return w.cursor() == "2" })
	w.settled()
	w.until("a sweep of what is new", func() bool { return slices.Contains(p.cursors(), "2") })
	stop()
	for _, key := range []string{"1", "2", "3"} {
		if n := len(w.records(key)); n != 1 {
			t.Errorf("%d records of %s", n, key)
		}
	}
	seen := ""
	for _, in := range w.stored(topology.Raw, ">") { // the order in RAW
		switch {
		case topology.Last(in.Subject) == topology.ReadFrames:
			seen += "f"
		default:
			seen += "r"
		}
	}
	if seen[:4] != "frrf" {
		t.Errorf("RAW holds %s (f: frame, r: record), want the first frame, two records, the frame behind them", seen)
	}
	p.mu.Lock()
	p.asked, p.pages = nil, append(p.pages, []connector.Record{rec("4", "d")})
	p.mu.Unlock()
	w.start()
	w.until("the page that is new", func() bool { return w.cursor() == "3" })
	if got := p.cursors()[0]; got != "2" {
		t.Errorf("after a restart it asked from %q", got)
	}
	if len(w.records("1")) != 1 || len(w.records("4")) != 1 {
		t.Error("an old page came again, or the new one did not")
	}
}

// TestCrashBetweenPageAndCursor: the page comes again and each record has the
// id it had.
func TestCrashBetweenPageAndCursor(t *testing.T) {
	w, _ := newSweep(t, []connector.Record{rec("1", "a"), rec("1", "b")})
	p := New(w.deps)
	for range 2 { // the first run ends before it remembers
		page, err := w.vendor.Changes(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.takeAll(t.Context(), page); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.ask(t.Context()); err != nil {
		t.Fatal(err)
	}
	ids := map[string]int{}
	for _, in := range w.stored(topology.Raw, topology.RawRecord("hr", w.codec.Token("hr", "1"))) {
		ids[in.Event.ID()]++
	}
	if len(ids) != 2 || w.cursor() != "1" {
		t.Errorf("ids %v, cursor %q; want 2 ids, and the cursor", ids, w.cursor())
	}
}

// TestSweepFails: a page that fails leaves the cursor where it was and is asked
// for again, without the pages before it and before the schedule would.
func TestSweepFails(t *testing.T) {
	w, p := newSweep(t, []connector.Record{rec("1", "a")}, []connector.Record{rec("2", "b")})
	p.fail["1"] = fault.New(fault.Transient, "status_500", "no")
	w.start()
	w.until("both pages", func() bool { return w.cursor() == "2" })
	if got := p.cursors()[:3]; !slices.Equal(got, []connector.Cursor{"", "1", "1"}) {
		t.Errorf("asked from %q", got)
	}
	if len(w.records("1")) != 1 || len(w.records("2")) != 1 {
		t.Error("a record came twice or not at all")
	}
}

// TestThrottledSweep pauses the account for as long as the vendor said, however
// short the schedule: neither another sweep nor a single read comes before.
func TestThrottledSweep(t *testing.T) {
	w, p := newSweep(t, []connector.Record{rec("1", "a")})
	const after = 300 * time.Millisecond
	p.fail[""] = &fault.Error{Class: fault.Throttled, Reason: "rate_limited", After: after}
	asked := make(chan time.Time, 1000)
	p.hook = func(connector.Cursor) { asked <- time.Now() }
	poller := New(w.deps)
	poller.first = 5 * time.Millisecond
	w.run(poller)
	first := <-asked
	w.until("the pause, or a sweep that does not heed it", func() bool { return poller.lanes.Stats().Paused || len(asked) > 0 })
	w.hint("2", "1", "")
	w.settled()
	if again := <-asked; again.Sub(first) < after {
		t.Errorf("it was swept again %s after the vendor asked for %s", again.Sub(first), after)
	}
	read, err := time.Parse(time.RFC3339Nano, w.records("2")[0].Version.Value)
	if err != nil || read.Sub(first) < after {
		t.Errorf("a key was read %s after the vendor asked for %s (%v)", read.Sub(first), after, err)
	}
}

// TestSweepHeedsASingleRead: what the vendor told a single read holds for sweeps,
// before one and within it.
func TestSweepHeedsASingleRead(t *testing.T) {
	w, p := newSweep(t, []connector.Record{rec("1", "a")}, []connector.Record{rec("2", "b")})
	const after = 300 * time.Millisecond
	asked := make(chan time.Time, 1000)
	p.hook = func(connector.Cursor) { asked <- time.Now() }
	var log bytes.Buffer
	w.deps.Log = slog.New(slog.NewTextHandler(&log, nil))
	poller := New(w.deps)
	told := time.Now()
	poller.verdict(t.Context(), bus.In{}, 1, throttled(after))
	if _, err := poller.page(t.Context(), place{}); fault.Of(err).Class != fault.Throttled || fault.Of(err).After <= 0 || len(asked) > 0 {
		t.Errorf("the next page: %v", err)
	}
	stop := w.run(poller)
	if first := <-asked; first.Sub(told) < after {
		t.Errorf("it was swept %s after the vendor asked for %s", first.Sub(told), after)
	}
	stop()
	if strings.Contains(log.String(), "a sweep failed") {
		t.Errorf("to wait is no failure: %s", &log)
	}
}

// TestTwoCopies: a frame comes right behind the one that its copy knows, so the
// frames of two copies do not mix; who comes second goes on from the other's.
func TestTwoCopies(t *testing.T) {
	w, _ := newSweep(t)
	script(w,
		connector.Page{Records: []connector.Record{rec("1", "a")}, Frame: full("A", true, "")},
		connector.Page{Records: []connector.Record{rec("2", "b")}, Frame: full("A", false, connector.Complete)},
	)
	one, other := New(w.deps), New(w.deps)
	last, err := one.last(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := one.page(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	if _, err := other.page(t.Context(), last); !errors.Is(err, bus.ErrConflict) {
		t.Errorf("the second copy: %v", err)
	}
	if err := other.ask(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := w.order(), []string{"begun A 0-0", "r", "paged A 1-0", "r", "ended Acomplete 2-0"}; !slices.Equal(got, want) {
		t.Errorf("RAW holds %q, want %q", got, want)
	}
}

// TestCursorWaitsForTheBroker: while the broker is away the
// cursor does not move past what is not stored.
func TestCursorWaitsForTheBroker(t *testing.T) {
	w, p := newSweep(t, []connector.Record{rec("1", "a")})
	w.deps.Bus = impatient(t, w)
	poller := New(w.deps)
	p.hook = func(connector.Cursor) { w.srv.Shutdown() }
	if err := poller.ask(t.Context()); err == nil {
		t.Fatal("a page was taken without a broker")
	}
	p.hook = nil
	if err := w.srv.Restart(); err != nil {
		t.Fatal(err)
	}
	w.until("the broker", func() bool { return w.bus.Ping(t.Context()) == nil })
	if got := w.cursor(); got != "" {
		t.Errorf("the cursor is %q", got)
	}
	w.until("a sweep", func() bool { return poller.ask(t.Context()) == nil })
	if len(w.records("1")) == 0 || w.cursor() != "1" {
		t.Error("the page did not come after all")
	}
}

// TestRecordThatCannotBePacked is a dead letter, and the page goes on.
func TestRecordThatCannotBePacked(t *testing.T) {
	bad := rec("1", "a")
	bad.Body = json.RawMessage("<no>")
	w, _ := newSweep(t, []connector.Record{bad, rec("2", "b")})
	if err := New(w.deps).ask(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(w.stored(topology.Dead, ">")); n != 1 || w.dead.Load() != 1 || len(w.records("2")) != 1 || w.cursor() != "1" {
		t.Errorf("%d letters, %d records of the other, cursor %q", n, len(w.records("2")), w.cursor())
	}
}

// TestVendorThatTurnsInCircles is not followed for ever.
func TestVendorThatTurnsInCircles(t *testing.T) {
	w, _ := newSweep(t)
	w.vendor.changes = func(_ context.Context, after connector.Cursor) (connector.Page, error) {
		return connector.Page{Next: after, More: true}, nil
	}
	if err := New(w.deps).ask(t.Context()); fault.Reason(err) != "cursor" {
		t.Errorf("got %v", err)
	}
}

// TestScheduleOutlivesRestarts: the time to the next sweep counts from the last
// one, or from the first start, whoever made it.
func TestScheduleOutlivesRestarts(t *testing.T) {
	w, _ := newSweep(t, []connector.Record{rec("1", "a")})
	now := &stopped{time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
	w.deps.Clock, w.deps.Schedule = now, time.Hour
	next := func() time.Duration {
		t.Helper()
		wait, err := New(w.deps).untilNext(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return wait
	}
	for _, step := range []struct {
		later, want time.Duration
	}{{0, time.Hour}, {20 * time.Minute, 40 * time.Minute}, {20 * time.Minute, 20 * time.Minute}, {2 * time.Hour, 0}} {
		now.at = now.at.Add(step.later)
		if got := next(); got != step.want {
			t.Errorf("at %s: %s to go, want %s", now.at, got, step.want)
		}
	}
	if err := New(w.deps).ask(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := next(); got != time.Hour || w.cursor() != "1" {
		t.Errorf("after a sweep: %s to go, cursor %q", got, w.cursor())
	}
}

type stopped struct{ at time.Time }

func (s *stopped) Now() time.Time { return s.at }

// impatient is a connection that gives up soon.
func impatient(t *testing.T, w *world) *bus.Bus {
	t.Helper()
	return testkit.Connect(t, w.srv, bus.Options{Name: "poller", Timeout: 300 * time.Millisecond})
}
