package deliver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// intended is what a process leaves that died in the middle of a create.
func intended(id string, version uint64) record.Delivery {
	now := time.Now().UTC()
	return record.Delivery{Employee: id, Event: eventID(id, version), Version: version, Attempt: 1, Outcome: record.OutcomeIntended, At: now, Uncertain: now}
}

func sure(key string) []connector.Found {
	return []connector.Found{{Refs: connector.Refs{"id": key}, Sure: true}}
}

func TestAnIntentStandsBeforeACreate(t *testing.T) {
	for _, c := range []struct {
		name    string
		effects connector.Effects
		want    []string
	}{
		{"not idempotent", connector.Effects{}, []string{"1 intended", "1 applied", "2 applied"}}, // the update is harmless to repeat
		{"idempotent", connector.Effects{Idempotent: true}, []string{"1 applied", "2 applied"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.vendor.effects = c.effects
			var before []string
			w.vendor.after = func(_ context.Context, d connector.Delivery, n int) error {
				if n == 1 {
					before = w.outcomes(d.ID)
				}
				return nil
			}
			w.start()
			w.named("emp1", 1, "Ada")
			w.until("emp1", "1 applied")
			w.named("emp1", 2, "Grace")
			w.until("emp1", "2 applied")
			if d := cmp.Diff(c.want, w.outcomes("emp1")); d != "" {
				t.Errorf("records (-want +got):\n%s", d)
			}
			if d := cmp.Diff(c.want[:len(c.want)-2], before); d != "" && len(before)+len(c.want) > 2 {
				t.Errorf("records during the call (-want +got):\n%s", d)
			}
		})
	}
}

// TestACreateCutOffIsLookedForBeforeAnother: the vendor made the person, the
// process died before it heard of it, and a search does not show them at once.
// How long the call took before the crash is not known.
func TestACreateCutOffIsLookedForBeforeAnother(t *testing.T) {
	w := newWorld(t)
	w.vendor.effects.Consistency = 700 * time.Millisecond
	w.vendor.find = func(connector.Delivery) ([]connector.Found, error) { return sure("k7"), nil }
	left := intended("emp1", 1)
	left.Uncertain = left.Uncertain.Add(-650 * time.Millisecond)
	w.remembers(left)
	w.named("emp1", 1, "Ada")
	w.start()
	w.until("emp1", "1 applied")
	if d := cmp.Diff([]string{"1 intended", "1 interrupted", "1 intended", "1 applied"}, w.outcomes("emp1")); d != "" {
		t.Fatalf("records (-want +got):\n%s", d)
	}
	calls := w.vendor.of("emp1")
	if len(calls) != 1 || calls[0].Refs["id"] != "k7" {
		t.Fatalf("the person is made again: %+v", calls)
	}
	rs := w.records("emp1")
	if !calls[0].Since.Equal(rs[1].At) {
		t.Errorf("since %s, want %s", calls[0].Since, rs[1].At)
	}
	if waited := rs[2].stored.Sub(rs[1].At); waited < w.vendor.effects.Consistency {
		t.Errorf("looked after %s, a search shows them only after %s", waited, w.vendor.effects.Consistency)
	}
	if rs[1].Attempt != 1 || rs[3].Attempt != 2 || !rs[3].Uncertain.IsZero() {
		t.Errorf("attempts %d and %d, uncertain since %s", rs[1].Attempt, rs[3].Attempt, rs[3].Uncertain)
	}
}

// TestSomebodyElseByNow: a create is cut off, and when it is looked for the
// person has another name and e-mail. Who was made is found as they were then.
func TestSomebodyElseByNow(t *testing.T) {
	w := newWorld(t)
	w.vendor.find = func(d connector.Delivery) ([]connector.Found, error) {
		if n, _ := d.Body["name"].(map[string]any); n["given"] == "Ada" {
			return sure("k7"), nil
		}
		return []connector.Found{{Refs: connector.Refs{"id": "k7"}}}, nil // alike, and not surely the same
	}
	left := intended("emp1", 1)
	left.Tried = &record.Tried{Body: map[string]any{"name": map[string]any{"given": "Ada"}}}
	w.remembers(left)
	w.named("emp1", 1, "Ada")
	w.named("emp1", 2, "Grace")
	w.start()
	w.until("emp1", "2 applied")
	calls := w.vendor.of("emp1")
	if len(calls) != 1 || calls[0].Refs["id"] != "k7" || calls[0].Version != 2 {
		t.Errorf("calls %+v", calls)
	}
	if m := w.last("emp1"); m.Tried != nil {
		t.Error("what was tried is kept although it is certain by now")
	}
}

// TestAWriteCutOffIsNotTakenForUndone: a known person is written to without an
// intent. A process dies in such a write, and then the person is again as the
// record says: the target is not.
func TestAWriteCutOffIsNotTakenForUndone(t *testing.T) {
	w := newWorld(t)
	first := w.start()
	w.named("emp1", 1, "Ada")
	w.until("emp1", "1 applied")
	first.stop()

	w.named("emp1", 2, "Grace") // a second process wrote this and died
	w.named("emp1", 3, "Ada")
	w.start()
	w.until("emp1", "3 applied")
	calls := w.vendor.of("emp1")
	if last := calls[len(calls)-1]; last.Version != 3 || last.Before == nil || given(last.Before) == "Ada" {
		t.Errorf("the target may keep the name in between: %+v", last)
	}

	w.named("emp1", 4, "Ada") // nothing is unsure any more
	w.until("emp1", "4 unchanged")
}

// TestAnUpdateThatFailedIsNotTakenForUndone: the target took some of it, or all,
// before the call failed. Then the person is again as the record says, which is
// how wrong data is corrected: the target is not.
func TestAnUpdateThatFailedIsNotTakenForUndone(t *testing.T) {
	for _, f := range []*fault.Error{
		fault.New(fault.Transient, "connection", "the connection broke"),
		fault.New(fault.Throttled, "rate_limited", "the second of two calls"),
		fault.New(fault.Record, "status_422", "the second of two calls"),
	} {
		t.Run(f.Class.String(), func(t *testing.T) {
			w := newWorld(t)
			w.vendor.after = func(_ context.Context, d connector.Delivery, _ int) error {
				if d.Version == 2 {
					return f
				}
				return nil
			}
			w.start()
			w.named("emp1", 1, "Ada")
			w.until("emp1", "1 applied")
			w.named("emp1", 2, "Grace")
			w.eventually(func() string {
				if w.last("emp1").Version < 2 {
					return "not tried"
				}
				return ""
			})
			w.named("emp1", 3, "Ada")
			w.until("emp1", "3 applied")
			calls := w.vendor.of("emp1")
			if last := calls[len(calls)-1]; last.Version != 3 || given(last.Before) != "Grace" {
				t.Errorf("the target may keep the name in between: %+v", last)
			}
			if m := w.last("emp1"); m.Tried != nil {
				t.Error("what was tried is kept although it is certain by now")
			}

			w.named("emp1", 4, "Ada") // nothing is unsure any more
			w.until("emp1", "4 unchanged")
		})
	}
}

// TestARefusedLookUpSaysNothing: the answer to a change was lost, and the target
// refuses the call by which its sink looks whether the change is there. The next
// attempt has to look as well.
func TestARefusedLookUpSaysNothing(t *testing.T) {
	w := newWorld(t)
	w.to.Kind = config.KindEvent
	w.vendor.after = func(_ context.Context, _ connector.Delivery, n int) error {
		if n == 2 {
			return fault.New(fault.Transient, "connection", "the connection broke")
		}
		return nil
	}
	w.vendor.fail = func(_ connector.Delivery, n int) error {
		if n == 3 {
			return fault.New(fault.Throttled, "rate_limited", "too many calls")
		}
		return nil
	}
	w.start()
	w.named("emp1", 1, "Ada")
	w.until("emp1", "1 applied")
	w.named("emp1", 2, "Grace")
	if got := w.until("emp1", "2 applied"); !got.Uncertain.IsZero() {
		t.Errorf("uncertain since %s", got.Uncertain)
	}
	for i, d := range w.vendor.of("emp1") {
		if looks := i >= 2; looks == d.Since.IsZero() {
			t.Errorf("call %d is told of an attempt at %s", i+1, d.Since)
		}
	}
}

// TestAMemoryThatCannotBeRead buries what it stops, under the employee's name,
// and the next change goes on.
func TestAMemoryThatCannotBeRead(t *testing.T) {
	for _, kind := range []string{config.KindState, config.KindEvent} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t)
			w.to.Kind = kind
			w.publish(topology.Delivered, bus.Out{Subject: topology.DeliveredTo(target, "emp1"),
				Event: event.New("x", "/muster/acme/delivery-okta", event.DeliveryCompletedV1, []byte("damaged"))})
			w.start()
			w.named("emp1", 1, "Ada")
			w.caughtUp()
			if l := w.letters(); len(l) != 1 || l[0].Employee != "emp1" || l[0].Target != target || l[0].Event != eventID("emp1", 1) || l[0].Version != 1 || l[0].Reason != "envelope" {
				t.Errorf("letters %+v", l)
			}
			w.named("emp1", 2, "Grace")
			w.caughtUp()
			if d := cmp.Diff([]uint64{2}, w.vendor.versions("emp1")); d != "" {
				t.Errorf("calls (-want +got):\n%s", d)
			}
		})
	}
}

// Who was found is known from then on, also after a crash in the write that
// follows: it may hide them from the search for a while.
func TestWhoWasFoundIsRememberedBeforeTheWrite(t *testing.T) {
	w := newWorld(t)
	w.vendor.find = func(connector.Delivery) ([]connector.Found, error) { return sure("k7"), nil }
	var during []record.Delivery
	w.vendor.after = func(_ context.Context, d connector.Delivery, _ int) error {
		for _, r := range w.records(d.ID) {
			during = append(during, r.Delivery)
		}
		return nil
	}
	w.start()
	w.named("emp1", 1, "Ada")
	w.until("emp1", "1 applied")
	if len(during) != 1 || during[0].Outcome != record.OutcomeIntended || during[0].Refs["id"] != "k7" || during[0].Uncertain.IsZero() {
		t.Errorf("known during the write: %+v", during)
	}
}

func TestFindComesBeforeEveryCreate(t *testing.T) {
	t.Run("adopts who is there", func(t *testing.T) {
		w := newWorld(t)
		w.vendor.find = func(connector.Delivery) ([]connector.Found, error) { return sure("k7"), nil }
		w.start()
		w.named("emp1", 1, "Ada")
		if got := w.until("emp1", "1 applied"); got.Refs["id"] != "k7" {
			t.Errorf("refs %v", got.Refs)
		}
		if c := w.vendor.of("emp1"); len(c) != 1 || c[0].Refs["id"] != "k7" {
			t.Errorf("calls %+v", c)
		}
		w.named("emp1", 2, "Grace")
		w.until("emp1", "2 applied")
		if n := len(w.vendor.finds); n != 1 || w.vendor.finds[0].Match.EmployeeNumber != "emp1" {
			t.Errorf("%d looks, want one by what may be known", n)
		}
	})
	for name, found := range map[string][]connector.Found{
		"two candidates": append(sure("k7"), sure("k8")...),
		"one unsure":     {{Refs: connector.Refs{"id": "k7"}}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.vendor.find = func(d connector.Delivery) ([]connector.Found, error) {
				if d.ID == "emp1" {
					return found, nil
				}
				return nil, nil
			}
			w.start()
			w.named("emp1", 1, "Ada")
			w.until("emp1", "1 dead")
			if l := w.letters(); len(l) != 1 || l[0].Reason != "ambiguous_match" || l[0].Class != "record" {
				t.Errorf("letters %+v", l)
			}
			if len(w.vendor.of("emp1")) > 0 {
				t.Error("a person was made")
			}
			w.named("emp2", 1, "Grace")
			w.until("emp2", "1 applied")
		})
	}
	t.Run("a look that fails is an attempt", func(t *testing.T) {
		w := newWorld(t)
		n := 0
		w.vendor.find = func(connector.Delivery) ([]connector.Found, error) {
			if n++; n == 1 {
				return nil, fault.New(fault.Transient, "status_502", "bad gateway")
			}
			return nil, nil
		}
		w.start()
		w.named("emp1", 1, "Ada")
		w.until("emp1", "1 applied")
		if d := cmp.Diff([]string{"1 failed", "1 intended", "1 applied"}, w.outcomes("emp1")); d != "" {
			t.Errorf("records (-want +got):\n%s", d)
		}
		if rs := w.records("emp1"); rs[0].Reason != "status_502" || rs[0].Attempt != 1 || rs[2].Attempt != 2 || rs[2].Reason != "" {
			t.Errorf("records %+v", rs)
		}
	})
}

// TestACreateWhoseAnswerWasLost: the call failed in a way that leaves open
// whether it happened. The next attempt looks, adopts, and makes no second.
func TestACreateWhoseAnswerWasLost(t *testing.T) {
	w := newWorld(t)
	w.vendor.effects.Consistency = 300 * time.Millisecond
	w.vendor.find = func(connector.Delivery) ([]connector.Found, error) {
		if len(w.vendor.people) > 0 {
			return sure("k1"), nil
		}
		return nil, nil
	}
	w.vendor.after = func(_ context.Context, _ connector.Delivery, n int) error {
		if n == 1 {
			return fault.New(fault.Transient, "connection", "the connection broke")
		}
		return nil
	}
	w.start()
	w.named("emp1", 1, "Ada")
	w.until("emp1", "1 applied")
	if w.vendor.size() != 1 {
		t.Errorf("%d people at the vendor", w.vendor.size())
	}
	if d := cmp.Diff([]string{"1 intended", "1 failed", "1 intended", "1 applied"}, w.outcomes("emp1")); d != "" {
		t.Errorf("records (-want +got):\n%s", d)
	}
}

// TestACrashBetweenTheCallAndItsOutcome: the call is repeated once, by the next
// process, and before anything newer.
func TestACrashBetweenTheCallAndItsOutcome(t *testing.T) {
	for _, c := range []struct {
		name string
		kind string
		want []uint64
	}{
		{"newest state", config.KindState, []uint64{1, 2, 2, 3}},
		{"every change", config.KindEvent, []uint64{1, 2, 2, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.to.Kind, w.vendor.effects.Idempotent = c.kind, true
			var first *running
			w.vendor.after = func(_ context.Context, d connector.Delivery, n int) error {
				if n == 2 {
					_ = first.bus.Close() // from here on the process says nothing any more
				}
				return nil
			}
			first = w.start()
			w.named("emp1", 1, "A")
			w.until("emp1", "1 applied")
			w.named("emp1", 2, "B")
			w.eventually(func() string {
				if len(w.vendor.of("emp1")) < 2 {
					return "no second call"
				}
				return ""
			})
			first.stop()
			w.start()
			w.until("emp1", "2 applied")
			w.named("emp1", 3, "C")
			w.until("emp1", "3 applied")
			if d := cmp.Diff(c.want, w.vendor.versions("emp1")); d != "" {
				t.Errorf("calls (-want +got):\n%s", d)
			}
		})
	}
}

// TestARestartRepeatsNothing: the acknowledgements are forgotten, so every
// message comes again; the stream remembers.
func TestARestartRepeatsNothing(t *testing.T) {
	w := newWorld(t)
	w.to.Kind, w.vendor.effects.Idempotent = config.KindEvent, true
	for v := uint64(1); v <= 3; v++ {
		w.named("emp1", v, string(rune('A'+v)))
		w.remembers(record.Delivery{Employee: "emp1", Event: eventID("emp1", v), Version: v, Done: v, Attempt: 1, Outcome: record.OutcomeApplied})
	}
	w.start()
	w.named("emp1", 4, "Z")
	w.until("emp1", "4 applied")
	if d := cmp.Diff([]uint64{4}, w.vendor.versions("emp1")); d != "" {
		t.Errorf("calls (-want +got):\n%s", d)
	}
}

// TestALinkComesBeforeTheOutcome: the echo of a write must find whose it is.
func TestALinkComesBeforeTheOutcome(t *testing.T) {
	w := newWorld(t)
	w.to.Source = "personio"
	w.start()
	w.named("emp1", 1, "Ada")
	outcome := w.until("emp1", "1 applied")
	in, err := w.bus.Last(t.Context(), topology.Raw, "hr.raw.personio.>")
	if err != nil {
		t.Fatal(err)
	}
	if in.Subject != topology.RawRecord("personio", w.codec.Token("personio", "k1")) {
		t.Errorf("subject %s", in.Subject)
	}
	if !in.At.Before(outcome.stored) {
		t.Errorf("the link is of %s, the outcome of %s", in.At, outcome.stored)
	}
	got, err := w.codec.OpenLinked(t.Context(), topology.Last(in.Subject), in.Event)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	sent := employee.Flat{"name.given": "Ada", "employee_number": "emp1", "employment.status": "active"}
	for leaf, v := range sent {
		want[leaf] = w.codec.ValueToken(leaf, v)
	}
	if d := cmp.Diff(want, got.Sent); d != "" {
		t.Errorf("sent (-want +got):\n%s", d)
	}
	if got.Employee != "emp1" || got.Key != "k1" || got.Source != "personio" || got.Target != target {
		t.Errorf("link %+v", got)
	}
}

// TestALinkIsToldOfWhoWasAdopted also when nothing had to be written: it was
// our own create whose answer was lost.
func TestALinkIsToldOfWhoWasAdopted(t *testing.T) {
	w := newWorld(t)
	w.to.Source = "personio"
	w.vendor.find = func(connector.Delivery) ([]connector.Found, error) { return sure("k7"), nil }
	sink := unchanging{w.vendor}
	w.remembers(intended("emp1", 1))
	w.named("emp1", 1, "Ada")
	w.startWith(sink)
	w.until("emp1", "1 unchanged")
	if _, err := w.bus.Last(t.Context(), topology.Raw, topology.RawRecord("personio", w.codec.Token("personio", "k7"))); err != nil {
		t.Errorf("no link: %v", err)
	}
}

// unchanging finds everything as it should be.
type unchanging struct{ *vendor }

func (u unchanging) Apply(ctx context.Context, d connector.Delivery, p connector.Progress) (connector.Receipt, error) {
	r, err := u.vendor.Apply(ctx, d, p)
	r.Outcome = record.OutcomeUnchanged
	return r, err
}

// TestRefsAreSavedStepByStep: a create of several calls goes on where it was.
func TestRefsAreSavedStepByStep(t *testing.T) {
	w := newWorld(t)
	w.startWith(stepping{w.vendor})
	w.named("emp1", 1, "Ada")
	w.until("emp1", "1 applied")
	calls := w.vendor.of("emp1")
	if len(calls) != 2 || calls[0].Refs["id"] != "" || calls[1].Refs["id"] != "k9" {
		t.Errorf("calls %+v", calls)
	}
}

// stepping saves a ref in the middle, and fails once after that.
type stepping struct{ *vendor }

func (s stepping) Apply(ctx context.Context, d connector.Delivery, p connector.Progress) (connector.Receipt, error) {
	r, err := s.vendor.Apply(ctx, d, p)
	if d.Refs["id"] == "" && err == nil {
		if err := p(ctx, connector.Refs{"id": "k9"}); err != nil {
			return r, err
		}
		return connector.Receipt{}, errors.New("the second step broke")
	}
	return r, err
}

// TestDrain: the end of a process lets the call in the middle end and be told,
// starts no other, and acknowledges nothing that is not done.
func TestDrain(t *testing.T) {
	w := newWorld(t)
	w.to.Limits.InFlight = 1
	release := make(chan struct{})
	w.vendor.after = func(context.Context, connector.Delivery, int) error { <-release; return nil }
	w.named("emp1", 1, "Ada")
	w.named("emp2", 1, "Grace")
	r := w.start()
	d := <-w.vendor.seen
	stopped := make(chan struct{})
	go func() { r.stop(); close(stopped) }()
	select {
	case <-stopped:
		t.Fatal("ended in the middle of a call")
	case <-time.After(50 * time.Millisecond): // nothing can signal that nothing happens
	}
	close(release)
	<-stopped
	if got := w.outcomes(d.ID); !slices.Contains(got, "1 applied") {
		t.Errorf("the call is not told of: %q", got)
	}
	other := "emp1"
	if d.ID == other {
		other = "emp2"
	}
	if n := len(w.vendor.of(other)); n > 0 {
		t.Errorf("%d calls after the end", n)
	}
	w.start()
	w.until(other, "1 applied")
	if n := len(w.vendor.of(d.ID)); n != 1 {
		t.Errorf("%d calls for the one that was done", n)
	}
}

// TestAnOldMessageBringsTheNewestState: after a crash the messages come again
// from the oldest on, and the target may have the newest already.
func TestAnOldMessageBringsTheNewestState(t *testing.T) {
	w := newWorld(t)
	for v := uint64(1); v <= 3; v++ {
		w.named("emp1", v, string(rune('A'+v)))
	}
	d, b := w.deliverer(w.vendor)
	defer func() { _ = b.Close() }()
	err := w.bus.Each(t.Context(), topology.People, topology.Employee("emp1"), func(in bus.In) error {
		if v := d.Handle(t.Context(), []bus.In{in}, 1); v.Retry > 0 {
			t.Errorf("again in %s", v.Retry)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]uint64{3}, w.vendor.versions("emp1")); d != "" {
		t.Errorf("calls (-want +got):\n%s", d)
	}
}

// TestWhatHappenedIsToldAlsoWhenOurTimeIsUp: the drain has a limit, and the call
// came back just after it.
func TestWhatHappenedIsToldAlsoWhenOurTimeIsUp(t *testing.T) {
	w := newWorld(t)
	w.named("emp1", 1, "Ada")
	d, b := w.deliverer(w.vendor)
	defer func() { _ = b.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	w.vendor.after = func(context.Context, connector.Delivery, int) error { cancel(); return nil }
	in, err := w.bus.Last(t.Context(), topology.People, topology.Employee("emp1"))
	if err != nil {
		t.Fatal(err)
	}
	if v := d.Handle(ctx, []bus.In{in}, 1); v.Retry > 0 {
		t.Errorf("again in %s", v.Retry)
	}
	if d := cmp.Diff([]string{"1 intended", "1 applied"}, w.outcomes("emp1")); d != "" {
		t.Errorf("records (-want +got):\n%s", d)
	}
}

func TestEndedBeforeItBegan(t *testing.T) {
	w := newWorld(t)
	d, b := w.deliverer(w.vendor)
	defer func() { _ = b.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// TestAnOutcomeThatIsRecordedLater: a target that takes repeats gets the next
// change before the record of the last is durable. The broker going away in
// between loses no record, and the last one is still the memory.
func TestAnOutcomeThatIsRecordedLater(t *testing.T) {
	w := newWorld(t)
	w.to.Kind, w.vendor.effects.Idempotent = config.KindEvent, true
	var r *running
	started, back := make(chan struct{}), make(chan error, 1)
	w.vendor.after = func(_ context.Context, _ connector.Delivery, n int) error {
		if n == 1 {
			<-started
			go func() { back <- w.srv.Restart() }()
			for r.bus.Connected() {
				time.Sleep(time.Millisecond) // the broker's going is what is waited for
			}
		}
		return nil
	}
	w.named("emp1", 1, "Ada")
	w.named("emp1", 2, "Grace")
	w.named("emp1", 3, "Edsger")
	r = w.start()
	close(started)
	if err := <-back; err != nil {
		t.Fatal(err)
	}
	w.eventually(func() string {
		if !w.bus.Connected() {
			return "the broker is not back"
		}
		return ""
	})
	w.caughtUp()
	applied := map[string]bool{}
	for _, o := range w.outcomes("emp1") {
		applied[o] = true
	}
	if !applied["1 applied"] || !applied["2 applied"] || !applied["3 applied"] {
		t.Errorf("records %v", w.outcomes("emp1"))
	}
	if last := w.last("emp1"); last.Done != 3 {
		t.Errorf("the memory stands at %d, want 3", last.Done)
	}
}

// TestRecordsAreStoredInOrder: version 1's record is on its way, its answer was
// lost. If the record of a later version, or of an attempt that failed, stood
// first, a process that died now would pass over version 1 when it comes again.
func TestRecordsAreStoredInOrder(t *testing.T) {
	for name, refuse := range map[string]bool{"applied": false, "refused": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.to.Kind, w.vendor.effects.Idempotent = config.KindEvent, true
			if refuse {
				w.vendor.fail = func(connector.Delivery, int) error {
					return &fault.Error{Class: fault.Record, Reason: "invalid_value"}
				}
			}
			d, b := w.deliverer(w.vendor)
			defer func() { _ = b.Close() }()
			first := d.trail.add("emp1")
			w.named("emp1", 2, "Grace")
			in, err := w.bus.Last(t.Context(), topology.People, topology.Employee("emp1"))
			if err != nil {
				t.Fatal(err)
			}
			d.memory.Add("emp1", &record.Delivery{Target: target, Employee: "emp1", Version: 1, Done: 1, Outcome: record.OutcomeApplied})
			done := make(chan error, 1)
			go func() {
				v := d.Handle(t.Context(), []bus.In{in}, 1)
				if v.Retry > 0 {
					done <- fmt.Errorf("again in %s", v.Retry)
				} else if v.After != nil {
					done <- v.After(t.Context())
				} else {
					done <- nil
				}
			}()
			<-w.vendor.seen
			// What the deliverer gave to the bus by now is stored before this.
			w.remembers(record.Delivery{Employee: "emp2", Version: 1, Outcome: record.OutcomeApplied})
			select {
			case err := <-done:
				t.Fatalf("ended (%v) while the record before was not stored", err)
			case <-time.After(50 * time.Millisecond): // nothing can signal that nothing happens
			}
			if got := w.outcomes("emp1"); len(got) > 0 {
				t.Errorf("%v stands before the record of version 1", got)
			}
			d.trail.finish("emp1", first, true)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			want := map[bool]string{false: "2 applied", true: "2 dead"}[refuse]
			if got := w.outcomes("emp1"); !slices.Contains(got, want) {
				t.Errorf("records %v, want %s", got, want)
			}
		})
	}
}

// TestNothingFollowsARecordThatWasGivenUp: the process ends.
func TestNothingFollowsARecordThatWasGivenUp(t *testing.T) {
	w := newWorld(t)
	w.to.Kind, w.vendor.effects.Idempotent = config.KindEvent, true
	d, b := w.deliverer(w.vendor)
	defer func() { _ = b.Close() }()
	d.trail.finish("emp1", d.trail.add("emp1"), false)
	w.named("emp1", 2, "Grace")
	in, err := w.bus.Last(t.Context(), topology.People, topology.Employee("emp1"))
	if err != nil {
		t.Fatal(err)
	}
	d.memory.Add("emp1", &record.Delivery{Target: target, Employee: "emp1", Version: 1, Done: 1, Outcome: record.OutcomeApplied})
	v := d.Handle(t.Context(), []bus.In{in}, 1)
	if v.After == nil || v.After(t.Context()) == nil {
		t.Error("the message of version 2 would be acknowledged")
	}
	if got := w.outcomes("emp1"); len(got) > 0 {
		t.Errorf("records %v", got)
	}
}

// TestARecordIsNotLeftOnItsWay: what comes after the attempt fails, so the
// message comes again, and finds the attempt made. The next change of the
// employee must not wait for ever for a record that nobody waits for.
func TestARecordIsNotLeftOnItsWay(t *testing.T) {
	w := newWorld(t)
	w.to.Kind, w.vendor.effects.Idempotent = config.KindEvent, true
	d, b := w.deliverer(w.vendor)
	defer func() { _ = b.Close() }()
	w.named("emp1", 1, "Ada")
	in, err := w.bus.Last(t.Context(), topology.People, topology.Employee("emp1"))
	if err != nil {
		t.Fatal(err)
	}
	unreadable, err := w.codec.Sealer.Seal(t.Context(), "", "", seal.Envelope{Head: []byte("{")})
	if err != nil {
		t.Fatal(err)
	}
	w.publish(topology.Delivered, bus.Out{Subject: topology.DeliveredTo(target, "emp2"), Event: event.New("x", "/muster/acme/delivery-okta", event.DeliveryCompletedV1, unreadable)})
	d.waits.moved["emp1"] = true // those who name emp1 are to be called: all records are read for it
	if v := d.Handle(t.Context(), []bus.In{in}, 1); v.Retry == 0 || v.After != nil {
		t.Fatalf("verdict %+v, want it again", v)
	}
	if d.trail.last("emp1") != nil {
		t.Error("the record is still on its way")
	}
	if got := w.outcomes("emp1"); !slices.Contains(got, "1 applied") {
		t.Errorf("records %v", got)
	}
}
