package deliver

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/testkit"
	"github.com/muster-hr/muster/libs/topology"
)

// fails makes the vendor fail for one employee as long as broken is set.
func fails(w *world, id string, f error) (broken *atomic.Bool) {
	broken = &atomic.Bool{}
	broken.Store(true)
	w.vendor.fail = func(d connector.Delivery, _ int) error {
		if d.ID == id && broken.Load() {
			return f
		}
		return nil
	}
	return broken
}

var badGateway = fault.New(fault.Transient, "status_502", "bad gateway")

func TestTransient(t *testing.T) {
	for _, c := range []struct {
		name   string
		kind   string
		parked uint64   // messages, with three changes waiting
		want   []uint64 // what arrives at the vendor
	}{
		{"newest state", config.KindState, 1, []uint64{3}},
		{"every change", config.KindEvent, 3, []uint64{1, 2, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.to.Kind, w.vendor.effects.Idempotent = c.kind, true
			broken := fails(w, "emp1", badGateway)
			first := w.start()
			w.named("emp1", 1, "A")
			w.eventually(func() string {
				if w.parked("emp1") == 0 {
					return "not parked"
				}
				return ""
			})
			// Tried in the lane, then parked; every attempt is told.
			w.eventually(func() string {
				if got := w.outcomes("emp1"); !slices.Contains(got, "1 parked") {
					return "no record of the parking"
				}
				return ""
			})
			if d := cmp.Diff([]string{"1 failed", "1 failed", "1 failed", "1 parked"}, w.outcomes("emp1")[:4]); d != "" {
				t.Errorf("records (-want +got):\n%s", d)
			}
			// Others go on, what is newer of the same employee waits in order.
			w.named("emp2", 1, "B")
			w.until("emp2", "1 applied")
			w.named("emp1", 2, "B")
			w.named("emp1", 3, "C")
			w.eventually(func() string {
				if n := w.parked("emp1"); n != c.parked {
					return "not all are parked"
				}
				return ""
			})
			w.caughtUp()
			w.metrics.read(func(m *metrics) {
				if m.parked != 1 {
					t.Errorf("%d parked", m.parked)
				}
			})
			// A restart goes on with it.
			first.stop()
			w.metrics.read(func(m *metrics) { m.parked = 0 })
			w.start()
			w.eventually(func() string {
				var n int
				w.metrics.read(func(m *metrics) { n = m.parked })
				if n != 1 {
					return "the restart has forgotten who is parked"
				}
				return ""
			})
			broken.Store(false)
			got := w.until("emp1", "3 applied")
			w.eventually(func() string {
				var n int
				w.metrics.read(func(m *metrics) { n = m.parked })
				if n != 0 || w.parked("emp1") != 0 {
					return "still parked"
				}
				return ""
			})
			var applied []uint64
			for _, r := range w.records("emp1") {
				if r.Outcome == record.OutcomeApplied {
					applied = append(applied, r.Version)
				}
			}
			if d := cmp.Diff(c.want, applied); d != "" {
				t.Errorf("applied (-want +got):\n%s", d)
			}
			if !slices.IsSorted(w.vendor.versions("emp1")) {
				t.Errorf("called out of order: %v", w.vendor.versions("emp1"))
			}
			if c.kind == config.KindState {
				if d := cmp.Diff([]uint64{1, 2}, got.Superseded); d != "" {
					t.Errorf("superseded (-want +got):\n%s", d)
				}
			}
			for i, r := range w.records("emp1") { // counted on through parking and restart
				if r.Version == 1 && r.Outcome == record.OutcomeFailed && r.Attempt != len(slices.Collect(func(yield func(int) bool) {
					for _, e := range w.records("emp1")[:i+1] {
						if e.Version == 1 && e.Outcome == record.OutcomeFailed && !yield(0) {
							return
						}
					}
				})) {
					t.Errorf("record %d is attempt %d", i, r.Attempt)
				}
			}
			// Free again: the next one goes the direct way.
			w.named("emp1", 4, "D")
			w.until("emp1", "4 applied")
		})
	}
}

func TestBudgetExhausted(t *testing.T) {
	for _, c := range []struct{ name, kind string }{{"newest state", config.KindState}, {"every change", config.KindEvent}} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.to.Kind, w.vendor.effects.Idempotent = c.kind, true
			w.to.Retry.Budget = 900 * time.Millisecond
			w.vendor.fail = func(d connector.Delivery, _ int) error {
				if d.Version == 1 {
					return badGateway
				}
				return nil
			}
			w.start()
			w.named("emp1", 1, "A")
			if c.kind == config.KindEvent {
				w.eventually(func() string {
					if w.parked("emp1") == 0 {
						return "not parked"
					}
					return ""
				})
				w.named("emp1", 2, "B")
				w.until("emp1", "2 applied")
			} else {
				w.until("emp1", "1 dead")
				w.eventually(func() string {
					if w.parked("emp1") > 0 {
						return "still parked"
					}
					return ""
				})
				w.named("emp1", 2, "B")
				w.until("emp1", "2 applied")
			}
			l := w.letters()
			if len(l) != 1 || l[0].Version != 1 || l[0].Class != "transient" || l[0].Reason != "status_502" || l[0].Integration != "main" || l[0].Attempts < 4 {
				t.Errorf("letters %+v", l)
			}
		})
	}
}

// TestWhoWaitedBehindAnExhaustedOneHasABudgetOfTheirOwn: a long outage does not
// give up a whole queue at the first look after the first one.
func TestWhoWaitedBehindAnExhaustedOneHasABudgetOfTheirOwn(t *testing.T) {
	w := newWorld(t)
	w.to.Kind, w.vendor.effects.Idempotent = config.KindEvent, true
	w.to.Retry.Budget = 1500 * time.Millisecond
	var second int
	w.vendor.fail = func(d connector.Delivery, _ int) error {
		if d.Version == 2 {
			second++
		}
		if d.Version == 1 || second == 1 {
			return badGateway
		}
		return nil
	}
	w.start()
	w.named("emp1", 1, "A")
	w.named("emp1", 2, "B")
	w.until("emp1", "2 applied")
	if l := w.letters(); len(l) != 1 || l[0].Version != 1 {
		t.Errorf("letters %+v", l)
	}
}

func TestAWrongRecordIsBuriedAndTheOthersGoOn(t *testing.T) {
	for _, c := range []struct{ name, kind string }{{"newest state", config.KindState}, {"every change", config.KindEvent}} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.to.Kind = c.kind
			w.integrate("aaa", config.Integration{When: w.when(`employment.status == "withdrawn"`)}) // not the one that applies
			w.vendor.fail = func(d connector.Delivery, _ int) error {
				if d.Version == 1 && d.ID == "emp1" {
					return &fault.Error{Class: fault.Record, Reason: "status_422", Path: "profile.login", Rule: "E0000001"}
				}
				return nil
			}
			w.start()
			w.named("emp1", 1, "A")
			got := w.until("emp1", "1 dead")
			want := record.DeadLetter{Stage: topology.StageDeliver, Integration: "main", Target: target, Employee: "emp1", Event: "ev-emp1-1", Version: 1,
				Class: "record", Reason: "status_422", Path: "profile.login", Rule: "E0000001", Attempts: 1, Config: "c1"}
			l := w.letters()
			if len(l) != 1 {
				t.Fatalf("letters %+v", l)
			}
			l[0].At = time.Time{}
			if d := cmp.Diff(want, l[0]); d != "" {
				t.Errorf("letter (-want +got):\n%s", d)
			}
			if got.Class != "record" || got.Path != "profile.login" || got.Rule != "E0000001" || got.Integration != "main" || got.Purpose != "access" || len(got.Fields) == 0 || !got.Uncertain.IsZero() {
				t.Errorf("outcome %+v", got.Delivery)
			}
			if d := cmp.Diff([]string{"1 intended", "1 dead"}, w.outcomes("emp1")); d != "" {
				t.Errorf("records (-want +got):\n%s", d)
			}
			w.named("emp2", 1, "B")
			w.until("emp2", "1 applied")
			w.named("emp1", 2, "C")
			w.until("emp1", "2 applied")
			w.metrics.read(func(m *metrics) {
				if m.dead != 1 {
					t.Errorf("%d dead", m.dead)
				}
			})
		})
	}
}

// TestAWrongRecordThatIsParked is given up too, and frees the employee.
func TestAWrongRecordThatIsParked(t *testing.T) {
	for _, c := range []struct{ name, kind string }{{"newest state", config.KindState}, {"every change", config.KindEvent}} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.to.Kind, w.vendor.effects.Idempotent = c.kind, true
			w.vendor.fail = func(d connector.Delivery, n int) error {
				switch {
				case d.Version == 1 && n <= laneAttempts:
					return badGateway
				case d.Version == 1:
					return fault.New(fault.Record, "status_422", "refused")
				}
				return nil
			}
			w.start()
			w.named("emp1", 1, "A")
			w.until("emp1", "1 dead")
			w.eventually(func() string {
				if w.parked("emp1") > 0 {
					return "still parked"
				}
				return ""
			})
			w.named("emp1", 2, "B")
			w.until("emp1", "2 applied")
		})
	}
}

// TestThrottled: the target says how long, and nothing is lost, also when it
// says "at once".
func TestThrottled(t *testing.T) {
	for _, after := range []time.Duration{0, 1500 * time.Millisecond} {
		t.Run(after.String(), func(t *testing.T) {
			w := newWorld(t)
			w.vendor.effects.Idempotent = true
			w.vendor.fail = func(d connector.Delivery, n int) error {
				if d.ID == "emp1" && n == 1 {
					return &fault.Error{Class: fault.Throttled, Reason: "rate_limited", After: after}
				}
				return nil
			}
			w.start()
			w.named("emp1", 1, "A")
			<-w.vendor.seen
			w.eventually(func() string {
				if len(w.outcomes("emp1")) == 0 {
					return "no record"
				}
				return ""
			})
			w.named("emp2", 1, "B")
			second := w.until("emp2", "1 applied")
			first := w.until("emp1", "1 applied")
			if d := cmp.Diff([]string{"1 failed", "1 applied"}, w.outcomes("emp1")); d != "" {
				t.Errorf("records (-want +got):\n%s", d)
			}
			rs := w.records("emp1")
			for _, r := range []told{first, second} { // everybody waits
				if got := r.stored.Sub(rs[0].stored); got < max(after, time.Second)-100*time.Millisecond {
					t.Errorf("%s was called after %s", r.Employee, got)
				}
			}
			if rs[0].Class != "throttled" || len(w.letters()) > 0 || w.parked("emp1") > 0 {
				t.Errorf("record %+v", rs[0].Delivery)
			}
		})
	}
}

// TestThrottledWhileOthersWaitForTheRate: they have left their lanes already and
// wait as long as the target asked all the same.
func TestThrottledWhileOthersWaitForTheRate(t *testing.T) {
	w := newWorld(t)
	w.named("emp1", 1, "A")
	d, b := w.deliverer(w.vendor)
	t.Cleanup(func() { _ = b.Close() })
	in, err := w.bus.Last(t.Context(), topology.People, topology.Employee("emp1"))
	if err != nil {
		t.Fatal(err)
	}
	d.breaker.pause = func(time.Duration) {} // of lanes that have given this one out
	d.breaker.throttle(time.Hour)
	if v := d.Handle(t.Context(), []bus.In{in}, 1); v.Retry == 0 {
		t.Errorf("verdict %+v", v)
	}
	if n := len(w.vendor.of("emp1")); n > 0 {
		t.Errorf("%d calls while the target wants none", n)
	}
}

func TestATargetThatIsDownIsAskedByOneCallAtATime(t *testing.T) {
	w := newWorld(t)
	w.vendor.effects.Idempotent = true
	w.to.Retry.First = 300 * time.Millisecond
	var down atomic.Bool
	var now, most atomic.Int32
	down.Store(true)
	var probes atomic.Int32
	w.vendor.fail = func(d connector.Delivery, n int) error {
		if !down.Load() {
			return nil
		}
		most.Store(max(most.Load(), now.Add(1)))
		defer now.Add(-1)
		probes.Add(1)
		return fault.New(fault.Target, "auth", "refused")
	}
	w.start()
	w.named("emp0", 1, "A")
	<-w.vendor.seen
	w.eventually(func() string {
		var open bool
		w.metrics.read(func(m *metrics) { open = len(m.breaker) > 0 && m.breaker[0] })
		if !open {
			return "the breaker is not open"
		}
		return ""
	})
	ids := []string{"emp1", "emp2", "emp3", "emp4", "emp5"}
	for _, id := range ids {
		w.named(id, 1, "B")
	}
	before := probes.Load()
	begun := time.Now()
	w.eventually(func() string { // a second look failed too
		if probes.Load() < before+1 {
			return "no second look"
		}
		return ""
	})
	if took := time.Since(begun); took < 100*time.Millisecond {
		t.Errorf("asked again after %s", took)
	}
	down.Store(false)
	for _, id := range append(ids, "emp0") {
		w.until(id, "1 applied")
	}
	if most.Load() > 1 {
		t.Errorf("%d calls at once to a target that is down", most.Load())
	}
	w.eventually(func() string {
		var shown []bool
		w.metrics.read(func(m *metrics) { shown = slices.Clone(m.breaker) })
		if len(shown) < 2 || shown[len(shown)-1] {
			return "the breaker is not closed"
		}
		return ""
	})
	if len(w.letters()) > 0 {
		t.Errorf("letters %+v", w.letters())
	}
}

// TestALeaverOvertakesTheBacklog: the pointer is served before the changes
// that wait, and those do not undo it.
func TestALeaverOvertakesTheBacklog(t *testing.T) {
	w := newWorld(t)
	w.vendor.effects.Idempotent = true
	w.to.Limits.InFlight = 1
	var ids []string
	release := make(chan struct{})
	w.vendor.fail = func(d connector.Delivery, _ int) error {
		if d.ID == "first" {
			<-release
		}
		return nil
	}
	r := w.start()
	w.named("first", 1, "A")
	<-w.vendor.seen
	for _, id := range []string{"emp1", "emp2", "emp3"} {
		ids = append(ids, id)
		w.named(id, 1, "A")
	}
	w.named("leaver", 1, "A")
	w.named("leaver", 2, "B")
	w.say("leaver", 3, state{status: employee.Terminated, fields: employee.Flat{"name.given": "B"}})
	w.leaves("leaver")
	w.eventually(func() string {
		if n := r.d.lanes.Stats().Queued; n < len(ids)+4 { // three changes of the leaver, and the pointer
			return fmt.Sprintf("%d messages wait in the lanes", n)
		}
		return ""
	})
	close(release)
	if second := <-w.vendor.seen; second.ID != "leaver" || second.Status != employee.Terminated {
		t.Errorf("the call after the one under way is for %s", second.ID)
	}
	for _, id := range ids {
		w.until(id, "1 applied")
	}
	w.caughtUp()
	if d := cmp.Diff([]uint64{3}, w.vendor.versions("leaver")); d != "" {
		t.Errorf("calls (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]uint64{1, 2}, w.last("leaver").Superseded); d != "" {
		t.Errorf("superseded (-want +got):\n%s", d)
	}
}

// TestALeaverDoesNotOvertakeTheirOwnChanges where every one of them counts.
func TestALeaverDoesNotOvertakeTheirOwnChanges(t *testing.T) {
	w := newWorld(t)
	w.to.Kind, w.vendor.effects.Idempotent, w.to.Limits.InFlight = config.KindEvent, true, 1
	release := make(chan struct{})
	w.vendor.fail = func(d connector.Delivery, _ int) error {
		if d.ID == "first" {
			<-release
		}
		return nil
	}
	r := w.start()
	w.named("first", 1, "A")
	<-w.vendor.seen
	w.named("leaver", 1, "A")
	w.say("leaver", 2, state{status: employee.Terminated, fields: employee.Flat{"name.given": "B"}})
	w.leaves("leaver")
	w.eventually(func() string {
		if n := r.d.lanes.Stats().Queued; n < 3 { // both changes, and the pointer
			return fmt.Sprintf("%d messages wait in the lanes", n)
		}
		return ""
	})
	close(release)
	w.until("leaver", "2 applied")
	w.caughtUp()
	if d := cmp.Diff([]uint64{1, 2}, w.vendor.versions("leaver")); d != "" {
		t.Errorf("calls (-want +got):\n%s", d)
	}
}

// TestAParkedLeaverIsTriedAtOnce: the next wake-up may be hours away.
func TestAParkedLeaverIsTriedAtOnce(t *testing.T) {
	w := newWorld(t)
	w.vendor.effects.Idempotent = true
	w.to.Retry.First, w.to.Retry.Max = time.Hour, time.Hour
	w.remembers(record.Delivery{Employee: "emp1", Version: 1, Done: 1, Outcome: record.OutcomeApplied, Digest: "x"})
	w.publishMarker("emp1")
	w.start()
	w.eventually(func() string {
		var n int
		w.metrics.read(func(m *metrics) { n = m.parked })
		if n != 1 {
			return "not parked"
		}
		return ""
	})
	w.say("emp1", 2, state{status: employee.Terminated, fields: employee.Flat{"name.given": "A"}})
	w.leaves("emp1")
	w.until("emp1", "2 applied")
}

func TestALeaversPointerIsNothingToAnEventLikeTarget(t *testing.T) {
	w := newWorld(t)
	w.to.Kind, w.vendor.effects.Idempotent = config.KindEvent, true
	broken := fails(w, "emp1", badGateway)
	w.start()
	w.named("emp1", 1, "A")
	w.eventually(func() string {
		if w.parked("emp1") == 0 {
			return "not parked"
		}
		return ""
	})
	w.say("emp1", 2, state{status: employee.Terminated, fields: employee.Flat{"name.given": "B"}})
	w.leaves("emp1") // also while the employee is parked
	w.caughtUp()
	if n := w.parked("emp1"); n != 2 {
		t.Errorf("%d messages are parked, want the two changes", n)
	}
	broken.Store(false)
	w.until("emp1", "2 applied")
	if d := cmp.Diff([]uint64{1, 2}, slices.Compact(w.vendor.versions("emp1"))); d != "" {
		t.Errorf("calls (-want +got):\n%s", d)
	}
}

// TestSomebodyWhoIsGoneWhileParked: nothing is left to be delivered.
func TestSomebodyWhoIsGoneWhileParked(t *testing.T) {
	w := newWorld(t)
	w.publishMarker("emp1")
	w.start()
	w.eventually(func() string {
		if w.parked("emp1") > 0 {
			return "still parked"
		}
		return ""
	})
	if len(w.records("emp1"))+len(w.letters()) > 0 {
		t.Errorf("records %q", w.outcomes("emp1"))
	}
}

func TestAMessageThatIsNoEventIsPassedOver(t *testing.T) {
	d := &Deliverer{Deps: Deps{Log: testkit.Log(t)}, parking: newParking()}
	in := bus.In{Stream: topology.People, Subject: topology.Employee("emp1"), Err: errors.New("no type")}
	if v := d.Handle(t.Context(), []bus.In{in}, 1); v.Retry > 0 {
		t.Errorf("it comes again in %s, and for ever", v.Retry)
	}
}

func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var paused time.Time
		var shown []bool
		b := &breaker{first: time.Second, pause: func(d time.Duration) { paused = time.Now().Add(d) }, show: func(open bool) { shown = append(shown, open) }}
		if leave, ok := b.enter(); !ok {
			t.Fatal("closed and lets nobody through")
		} else {
			leave()
		}
		first := b.open()
		if first < 800*time.Millisecond || first > 1200*time.Millisecond || !paused.Equal(time.Now().Add(first)) {
			t.Errorf("open for %s, paused until %s", first, paused)
		}
		time.Sleep(first / 2)
		if again := b.open(); again > first/2+time.Millisecond || b.opens != 1 {
			t.Errorf("one that was in flight opens it again, for %s", again)
		}
		if _, ok := b.enter(); ok {
			t.Error("lets a call through while it is open")
		}
		b.throttle(time.Minute)
		end := paused
		b.throttle(0)
		b.throttle(time.Millisecond)
		if paused.Before(end) {
			t.Error("a shorter pause took the place of a longer one")
		}
		time.Sleep(first)
		if _, ok := b.enter(); ok {
			t.Error("lets a call through while the target wants none")
		}
		time.Sleep(time.Minute)
		leave, ok := b.enter()
		if _, second := b.enter(); !ok || second {
			t.Errorf("one look: %v, a second one: %v", ok, second)
		}
		if next := b.open(); next < 1600*time.Millisecond {
			t.Errorf("the second time for %s only", next)
		}
		leave()
		for range 20 {
			time.Sleep(10 * time.Minute)
			if wait := b.open(); wait > breakerLimit*6/5 {
				t.Errorf("open for %s", wait)
			}
		}
		time.Sleep(10 * time.Minute)
		b.close()
		b.close()
		if len(shown) == 0 || shown[len(shown)-1] || slices.Index(shown, false) != len(shown)-1 {
			t.Errorf("shown %v", shown)
		}
		for range 2 {
			if _, ok := b.enter(); !ok {
				t.Error("closed and lets one through only")
			}
		}
	})
}

func TestBackoff(t *testing.T) {
	for attempt := 1; attempt < 100; attempt++ {
		want := min(time.Second<<min(attempt-1, 20), time.Minute)
		if got := backoff(time.Second, attempt, time.Minute); got < want*8/10 || got > want*12/10 {
			t.Errorf("attempt %d: %s, want about %s", attempt, got, want)
		}
	}
	if got := backoff(0, 1, time.Minute); got <= 0 {
		t.Error("no wait is no retry")
	}
}
