package deliver

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/seal"
)

func TestAStateLikeTargetGetsTheNewestStateOnly(t *testing.T) {
	w := newWorld(t)
	for v := uint64(1); v <= 5; v++ {
		w.named("emp1", v, string(rune('A'+v)))
	}
	held := make(chan struct{})
	w.vendor.after = func(_ context.Context, d connector.Delivery, n int) error {
		if n == 1 {
			<-held // meanwhile the others queue up in the lane
		}
		return nil
	}
	w.start()
	<-w.vendor.seen
	for v := uint64(6); v <= 9; v++ {
		w.named("emp1", v, string(rune('A'+v)))
	}
	w.eventually(func() string { // all are in the lanes when all are given out
		s, err := w.bus.ConsumerState(t.Context(), "PEOPLE", "delivery-okta")
		if err != nil || s.AckPending < 5 {
			return "not all were given out"
		}
		return ""
	})
	close(held)
	w.until("emp1", "9 applied")
	w.caughtUp()
	if d := cmp.Diff([]uint64{5, 9}, w.vendor.versions("emp1")); d != "" {
		t.Errorf("calls (-want +got):\n%s", d)
	}
	// Every version has exactly one end: applied, or overtaken by one that was.
	ends := map[uint64]int{}
	for _, r := range w.records("emp1") {
		if r.Outcome == "applied" {
			ends[r.Version]++
			for _, s := range r.Superseded {
				ends[s]++
			}
		}
	}
	for v := uint64(1); v <= 9; v++ {
		if ends[v] != 1 {
			t.Errorf("version %d has %d ends", v, ends[v])
		}
	}
}

func TestNothingNewMakesNoCall(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.named("emp1", 1, "Ada")
	w.until("emp1", "1 applied")
	w.say("emp1", 2, state{fields: employee.Flat{"name.given": "Ada", "positions[primary].department": "Legal"}, changed: []string{"positions[].department"}})
	got := w.until("emp1", "2 unchanged")
	if n := w.vendor.versions("emp1"); len(n) != 1 {
		t.Errorf("calls for versions %v, want the first only", n)
	}
	if got.Done != 2 {
		t.Errorf("done %d, want 2", got.Done)
	}
	w.named("emp1", 3, "Grace")
	w.until("emp1", "3 applied")
	if last := w.vendor.of("emp1")[1]; last.Before["name"].(map[string]any)["given"] != "Ada" || last.Refs["id"] != "k1" {
		t.Errorf("the second call has before %v and refs %v", last.Before, last.Refs)
	}
}

func TestAnEventLikeTargetGetsEveryChangeInOrder(t *testing.T) {
	w := newWorld(t)
	w.to.Kind = config.KindEvent
	w.vendor.effects = connector.Effects{Idempotent: true}
	w.named("emp1", 1, "A")
	w.named("emp1", 2, "B")
	w.say("emp1", 3, state{fields: employee.Flat{"name.given": "B", "positions[primary].department": "Legal"}, changed: []string{"positions[].department"}})
	w.named("emp1", 4, "A")
	w.named("emp1", 5, "C")
	w.start()
	w.until("emp1", "5 applied")
	if d := cmp.Diff([]uint64{1, 2, 4, 5}, w.vendor.versions("emp1")); d != "" {
		t.Errorf("versions (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"1 applied", "2 applied", "4 applied", "5 applied"}, w.outcomes("emp1")); d != "" {
		t.Errorf("records (-want +got):\n%s", d)
	}
	for i, c := range w.vendor.of("emp1") {
		if d := cmp.Diff([]string{"name.given"}, c.Changed); d != "" {
			t.Errorf("call %d names what it must not (-want +got):\n%s", i, d)
		}
	}
}

func TestOnlyWhatIsAllowedIsSent(t *testing.T) {
	secretFields := employee.Flat{"name.given": "Ada", "work_email": "ada@x.test", "personal_email": "a@y.test", "compensation.amount": "98765", "external.okta": []any{"k7"}}
	w := newWorld(t)
	w.to.Source = "okta"
	w.integrate("main", config.Integration{Fields: []string{"name", "work_email"}})
	w.start()
	w.say("emp1", 1, state{fields: secretFields, provenance: map[string]employee.Origin{
		"work_email": {Source: "okta"}, "name.given": {Source: "bamboohr"},
	}})
	w.keys.askedFor(seal.Restricted)
	got := w.until("emp1", "1 applied")
	call := w.vendor.of("emp1")[0]
	if d := cmp.Diff(map[string]any{"name": map[string]any{"given": "Ada"}}, call.Body); d != "" {
		t.Errorf("body (-want +got):\n%s", d)
	}
	if d := cmp.Diff(connector.Refs{"id": "k7"}, call.Refs); d != "" {
		t.Errorf("the key there is the account's own and needs no leave (-want +got):\n%s", d)
	}
	if d := cmp.Diff(connector.Match{}, call.Match); d != "" {
		t.Errorf("what to find the person by is not minimised:\n%s", d)
	}
	if call.Status != "" {
		t.Errorf("the status %q was told, and the target may not know it", call.Status)
	}
	if d := cmp.Diff([]string{"name.given"}, got.Fields); d != "" {
		t.Errorf("evidence (-want +got):\n%s", d)
	}
}

func TestTheRestrictedKeyIsFetchedOnlyIfNeeded(t *testing.T) {
	for _, c := range []struct {
		name   string
		fields []string
		want   bool
	}{
		{"basic fields", []string{"name"}, false},
		{"pay", []string{"name", "compensation"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.integrate("main", config.Integration{Fields: c.fields})
			w.named("emp1", 1, "Ada")
			w.keys.askedFor(seal.Restricted)
			w.start()
			w.eventually(func() string { // not by the test's own eyes: they open everything
				if len(w.vendor.of("emp1")) == 0 {
					return "no call"
				}
				return ""
			})
			if n := w.keys.askedFor(seal.Restricted); (n > 0) != c.want {
				t.Errorf("the key was asked for %d times", n)
			}
			_, pay := w.vendor.of("emp1")[0].Body["compensation"]
			if pay != c.want {
				t.Errorf("pay is in the body: %v", pay)
			}
		})
	}
}

// TestAManagerNobodyKnowsIsLeftOut: the rest of the person is delivered.
func TestAManagerNobodyKnowsIsLeftOut(t *testing.T) {
	w := newWorld(t)
	m, problems := mapping.Parse("okta.yaml", []byte("fields:\n  first: name.given\n  boss: {ref: 'positions[primary].manager'}\n"), mapping.Options{Direction: mapping.ToVendor})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	w.integrate("main", config.Integration{Fields: []string{"name", "positions"}, Mapping: m})
	w.start()
	for i, manager := range []any{"emp9", map[string]any{"work_email": "boss@x.test"}} {
		id := fmt.Sprint("emp", i)
		w.say(id, 1, state{fields: employee.Flat{"name.given": "Ada", "positions[primary].manager": manager}})
		w.until(id, "1 applied")
		if d := cmp.Diff(map[string]any{"first": "Ada"}, w.vendor.of(id)[0].Body); d != "" {
			t.Errorf("body (-want +got):\n%s", d)
		}
	}
}

// TestLeavingAnIntegration: somebody leaves the integration with version 2,
// changes in 3 and comes back in 4, at both kinds of targets, those that answer
// with an id of their own and those that know people by ours.
func TestLeavingAnIntegration(t *testing.T) {
	for _, c := range []struct {
		onLeave string
		event   bool
		want    []string // records
		calls   []string // status and given name of each call
	}{
		{config.OnLeaveDisable, false, []string{"1 applied", "2 applied", "3 unchanged", "4 applied"}, []string{" Ada", "terminated Ada", " Grace"}},
		{config.OnLeaveDisable, true, []string{"1 applied", "2 applied", "4 applied"}, []string{" Ada", "terminated Ada", " Grace"}},
		{config.OnLeaveKeep, false, []string{"1 applied", "2 discarded", "4 applied"}, []string{" Ada", " Grace"}},
		{config.OnLeaveKeep, true, []string{"1 applied", "2 discarded", "4 applied"}, []string{" Ada", " Grace"}},
		{config.OnLeaveHold, false, []string{"1 applied", "2 held", "3 held", "4 applied"}, []string{" Ada", " Grace"}},
		{config.OnLeaveHold, true, []string{"1 applied", "2 held", "3 held", "4 applied"}, []string{" Ada", " Grace"}},
	} {
		for _, nameless := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, every change %v, without refs %v", c.onLeave, c.event, nameless), func(t *testing.T) {
				w := newWorld(t)
				if c.event {
					w.to.Kind = config.KindEvent
				}
				w.vendor.nameless = nameless
				w.integrate("main", config.Integration{Fields: []string{"name"}, OnLeave: c.onLeave, When: w.when(`employment.type == "full_time"`)})
				w.start()
				in := func(version uint64, kind, given string, changed ...string) {
					w.say("emp1", version, state{fields: employee.Flat{"name.given": given, "employment.type": kind}, changed: changed})
					w.caughtUp()
				}
				in(1, "full_time", "Ada", "employment.type", "name.given")
				in(2, "contractor", "Ada", "employment.type")
				in(3, "intern", "Grace", "employment.type", "name.given")
				in(4, "full_time", "Grace", "employment.type")
				ends := slices.DeleteFunc(w.outcomes("emp1"), func(o string) bool { return strings.HasSuffix(o, " intended") })
				if d := cmp.Diff(c.want, ends); d != "" {
					t.Errorf("records (-want +got):\n%s", d)
				}
				var calls []string
				for _, call := range w.vendor.of("emp1") {
					calls = append(calls, fmt.Sprint(call.Status, " ", call.Body["name"].(map[string]any)["given"]))
				}
				if d := cmp.Diff(c.calls, calls); d != "" {
					t.Errorf("calls (-want +got):\n%s", d)
				}
				if last := w.last("emp1"); last.Left {
					t.Error("after coming back the record says that they left")
				}
			})
		}
	}
}

// TestWhoLeavesIsTerminatedInTheBodyToo: they are still active, and nothing else
// of them changed. A target that goes by the body must not keep them.
func TestWhoLeavesIsTerminatedInTheBodyToo(t *testing.T) {
	w := newWorld(t)
	m, problems := mapping.Parse("okta.yaml", []byte("fields:\n  first: name.given\n  status: $status\n"), mapping.Options{Direction: mapping.ToVendor})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	w.integrate("main", config.Integration{Fields: []string{"name", "employment.status"}, Mapping: m, When: w.when(`employment.type == "full_time"`)})
	w.start()
	for version, kind := range []string{"full_time", "contractor"} {
		w.say("emp1", uint64(version+1), state{fields: employee.Flat{"name.given": "Ada", "employment.type": kind, "employment.status": "active"}, changed: []string{"employment.type"}})
		w.until("emp1", fmt.Sprint(version+1, " applied"))
	}
	var told []any
	for _, c := range w.vendor.of("emp1") {
		told = append(told, c.Body["status"])
	}
	if d := cmp.Diff([]any{"active", "terminated"}, told); d != "" {
		t.Errorf("status in the bodies (-want +got):\n%s", d)
	}
}

// TestComingBackAsBefore is no change, and what was left alone stays so.
func TestComingBackAsBefore(t *testing.T) {
	for _, event := range []bool{false, true} {
		for _, onLeave := range []string{config.OnLeaveKeep, config.OnLeaveHold} {
			t.Run(fmt.Sprintf("%s, every change %v", onLeave, event), func(t *testing.T) {
				w := newWorld(t)
				if event {
					w.to.Kind = config.KindEvent
				}
				w.integrate("main", config.Integration{Fields: []string{"name"}, OnLeave: onLeave, When: w.when(`employment.type == "full_time"`)})
				w.start()
				for v, kind := range []string{"full_time", "intern", "full_time"} {
					w.say("emp1", uint64(v+1), state{fields: employee.Flat{"name.given": "Ada", "employment.type": kind}, changed: []string{"employment.type"}})
					w.caughtUp()
				}
				if got := w.last("emp1"); got.Version != 3 || got.Outcome != "unchanged" || len(w.vendor.of("emp1")) != 1 {
					t.Errorf("records %q, %d calls", w.outcomes("emp1"), len(w.vendor.of("emp1")))
				}
			})
		}
	}
}

// TestOneWhoNeverCameCannotLeave: a target is not told of people it never had.
func TestOneWhoNeverCameCannotLeave(t *testing.T) {
	w := newWorld(t)
	w.integrate("main", config.Integration{When: w.when(`employment.status == "active"`)})
	w.start()
	w.say("emp1", 1, state{status: employee.Terminated, fields: employee.Flat{"name.given": "Ada"}})
	w.caughtUp()
	if len(w.vendor.of("emp1")) > 0 || len(w.records("emp1")) > 0 {
		t.Errorf("records %q", w.outcomes("emp1"))
	}
}

// TestLeavingAfterACreateWhoseAnswerWasLost: the account may be there, so it is
// looked for and closed; if it is not there, none is made to be closed.
func TestLeavingAfterACreateWhoseAnswerWasLost(t *testing.T) {
	for _, c := range []struct {
		name  string
		found []connector.Found
		want  string
		calls int
	}{
		{"there", []connector.Found{{Refs: connector.Refs{"id": "k7"}, Sure: true}}, "2 applied", 1},
		{"not there", nil, "2 discarded", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.integrate("main", config.Integration{When: w.when(`employment.status == "active"`)})
			w.vendor.find = func(connector.Delivery) ([]connector.Found, error) { return c.found, nil }
			w.remembers(intended("emp1", 1))
			w.say("emp1", 2, state{status: employee.Terminated, fields: employee.Flat{"name.given": "Ada"}})
			w.start()
			w.until("emp1", c.want)
			calls := w.vendor.of("emp1")
			if len(calls) != c.calls || c.calls > 0 && (calls[0].Status != employee.Terminated || calls[0].Refs["id"] != "k7") {
				t.Errorf("calls %+v", calls)
			}
		})
	}
}

func TestShadowMakesNoCall(t *testing.T) {
	w := newWorld(t)
	w.integrate("main", config.Integration{Mode: config.ModeShadow})
	w.start()
	w.named("emp1", 1, "Ada")
	got := w.until("emp1", "1 discarded")
	if got.Reason != "shadow" || len(got.Fields) == 0 {
		t.Errorf("record %+v", got.Delivery)
	}
	if len(w.vendor.calls)+len(w.vendor.finds) > 0 {
		t.Error("the vendor was called")
	}
}

func TestEvidence(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.say("emp1", 1, state{fields: employee.Flat{"name.given": "Ada"}, typ: event.EmployeeHiredV1})
	got := w.until("emp1", "1 applied").Delivery
	if got.AcceptedAt.IsZero() || time.Since(got.At) > time.Minute {
		t.Errorf("times %s and %s", got.AcceptedAt, got.At)
	}
	if d := cmp.Diff([]any{"okta", "main", "ev-emp1-1", event.EmployeeHiredV1, "access", "contract", "Okta Inc.", "c1", 1, "active"},
		[]any{got.Target, got.Integration, got.Event, got.Type, got.Purpose, got.LegalBasis, got.Processor, got.Config, got.Attempt, got.Status}); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"employee_number", "employment.status", "name.given"}, got.Fields); d != "" {
		t.Errorf("fields (-want +got):\n%s", d)
	}
	w.metrics.read(func(m *metrics) {
		if m.attempts["applied"] != 1 || m.latency != 1 {
			t.Errorf("attempts %v, latencies %d", m.attempts, m.latency)
		}
	})
}

// TestLaidOver: what was laid over a body is contained in the result, and
// nothing else of the body is lost.
func TestLaidOver(t *testing.T) {
	bodies := rapid.Custom(func(t *rapid.T) map[string]any { return body(t, 3) })
	rapid.Check(t, func(t *rapid.T) {
		whole, part := bodies.Draw(t, "whole"), bodies.Draw(t, "part")
		out := laidOver(whole, part)
		if !contains(out, part) {
			t.Fatalf("%v over %v is %v", part, whole, out)
		}
		if !contains(out, laidOver(out, part)) {
			t.Fatalf("laying %v twice over %v changes it", part, whole)
		}
		for k, v := range whole {
			if _, said := part[k]; !said && !employee.Equal(out[k], v) {
				t.Fatalf("%s was lost", k)
			}
		}
	})
}

func body(t *rapid.T, depth int) map[string]any {
	out := map[string]any{}
	for _, k := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"a", "b", "c"}), rapid.ID).Draw(t, "keys") {
		if depth > 0 && rapid.Bool().Draw(t, "nested") {
			out[k] = body(t, depth-1)
			continue
		}
		out[k] = rapid.SampledFrom([]any{"x", "y", true}).Draw(t, "value")
	}
	return out
}
