package pipeline

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

func TestARecordBecomesAPerson(t *testing.T) {
	w := newWorld(t)
	raw := w.say(said{source: "ats", key: "7", id: "m1", version: seq("1"), body: says{
		"number": "0042", "given": "Zoë", "email": "Zoe@Acme.example", "status": "active", "hired": "2026-06-01", "pay": "52000.00", "ssn": "900-11-2222", "title": "Engineer",
	}})
	w.works()

	id := w.id("ats", "7")
	h := w.history(id)
	if len(h) != 1 || h[0].typ != "hired" {
		t.Fatalf("log is %q, want one hired", w.verbs(id))
	}
	s := h[0].state
	want := employee.Head{
		ID: id, Version: 1, Status: "active", Source: "ats", Initial: true, Config: "c0ffee", Event: s.Event, AcceptedAt: w.clock.Now(),
		Contains: map[string]uint64{"ats." + w.token("ats", "7"): raw},
		Changed: []string{"compensation.amount", "employee_number", "employment.hire_date", "employment.status", "name.given",
			"national_ids[]", "positions[].title", "work_email"},
	}
	if d := cmp.Diff(want, s.Head); d != "" {
		t.Errorf("head (-want +got):\n%s", d)
	}
	st := w.statement("ats", "7")
	if st.Status != record.StatusApplied || st.Employee != id || st.Raw != raw || st.Version != seq("1") || st.Event != s.Event || st.Key != "7" {
		t.Errorf("statement = %+v", st)
	}

	// Statement, employee and match keys are one batch: three keys, one person.
	var subjects []string
	if err := w.bus.Each(t.Context(), topology.People, "hr.>", func(in bus.In) error {
		subjects = append(subjects, topology.Token(in.Subject, 1)+"."+topology.Token(in.Subject, 2))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(subjects)
	if got := strings.Join(subjects, " "); got != "employee."+id+" match.email match.national_id match.number said.ats" {
		t.Errorf("PEOPLE holds %s", got)
	}

	// What is restricted is in the restricted part and nowhere else.
	env, err := w.codec.Sealer.Open(t.Context(), id, h[0].in.Event.ID()+"|"+h[0].in.Event.Type(), h[0].in.Event.Data(), seal.Basic, seal.Restricted)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"52000", "900-11-2222"} {
		if bytes.Contains(env.Head, []byte(secret)) || bytes.Contains(env.Basic, []byte(secret)) || !bytes.Contains(env.Restricted, []byte(secret)) {
			t.Errorf("%s is not in the restricted part alone", secret)
		}
	}
	if bytes.Contains(env.Head, []byte("Zo")) || bytes.Contains(h[0].in.Event.Data(), []byte("Zo")) {
		t.Error("a name stands in the clear")
	}
}

// A person's first commit is all or nothing: with one message refused none is
// there.
func TestFirstCommitIsAtomic(t *testing.T) {
	w := newWorld(t)
	n := w.say(said{source: "ats", key: "7", id: "m1", body: says{"number": "1", "email": "a@b.example", "status": "active"}})
	p := w.hands()
	g := w.process(p, n)
	other, err := p.clear(g.items[0].people[2].out.Subject, event.MatchReservedV1, "x", reserved{Employee: "somebody"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.bus.Publish(t.Context(), topology.People, other); err != nil {
		t.Fatal(err)
	}
	if err := p.commit(t.Context(), g); !errors.Is(err, bus.ErrConflict) {
		t.Fatalf("commit = %v, want a conflict", err)
	}
	if got := w.people(); got != 1 {
		t.Errorf("%d messages are there, want only the other's", got)
	}
}

// So is an update that brings a match key or a leaver.
func TestUpdatesThatAreAtomic(t *testing.T) {
	w := newWorld(t)
	w.say(said{source: "ats", key: "1", id: "1", body: says{"given": "A"}})
	w.works()
	for name, body := range map[string]says{"e-mail": {"email": "a@b.example"}, "leaver": {"status": "terminated"}} {
		if g := w.process(w.hands(), w.say(said{source: "ats", key: "1", id: name, body: body})); len(g.items) != 1 || !g.items[0].atomic {
			t.Errorf("%s: not atomic", name)
		}
	}
}

func TestTypesFollowTheStatus(t *testing.T) {
	w := newWorld(t)
	// The day is 2026-06-15.
	tell := func(n string, b says) { w.say(said{source: "ats", key: "1", id: n, version: seq(n), body: b}) }
	tell("1", says{"status": "pre_hire", "hired": "2026-07-01", "given": "A"})
	tell("2", says{"status": "withdrawn"})
	tell("3", says{"status": "pre_hire", "hired": "2026-08-01"})
	tell("4", says{"status": "active", "hired": "2026-06-01"})
	tell("5", says{"title": "Engineer"})
	tell("6", says{"status": "leave"})
	tell("7", says{"status": "active"})
	tell("8", says{"status": "terminated", "ended": "2026-06-14"})
	tell("9", says{"status": "pre_hire", "hired": "2026-09-01", "ended": nil})
	w.works()
	id := w.id("ats", "1")
	if got, want := w.verbs(id), "preboarded withdrawn preboarded hired updated leave_started leave_ended terminated rehired"; got != want {
		t.Errorf("log is %s, want %s", got, want)
	}
	for i, e := range w.history(id) {
		if e.state.Initial != (i == 0) {
			t.Errorf("version %d has initial %v", i+1, e.state.Initial)
		}
	}
	if got := w.history(id)[4].state.Changed; !slices.Equal(got, []string{"positions[].title"}) {
		t.Errorf("changed = %v", got)
	}
	in, err := w.bus.Last(t.Context(), topology.People, topology.Leaver(id))
	if err != nil {
		t.Fatal(err)
	}
	var r reserved
	if err := head(in, &r); err != nil || r != (reserved{Employee: id, Version: 8}) {
		t.Errorf("pointer = %+v, %v; want version 8", r, err)
	}
}

// A plain update goes as two publishes, the employee first.
func TestPlainUpdate(t *testing.T) {
	w := newWorld(t)
	w.say(said{source: "ats", key: "1", id: "1", version: seq("1"), body: says{"given": "A"}})
	w.works()
	before := w.people()
	w.say(said{source: "ats", key: "1", id: "2", version: seq("2"), body: says{"given": "B"}})
	w.works()
	h := w.history(w.id("ats", "1"))
	if got := h[len(h)-1].in.Seq; got != before+1 {
		t.Errorf("the employee is message %d, want %d", got, before+1)
	}
	in, err := w.bus.Last(t.Context(), topology.People, topology.Said("ats", w.token("ats", "1")))
	if err != nil || in.Seq != before+2 {
		t.Errorf("the statement is message %d (%v), want %d", in.Seq, err, before+2)
	}
	// The one before is still there: only trimming removes it, which knows
	// whether the audit has seen it.
	kept := 0
	err = w.bus.Each(t.Context(), topology.People, topology.Said("ats", w.token("ats", "1")), func(bus.In) error { kept++; return nil })
	if err != nil || kept != 2 {
		t.Errorf("%d statements are there (%v), want both", kept, err)
	}
}

func TestRepeatsChangeNothing(t *testing.T) {
	hire, unhire := says{"status": "active", "hired": "2026-06-01"}, says{"status": "withdrawn"}
	cases := []struct {
		name string
		told []said
		want string
	}{
		{"the same message without a version", []said{{id: "1", body: hire}, {id: "1", body: hire}}, "hired"},
		{"the same message with a sequence", []said{{id: "1", version: seq("5"), body: hire}, {id: "1", version: seq("5"), body: hire}}, "hired"},
		{"a retry after the opposite, without a version", []said{{id: "1", body: hire}, {id: "2", body: unhire}, {id: "1", body: hire}}, "hired updated"},
		{"a retry after the opposite, with a sequence", []said{{id: "1", version: seq("1"), body: hire}, {id: "2", version: seq("2"), body: unhire}, {id: "1", version: seq("1"), body: hire}}, "hired updated"},
		{"a retry after the opposite, with times", []said{{id: "1", version: at("2026-06-01T10:00:00Z"), body: hire}, {id: "2", version: at("2026-06-01T10:00:01Z"), body: unhire}, {id: "1", version: at("2026-06-01T10:00:00Z"), body: hire}}, "hired updated"},
		{"a retry after the opposite within one second", []said{{id: "1", version: at("2026-06-01T10:00:00Z"), body: hire}, {id: "2", version: at("2026-06-01T10:00:00Z"), body: unhire}, {id: "1", version: at("2026-06-01T10:00:00Z"), body: hire}, {id: "2", version: at("2026-06-01T10:00:00Z"), body: unhire}}, "hired updated"},
		{"a retry of what had a time after one without", []said{{id: "1", version: at("2026-06-01T10:00:00Z"), body: hire}, {id: "2", body: unhire}, {id: "1", version: at("2026-06-01T10:00:00Z"), body: hire}}, "hired updated"},
	}
	for name, restarts := range map[string]bool{"at once": false, "with restarts": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for step := range 4 {
				for i, c := range cases {
					if step < len(c.told) {
						s := c.told[step]
						s.source, s.key = "ats", strconv.Itoa(i)
						w.say(s)
					}
				}
				if restarts {
					w.works()
					w.clock.add(24 * time.Hour) // no time window
				}
			}
			w.works()
			for i, c := range cases {
				if got := w.verbs(w.id("ats", strconv.Itoa(i))); got != c.want {
					t.Errorf("%s: log is %q, want %q", c.name, got, c.want)
				}
			}
		})
	}
}

// A record that comes a second time from RAW, because its acknowledgement was
// lost, writes nothing at all.
func TestRawComesAgain(t *testing.T) {
	w := newWorld(t)
	w.say(said{source: "ats", key: "1", id: "1", body: says{"status": "active", "given": "A"}})
	w.link("hris", "h", w.id("ats", "1"), nil)
	p := w.hands()
	for n := range uint64(2) {
		if err := p.commit(t.Context(), w.process(p, n+1)); err != nil {
			t.Fatal(err)
		}
	}
	before := w.people() // committed, not acknowledged
	w.works()
	if got := w.people(); got != before {
		t.Errorf("%d messages were written", got-before)
	}
	if w.outcome("repeated") != 2 {
		t.Error("they were not recognised")
	}
}

// The employee was committed, its statement not: only the statement is
// written, with what it should have had.
func TestEmployeeWithoutItsStatement(t *testing.T) {
	w := newWorld(t)
	w.say(said{source: "hris", key: "1", id: "0", version: seq("1"), body: says{"number": "1", "given": "A"}})
	stop := w.start()
	w.settled()
	w.clock.add(2 * time.Minute)
	id := w.id("hris", "1")
	w.eventually(func() string {
		if w.statement("hris", "1").Employee != id {
			return "not merged"
		}
		return ""
	})
	w.link("hris", "1", id, map[string]string{"name.family": "token"})
	w.settled()
	w.say(said{source: "desk", key: "d", id: "1", body: says{"number": "1", "title": "X"}})
	w.settled()
	stop()

	n := w.say(said{source: "hris", key: "1", id: "2", version: seq("2"), body: says{"number": "1", "given": "B"}})
	d := w.say(said{source: "desk", key: "d", id: "3", body: says{"number": "1", "given": "C", "title": "Y"}})
	for _, n := range []uint64{n, d} {
		p := w.hands()
		g := w.process(p, n)
		if len(g.items) != 1 || g.items[0].atomic || len(g.items[0].people) != 1 {
			t.Fatalf("not a plain update: %+v", g.items)
		}
		s := g.items[0].people[0]
		s.out.Expect = &s.rev.seq
		if _, err := w.bus.Publish(t.Context(), topology.People, s.out); err != nil {
			t.Fatal(err)
		}
	}
	before := w.people()
	w.works()
	if got := w.people() - before; got != 2 {
		t.Errorf("%d messages were written, want the two statements", got)
	}
	st := w.statement("hris", "1")
	if st.Raw != n || st.Status != record.StatusApplied || st.Version != seq("2") || st.Sent["name.family"] != "token" {
		t.Errorf("statement = %+v", st)
	}
	if got := w.statement("desk", "d").Conflicts; len(got) != 1 || got[0].Path != "name.given" {
		t.Errorf("conflicts = %v, want that of name.given", got)
	}
	w.expect(id, employee.Flat{"name.given": "B", "positions[primary].title": "Y"})
}

func TestOrder_LateIsNotBelievedAndAudited(t *testing.T) {
	w := newWorld(t)
	w.say(said{source: "ats", key: "1", id: "2", version: seq("10"), body: says{"given": "New"}})
	w.say(said{source: "ats", key: "1", id: "1", version: seq("9"), body: says{"given": "Old"}})
	w.say(said{source: "ats", key: "1", id: "3", version: seq("11"), body: says{"given": "New"}})
	w.works()
	id := w.id("ats", "1")
	w.expect(id, employee.Flat{"name.given": "New"})
	if got := w.verbs(id); got != "updated" {
		t.Errorf("log is %q", got)
	}
	if st := w.statement("ats", "1"); st.Version != seq("11") || st.Status != record.StatusUnchanged {
		t.Errorf("equal content: version %v, status %s", st.Version, st.Status)
	}
	in, err := w.bus.Last(t.Context(), topology.Audit, topology.AuditOf("transform", "superseded"))
	if err != nil {
		t.Fatal(err)
	}
	st, err := record.StatementHead(in.Event)
	if err != nil || st.Version != seq("9") || st.Employee != id || bytes.Contains(in.Event.Data(), []byte("Old")) {
		t.Errorf("audited = %+v, %v", st, err)
	}
}

// Somebody about whom much is said waits for one commit after the other; the
// others, also those said later, do not wait with them.
func TestABusyPersonHoldsNobodyUp(t *testing.T) {
	const times, others = 40, 60
	w := newWorld(t)
	key := func(n int) string { return "o" + strconv.Itoa(n) }
	w.say(said{source: "ats", key: "busy", id: "0", version: seq("1"), body: says{"given": "A"}})
	for n := range others {
		w.say(said{source: "ats", key: key(n), id: "0", version: seq("1"), body: says{"given": "A"}})
	}
	w.works()
	for v := range times {
		w.say(said{source: "ats", key: "busy", id: strconv.Itoa(v + 1), version: seq(strconv.Itoa(v + 2)), body: says{"given": "B" + strconv.Itoa(v)}})
	}
	for n := range others {
		w.say(said{source: "ats", key: key(n), id: "1", version: seq("2"), body: says{"given": "B"}})
	}
	w.works()
	busy := w.history(w.id("ats", "busy"))
	if len(busy) != times+1 {
		t.Fatalf("%d versions of the busy one, want %d", len(busy), times+1)
	}
	w.expect(w.id("ats", "busy"), employee.Flat{"name.given": "B" + strconv.Itoa(times-1)})
	last := busy[len(busy)-1].in.Seq
	for n := range others {
		h := w.history(w.id("ats", key(n)))
		if len(h) != 2 || h[1].in.Seq > last {
			t.Errorf("%s has %d versions and waited for the busy one", key(n), len(h))
		}
	}
	// Somebody new may be anybody: they wait until all before them are settled.
	w.say(said{source: "ats", key: "busy", id: "x", version: seq("900"), body: says{"number": "77"}})
	w.say(said{source: "ats", key: "busy", id: "y", version: seq("901"), body: says{"number": "78"}})
	w.say(said{source: "hris", key: "h", id: "0", version: seq("1"), body: says{"number": "78"}})
	w.works()
	if got, want := w.statement("hris", "h").Employee, w.id("ats", "busy"); got != want {
		t.Errorf("who came with the new number is %s, want %s", got, want)
	}
}
