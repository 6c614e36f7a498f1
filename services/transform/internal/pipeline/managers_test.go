package pipeline

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

const managerLeaf = "positions[primary].manager"

// managed is a world whose hris names managers by its own key, whose ats by
// number and whose desk by e-mail, always in `boss`.
func managed(t testing.TB) *world {
	t.Helper()
	w := newWorld(t)
	for source, by := range map[string]string{"hris": "external_id", "ats": "employee_number", "desk": "work_email"} {
		w.company.Sources[source].Mapping = mapping.MustParse(source+".yaml", []byte(bodyMapping+"  "+managerLeaf+"."+by+": boss\n"), mapping.Options{Source: source})
	}
	w.company.Targets = nil // so that hris makes people at once
	return w
}

// TestManagersWhoComeLater: however a source names them, and whether transform
// was started again in between.
func TestManagersWhoComeLater(t *testing.T) {
	for _, source := range []string{"hris", "ats", "desk"} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restart %v", source, restart), func(t *testing.T) {
				w := managed(t)
				name := map[string]string{"hris": "m", "ats": "77", "desk": "Boss@acme.example"}[source]
				stop := w.start()
				for _, key := range []string{"1", "2", "3"} {
					w.say(said{source: source, key: key, id: key, body: says{"number": "n" + key, "status": "active", "boss": name}})
				}
				w.settled()
				if restart {
					stop()
					stop = w.start()
				}
				before := w.state(w.id(source, "1"))
				if id, ok := before.Fields[managerLeaf].(string); ok || len(before.Awaits) != 1 {
					t.Fatalf("before the manager came: %q, awaits %v", id, before.Awaits)
				}
				w.say(said{source: source, key: "m", id: "m", body: says{"number": "77", "email": "boss@acme.example", "status": "active"}})
				for _, key := range []string{"1", "2", "3"} {
					id := w.id(source, key)
					w.eventually(func() string { return w.managerIs(id, w.id(source, "m")) })
					h := w.history(id)
					last := h[len(h)-1]
					if len(h) != 2 || last.typ != "updated" || len(last.state.Awaits) != 0 {
						t.Errorf("history %q, awaits %v", w.verbs(id), last.state.Awaits)
					}
					if got := fmt.Sprintf("%v %s %s", last.state.Changed, last.state.Source, last.state.Provenance[managerLeaf].Source); got != "[positions[].manager] "+source+" "+source {
						t.Errorf("change %s", got)
					}
					if h[0].in.Event.ID() == last.in.Event.ID() {
						t.Error("two changes have one id")
					}
				}
				// Said again it is no change.
				w.say(said{source: source, key: "1", id: "again", body: says{"number": "n1", "status": "active", "boss": name}})
				w.settled()
				if got := w.verbs(w.id(source, "1")); got != "hired updated" {
					t.Errorf("after the same once more: %s", got)
				}
				stop()
			})
		}
	}
}

func (w *world) managerIs(id, want string) string {
	if got := w.state(id).Fields[managerLeaf]; !employee.Equal(got, want) {
		return fmt.Sprintf("the manager of %s is %v", id, got)
	}
	return ""
}

// TestManagerWhoIsThereAlready needs no second version.
func TestManagerWhoIsThereAlready(t *testing.T) {
	w := managed(t)
	w.say(said{source: "hris", key: "m", id: "m", body: says{"email": "boss@acme.example", "status": "active"}})
	w.say(said{source: "hris", key: "1", id: "1", body: says{"number": "1", "status": "active", "boss": "m"}})
	w.say(said{source: "desk", key: "d", id: "d", body: says{"number": "9", "status": "active", "boss": "BOSS@acme.example"}})
	w.works()
	for _, id := range []string{w.id("hris", "1"), w.id("desk", "d")} {
		if got := w.managerIs(id, w.id("hris", "m")); got != "" || w.verbs(id) != "hired" {
			t.Errorf("%s; %s", got, w.verbs(id))
		}
	}
}

// TestAStateNamesNobodyElse: until the manager is known neither the log nor its
// head holds the name that the source gave.
func TestAStateNamesNobodyElse(t *testing.T) {
	w := managed(t)
	w.say(said{source: "desk", key: "1", id: "1", body: says{"number": "1", "boss": "planted.boss@acme.example"}})
	w.works()
	id := w.id("desk", "1")
	for _, e := range w.history(id) {
		env, err := w.codec.Sealer.Open(t.Context(), id, e.in.Event.ID()+"|"+e.in.Event.Type(), e.in.Event.Data(), seal.Basic)
		if err != nil {
			t.Fatal(err)
		}
		for name, part := range map[string][]byte{"head": env.Head, "basic": env.Basic} {
			if bytes.Contains(bytes.ToLower(part), []byte("planted")) {
				t.Errorf("the %s part names another person", name)
			}
		}
	}
}

// TestManagersInCircles: who manages himself, and two who manage each other.
func TestManagersInCircles(t *testing.T) {
	w := managed(t)
	w.say(said{source: "hris", key: "self", id: "1", body: says{"number": "1", "status": "active", "boss": "self"}})
	w.say(said{source: "hris", key: "a", id: "2", body: says{"number": "2", "status": "active", "boss": "b"}})
	w.say(said{source: "hris", key: "b", id: "3", body: says{"number": "3", "status": "active", "boss": "a"}})
	stop := w.start()
	for key, boss := range map[string]string{"self": "self", "a": "b", "b": "a"} {
		w.eventually(func() string { return w.managerIs(w.id("hris", key), w.id("hris", boss)) })
	}
	w.say(said{source: "hris", key: "z", id: "4", body: says{"number": "4"}}) // whatever else there is to do is done before it
	w.settled()
	stop()
	for key, want := range map[string]string{"self": "hired updated", "a": "hired updated", "b": "hired"} {
		if got := w.verbs(w.id("hris", key)); got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
}

// TestAnotherManagerMeanwhile: who waits for somebody else by now is left alone.
func TestAnotherManagerMeanwhile(t *testing.T) {
	w := managed(t)
	w.say(said{source: "hris", key: "1", id: "1", body: says{"number": "1", "status": "active", "boss": "x"}})
	w.say(said{source: "hris", key: "1", id: "2", body: says{"number": "1", "status": "active", "boss": "y"}})
	w.say(said{source: "hris", key: "x", id: "3", body: says{"number": "3", "status": "active"}})
	stop := w.start()
	w.settled()
	w.say(said{source: "hris", key: "y", id: "4", body: says{"number": "4", "status": "active"}})
	id := w.id("hris", "1")
	w.eventually(func() string { return w.managerIs(id, w.id("hris", "y")) })
	stop()
	for _, e := range w.history(id) {
		if employee.Equal(e.state.Fields[managerLeaf], w.id("hris", "x")) {
			t.Error("a manager who was replaced came back")
		}
	}
}

// TestAManagerFromALaterDay: who is named for a day to come is known by our id
// on that day, if the manager came meanwhile.
func TestAManagerFromALaterDay(t *testing.T) {
	w := managed(t)
	w.say(said{source: "hris", key: "1", id: "1", body: says{"number": "1", "status": "active"}})
	w.say(said{source: "hris", key: "1", id: "2", body: says{"number": "1", "from": "2026-07-01", "boss": "m"}})
	w.say(said{source: "hris", key: "m", id: "3", body: says{"number": "3", "status": "active"}})
	stop := w.start()
	w.settled()
	if got := w.state(w.id("hris", "1")); got.Fields[managerLeaf] != nil || len(got.Awaits) > 0 {
		t.Errorf("before the day: %v", got.Fields[managerLeaf])
	}
	w.clock.set(time.Date(2026, 7, 2, 12, 0, 0, 0, time.UTC))
	w.say(said{source: "hris", key: "1", id: "4", body: says{"number": "1", "title": "T"}})
	w.settled()
	stop()
	if got := w.managerIs(w.id("hris", "1"), w.id("hris", "m")); got != "" {
		t.Error(got)
	}
}

// TestACrashBeforeTheReports: the manager is committed, the states of those who
// wait are not. The next start finds them.
func TestACrashBeforeTheReports(t *testing.T) {
	w := managed(t)
	w.say(said{source: "hris", key: "1", id: "1", body: says{"number": "1", "status": "active", "boss": "m"}})
	w.works()
	n := w.say(said{source: "hris", key: "m", id: "m", body: says{"number": "77", "status": "active"}})
	p := w.hands()
	g := w.process(p, n)
	if len(p.meeting.list) != 1 {
		t.Fatalf("%d were called", len(p.meeting.list))
	}
	if err := p.commit(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	id := w.id("hris", "1")
	if got := w.verbs(id); got != "hired" {
		t.Fatalf("the report is %s already", got)
	}
	w.start()
	w.eventually(func() string { return w.managerIs(id, w.id("hris", "m")) })
	if got := w.verbs(id); got != "hired updated" {
		t.Error(got)
	}
}

// TestAThousandReports of one manager, with records of theirs in between and a
// second transform that takes over: each gets one version for it and none is lost.
func TestAThousandReports(t *testing.T) {
	w := managed(t)
	const reports = 1000
	w.sayAll(reports, func(i int) said {
		return said{source: "hris", key: fmt.Sprint(i), id: fmt.Sprint(i), body: says{"number": fmt.Sprint(i), "status": "active", "boss": "m"}}
	})
	stop := w.start()
	w.settled()
	w.say(said{source: "hris", key: "m", id: "m", body: says{"number": "boss", "status": "active"}})
	w.sayAll(50, func(int) said { // some of them change meanwhile
		i := rand.IntN(reports)
		return said{source: "hris", key: fmt.Sprint(i), id: fmt.Sprint("t", i), body: says{"number": fmt.Sprint(i), "status": "active", "boss": "m", "title": "T"}}
	})
	w.settled()
	stop()
	stop = w.start()
	boss := w.id("hris", "m")
	heads := func() (done, versions int) {
		err := w.bus.EachLast(t.Context(), topology.People, "hr.employee.*", func(in bus.In) error {
			var h employee.Head
			if err := head(in, &h); err != nil {
				return err
			}
			if h.ID != boss {
				versions += int(h.Version)
				if len(h.Awaits) == 0 {
					done++
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return done, versions
	}
	w.eventually(func() string {
		if done, _ := heads(); done != reports {
			return fmt.Sprintf("%d of %d know their manager", done, reports)
		}
		return ""
	})
	stop()
	if _, versions := heads(); versions < 2*reports || versions > 2*reports+50 {
		t.Errorf("%d versions for %d reports", versions, reports)
	}
	for i := range reports {
		if i%97 == 0 {
			if got := w.managerIs(w.id("hris", fmt.Sprint(i)), boss); got != "" {
				t.Error(got)
			}
		}
	}
}

// sayAll stores many records, grouped.
func (w *world) sayAll(n int, which func(int) said) {
	w.Helper()
	var sent []*bus.Future
	for i := range n {
		m := w.packed(which(i))
		f, err := w.bus.PublishAsync(w.Context(), topology.Raw, bus.Out{Subject: m.Subject, Event: m.Event})
		if err != nil {
			w.Fatal(err)
		}
		sent = append(sent, f)
	}
	for _, f := range sent {
		if _, err := f.Wait(context.Background()); err != nil {
			w.Fatal(err)
		}
	}
}
