package pipeline

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/testkit"
	"github.com/muster-hr/muster/libs/topology"
)

// Several systems, one person.
func TestWhoseRecordItIs(t *testing.T) {
	w := newWorld(t)
	w.say(said{source: "ats", key: "1", id: "a1", body: says{"number": "1", "email": "a@acme.example", "given": "A"}})
	w.say(said{source: "ats", key: "2", id: "a2", body: says{"number": "2", "email": "b@acme.example", "given": "B"}})
	stop := w.start()
	w.settled()
	one, two := w.id("ats", "1"), w.id("ats", "2")

	w.say(said{source: "hris", key: "h1", id: "h1", body: says{"our_id": one, "title": "by our id"}})
	w.say(said{source: "hris", key: "h2", id: "h2", body: says{"our_id": one, "title": "copied"}})
	w.say(said{source: "desk", key: "d1", id: "d1", body: says{"number": "1", "title": "by number"}})
	w.say(said{source: "desk", key: "d2", id: "d2", body: says{"email": "B@ACME.example", "title": "unsure"}})
	w.say(said{source: "hris", key: "h3", id: "h3", body: says{"number": "2", "email": "a@acme.example"}})
	w.say(said{source: "ats", key: "3", id: "a3", body: says{"number": "1", "email": "b@acme.example", "given": "C"}})
	w.settled()
	stop()

	for _, c := range []struct{ source, key, employee, status string }{
		{"hris", "h1", one, record.StatusApplied},
		{"hris", "h2", "", record.StatusWaiting}, // believed to be nobody's: it waits like any unknown key
		{"desk", "d1", one, record.StatusUnchanged},
		{"desk", "d2", "", record.StatusReview},
		{"hris", "h3", two, record.StatusApplied},            // number 2; the e-mail is of one who has another key there
		{"ats", "3", w.id("ats", "3"), record.StatusApplied}, // both are of people with other keys at this source
	} {
		if st := w.statement(c.source, c.key); st.Employee != c.employee || st.Status != c.status {
			t.Errorf("%s %s: %s of %q, want %s of %q", c.source, c.key, st.Status, st.Employee, c.status, c.employee)
		}
	}
	w.expect(one, employee.Flat{"positions[primary].title": "by our id", "name.given": "A"})
	var rules []string
	for _, c := range w.statement("ats", "3").Conflicts {
		rules = append(rules, c.Path+" "+c.Rule)
	}
	if got := strings.Join(rules, ", "); got != "employee_number match_key_taken" { // two goes by another e-mail since h3
		t.Errorf("conflicts = %s", got)
	}
}

func TestTwoPeopleMatch(t *testing.T) {
	w := newWorld(t)
	w.say(said{source: "ats", key: "1", id: "a1", body: says{"number": "1"}})
	w.say(said{source: "ats", key: "2", id: "a2", body: says{"email": "b@acme.example"}})
	w.say(said{source: "hris", key: "h", id: "h", body: says{"number": "1", "email": "b@acme.example", "given": "H"}})
	w.works()
	if st := w.statement("hris", "h"); st.Status != record.StatusReview || st.Employee != "" {
		t.Errorf("status %s of %q, want review of nobody", st.Status, st.Employee)
	}
	// A delivery of ours knows better: what was in review is merged with its word.
	w.link("hris", "h", w.id("ats", "2"), nil)
	w.works()
	if st := w.statement("hris", "h"); st.Status != record.StatusApplied || st.Employee != w.id("ats", "2") {
		t.Errorf("status %s of %q after the link", st.Status, st.Employee)
	}
	w.expect(w.id("ats", "2"), employee.Flat{"name.given": "H"})
}

// A pending e-mail is a match key already, else the next system makes a second
// person.
func TestPendingMatchKeys(t *testing.T) {
	w := newWorld(t)
	w.say(said{source: "ats", key: "1", id: "1", body: says{"from": "2026-07-01", "number": "1", "status": "active"}})
	w.say(said{source: "desk", key: "1", id: "2", body: says{"number": "1", "title": "X"}})
	w.works()
	if got := w.statement("desk", "1").Employee; got != w.id("ats", "1") {
		t.Error("the second system made a second person")
	}
}

func (w *world) statusIs(source, key, status string) {
	w.Helper()
	w.eventually(func() string {
		if got := w.statement(source, key).Status; got != status {
			return source + " " + key + " is " + got + ", want " + status
		}
		return ""
	})
}

func TestLinkWait(t *testing.T) {
	for _, c := range []struct {
		name  string
		tell  func(w *world)
		want  employee.Flat
		verbs string
		saidN int // partial records in the statement
	}{
		{"one record", func(w *world) {
			w.say(said{source: "hris", key: "k", id: "1", version: seq("1"), body: says{"given": "K", "title": "T"}})
		}, employee.Flat{"name.given": "K", "positions[primary].title": "T"}, "updated", 0},
		{"two whole records", func(w *world) {
			w.say(said{source: "hris", key: "k", id: "1", version: seq("1"), body: says{"given": "Old"}})
			w.say(said{source: "hris", key: "k", id: "2", version: seq("2"), body: says{"given": "K", "status": "active"}})
		}, employee.Flat{"name.given": "K", "employment.status": "active"}, "hired", 0},
		{"a whole and two partial ones", func(w *world) {
			w.say(said{source: "hris", key: "k", id: "1", version: seq("1"), body: says{"given": "K", "title": "T", "number": "9"}})
			w.say(said{source: "hris", key: "k", id: "2", version: seq("2"), partial: true, body: says{"title": "T2"}})
			w.say(said{source: "hris", key: "k", id: "3", version: seq("3"), partial: true, body: says{"family": "F"}})
		}, employee.Flat{"name.given": "K", "positions[primary].title": "T2", "name.family": "F", "employee_number": "9"}, "updated", 2},
		{"a partial one alone", func(w *world) {
			w.say(said{source: "hris", key: "k", id: "1", version: seq("1"), partial: true, body: says{"title": "T"}})
		}, employee.Flat{"positions[primary].title": "T"}, "updated", 1},
	} {
		for _, ends := range []string{"by time", "by time after a restart", "by our word", "by our word after a restart"} {
			t.Run(c.name+" "+ends, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.say(said{source: "ats", key: "p", id: "p", body: says{"username": "u"}})
				stop := w.start()
				w.settled()
				begun := w.clock.Now()
				c.tell(w)
				w.settled()
				if st := w.statement("hris", "k"); st.Status != record.StatusWaiting || !st.StatedAt.Equal(begun) {
					t.Fatalf("status %s at %v, want waiting since %v", st.Status, st.StatedAt, begun)
				}
				if strings.HasSuffix(ends, "restart") {
					stop()
					w.start()
				}
				id := w.id("hris", "k")
				if strings.HasPrefix(ends, "by time") {
					w.clock.add(59 * time.Second)
					w.say(said{source: "ats", key: "other", id: "x", body: says{"given": "X"}})
					w.settled()
					if got := w.statement("hris", "k").Status; got != record.StatusWaiting {
						t.Fatalf("status %s before the time is over", got)
					}
					w.clock.add(time.Second)
					w.statusIs("hris", "k", record.StatusApplied)
				} else {
					id = w.id("ats", "p")
					w.link("hris", "k", id, nil)
					w.settled()
				}
				w.expect(id, c.want)
				st := w.statement("hris", "k")
				if st.Employee != id || st.Status != record.StatusApplied || len(st.Partials) != c.saidN {
					t.Errorf("statement: %s of %q with %d partial records", st.Status, st.Employee, len(st.Partials))
				}
				if strings.HasPrefix(ends, "by time") {
					if got := w.verbs(id); got != c.verbs {
						t.Errorf("log is %q, want %q", got, c.verbs)
					}
				}
			})
		}
	}
}

// Link and record are one commit: a crash leaves either both or none.
func TestLinkAndWaitingRecordAreOneCommit(t *testing.T) {
	w := newWorld(t)
	w.say(said{source: "ats", key: "p", id: "p", body: says{"given": "P"}})
	w.say(said{source: "hris", key: "k", id: "1", body: says{"title": "T"}})
	w.works()
	n := w.link("hris", "k", w.id("ats", "p"), nil)
	g := w.process(w.hands(), n)
	if len(g.items) != 1 || !g.items[0].atomic || len(g.items[0].people) != 1 {
		t.Errorf("staged are %d items", len(g.items))
	}
}

// A record that keeps changing does not wait for ever, restarts or not.
func TestWaitingCountsFromTheFirst(t *testing.T) {
	w := newWorld(t)
	stop := w.start()
	for _, v := range []string{"1", "2", "3"} {
		w.say(said{source: "hris", key: "k", id: v, version: seq(v), body: says{"given": "K" + v}})
		w.settled()
		w.clock.add(25 * time.Second)
		stop()
		stop = w.start()
	}
	w.statusIs("hris", "k", record.StatusApplied)
	w.expect(w.id("hris", "k"), employee.Flat{"name.given": "K3"})
	stop()
}

// A partial record tells whose the whole one before it is: both are merged.
func TestPartialEndsTheWait(t *testing.T) {
	w := newWorld(t)
	w.say(said{source: "ats", key: "p", id: "p", body: says{"number": "1"}})
	w.say(said{source: "hris", key: "k", id: "1", version: seq("1"), body: says{"given": "K"}})
	w.say(said{source: "hris", key: "k", id: "2", version: seq("2"), partial: true, body: says{"number": "1", "family": "F"}})
	w.works()
	w.expect(w.id("ats", "p"), employee.Flat{"name.given": "K", "name.family": "F"})
	if st := w.statement("hris", "k"); st.Employee != w.id("ats", "p") || len(st.Partials) != 1 || st.Whole == nil {
		t.Errorf("statement = %+v", st)
	}
}

// The mapping was changed while a record waited, and it does not fit any more:
// that shows when the wait is over, without any other traffic.
func TestWaitingRecordDoesNotMapAnyMore(t *testing.T) {
	w := newWorld(t)
	w.say(said{source: "hris", key: "k", id: "1", body: says{"given": "K"}})
	w.works()
	w.company.Sources["hris"].Mapping = mapping.MustParse("hris.yaml", []byte("fields: {birth_date: given}"), mapping.Options{Source: "hris"})
	w.start()
	w.clock.add(time.Hour)
	w.eventually(func() string {
		if len(w.letters()) == 0 {
			return "no dead letter"
		}
		return ""
	})
	for _, l := range w.letters() {
		if l.Reason != "mapping" || l.Key != "k" || string(l.Body) != `{"given":"K"}` {
			t.Errorf("dead letter = %+v", l)
		}
	}
}

// Deleted before anybody knew whose it was: nobody is made of it.
func TestDeletedWhileWaiting(t *testing.T) {
	w := newWorld(t)
	stop := w.start()
	w.say(said{source: "hris", key: "k", id: "1", version: seq("1"), body: says{"given": "K"}})
	w.say(said{source: "hris", key: "k", id: "2", version: seq("2"), deleted: true})
	w.say(said{source: "hris", key: "never-seen", id: "3", version: seq("2"), deleted: true})
	w.say(said{source: "hris", key: "never-seen", id: "4", version: seq("1"), body: says{"given": "N"}}) // a retry, overtaken
	w.settled()
	w.clock.add(time.Hour)
	w.say(said{source: "hris", key: "k2", id: "1", version: seq("1"), body: says{"given": "K"}})
	w.settled()
	w.clock.add(time.Hour)
	w.statusIs("hris", "k2", record.StatusApplied) // after k would have been
	stop()
	for _, key := range []string{"k", "never-seen"} {
		if got := w.verbs(w.id("hris", key)); got != "" {
			t.Errorf("a person was made of %s: %s", key, got)
		}
	}
	if st := w.statement("hris", "k"); st.Whole != nil || st.Status != record.StatusUnchanged {
		t.Errorf("statement = %s, %s", st.Status, st.Whole)
	}
}

func TestLinked(t *testing.T) {
	w := newWorld(t)
	w.say(said{source: "ats", key: "1", id: "1", body: says{"given": "A", "family": "F"}})
	w.say(said{source: "ats", key: "2", id: "2", body: says{"given": "B"}})
	stop := w.start()
	w.settled()
	one, two := w.id("ats", "1"), w.id("ats", "2")

	w.link("hris", "k", "nobody-of-ours", nil)
	w.link("hris", "h", one, map[string]string{"name.given": w.codec.ValueToken("name.given", "A")}) // before any record
	w.settled()
	if st := w.statement("hris", "h"); st.Status != record.StatusLinked || st.Employee != one {
		t.Errorf("status %s of %q, want linked", st.Status, st.Employee)
	}
	w.link("hris", "h", two, nil)
	// The first record of a key that is ours: at once, no wait.
	w.say(said{source: "hris", key: "h", id: "h1", version: seq("1"), body: says{"title": "T"}})
	w.settled()
	if st := w.statement("hris", "h"); st.Status != record.StatusApplied || st.Employee != one {
		t.Errorf("status %s of %q after the echo", st.Status, st.Employee)
	}
	// A second write of other paths keeps the first ones.
	w.linkAs("hris", "h", one, map[string]string{"name.family": w.codec.ValueToken("name.family", "F")}, "second")
	w.settled()
	// The state moves on; the echo of both writes comes late and is no change.
	w.say(said{source: "ats", key: "1", id: "1b", body: says{"given": "A2", "family": "F2"}})
	w.settled()
	for _, id := range []string{"h2", "h3"} { // a vendor may tell of one write twice
		w.say(said{source: "hris", key: "h", id: id, version: seq(id[1:]), body: says{"given": "A", "family": "F"}})
		w.settled()
		w.expect(one, employee.Flat{"name.given": "A2", "name.family": "F2", "positions[primary].title": "T"})
	}
	// Once it says something else, what we wrote is history: coming back to it
	// is a change, also after a restart.
	w.say(said{source: "hris", key: "h", id: "h4", version: seq("4"), body: says{"given": "A3"}})
	w.settled()
	w.expect(one, employee.Flat{"name.given": "A3", "name.family": "F2"})
	stop()
	stop = w.start()
	w.say(said{source: "hris", key: "h", id: "h5", version: seq("5"), body: says{"given": "A", "family": "F"}})
	w.settled()
	stop()
	w.expect(one, employee.Flat{"name.given": "A", "name.family": "F2", "positions[primary].title": "T"})
	w.expect(two, employee.Flat{"name.given": "B"})
	reasons := map[string]int{}
	for _, l := range w.letters() {
		reasons[l.Reason]++
	}
	if len(reasons) != 2 || reasons["unknown_employee"] != 1 || reasons["linked_twice"] != 1 {
		t.Errorf("dead letters = %v", reasons)
	}
}

func TestDeadLetters(t *testing.T) {
	w := newWorld(t)
	w.say(said{source: "ats", key: "1", id: "1", body: says{"hired": "the 13th, says Zoltan", "given": "Zoltan"}})
	w.say(said{source: "crm", key: "1", id: "2", body: says{"given": "Zoltan"}})
	w.say(said{source: "ats", key: "3", id: "3", version: seq("many"), body: says{"given": "Zoltan"}})
	foreign := event.New("foreign", "/else", event.RecordReceivedV1, []byte("what is this"))
	w.store(record.Message{Subject: topology.RawRecord("ats", "foreign"), Event: foreign})
	stolen, err := w.bus.Get(t.Context(), topology.Raw, 1)
	if err != nil {
		t.Fatal(err)
	}
	w.store(record.Message{Subject: topology.RawRecord("ats", "somewhere-else"), Event: stolen.Event})
	for _, typ := range []string{event.ReadBegunV1, event.ReadPagedV1, event.ReadEndedV1} { // frames are passed over
		frame, err := w.codec.Frame(t.Context(), typ, record.Read{Source: "ats", Read: "1", Outcome: "complete", Cursor: "c"})
		if err != nil {
			t.Fatal(err)
		}
		w.store(frame)
	}
	w.say(said{source: "ats", key: "9", id: "9", body: says{"given": "Fine"}})
	w.works()

	w.expect(w.id("ats", "9"), employee.Flat{"name.given": "Fine"})
	byReason := map[string]record.DeadLetter{}
	for _, l := range w.letters() {
		byReason[l.Reason] = l
	}
	if l := byReason["mapping"]; l.Path != "hired" || l.Rule == "" || l.Source != "ats" || l.Key != "1" || !strings.Contains(string(l.Body), "Zoltan") {
		t.Errorf("mapping: %+v", l)
	}
	for _, reason := range []string{"unknown_source", "version", "envelope"} {
		if _, ok := byReason[reason]; !ok {
			t.Errorf("no dead letter says %s", reason)
		}
	}
	if err := w.bus.Each(t.Context(), topology.Dead, "hr.dead.>", func(in bus.In) error {
		if strings.Contains(string(in.Event.Data()), "Zoltan") {
			t.Error("a dead letter shows a value")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(w.log.String(), "Zoltan") {
		t.Errorf("the log shows a value:\n%s", w.log)
	}
}

// A record that does not fit into a message, and one that the bus refuses each
// time, must not stop the others.
func TestTooLargeAndRefused(t *testing.T) {
	for reason, payload := range map[string]int{"too_large": 1 << 20, "refused": 512 << 10} {
		t.Run(reason, func(t *testing.T) {
			srv, err := bus.StartServer(bus.ServerOptions{StoreDir: t.TempDir(), Port: -1, SyncAlways: true, MaxPayload: payload, Log: testkit.Log(t)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(srv.Shutdown)
			w := worldOn(t, srv)
			ballast := strings.Repeat("x", payload*6/10)
			w.say(said{source: "ats", key: "1", id: "1", version: seq("1"), body: says{"given": "A", "ballast": ballast}})
			w.works()
			for i := range 5 {
				w.say(said{source: "ats", key: "o", id: "o" + string(rune('a'+i)), body: says{"given": "O" + string(rune('a'+i))}})
			}
			w.say(said{source: "ats", key: "1", id: "2", version: seq("2"), partial: true, body: says{"given": "B", "number": "7", "ballast": ballast}})
			w.say(said{source: "ats", key: "2", id: "3", body: says{"given": "C", "number": "7"}})
			w.works()
			l, ok := w.letters()[w.codec.Sealer.Token("record", "ats", "1", "2")]
			if !ok || l.Reason != reason || len(l.Body) < len(ballast) {
				t.Errorf("dead letter = %v, reason %q, %d bytes", ok, l.Reason, len(l.Body))
			}
			w.expect(w.id("ats", "1"), employee.Flat{"name.given": "A", "employee_number": nil})
			w.expect(w.id("ats", "2"), employee.Flat{"name.given": "C"})
			w.expect(w.id("ats", "o"), employee.Flat{"name.given": "Oe"})
			if got := w.statement("ats", "2").Conflicts; len(got) > 0 {
				t.Errorf("what was given up holds a match key: %v", got)
			}
		})
	}
}

func TestEffective(t *testing.T) {
	w := newWorld(t)
	zone := w.company.Zone
	// 23:30 in New York, the next day in UTC.
	w.clock.set(time.Date(2026, 6, 14, 23, 30, 0, 0, zone))
	w.start()
	w.say(said{source: "ats", key: "1", id: "1", version: seq("1"), body: says{"status": "active", "hired": "2026-06-15", "title": "T", "pay": "1"}})
	w.say(said{source: "ats", key: "1", id: "2", version: seq("2"), body: says{"from": "2026-06-20", "title": "T2", "pay": "2"}})
	w.settled()
	id := w.id("ats", "1")
	w.expect(id, employee.Flat{"employment.status": "pre_hire", "positions[primary].title": "T", "compensation.amount": "1"})
	if got := w.state(id).Pending; len(got) != 2 || got[0].Effective != "2026-06-20" { // one of each sealed part
		t.Errorf("pending = %v", got)
	}
	// No record comes with a day.
	w.clock.add(time.Hour)
	w.verbsAre(id, "preboarded updated hired")
	w.expect(id, employee.Flat{"employment.status": "active", "positions[primary].title": "T"})
	w.clock.set(time.Date(2026, 6, 20, 0, 0, 1, 0, zone))
	w.verbsAre(id, "preboarded updated hired updated")
	w.expect(id, employee.Flat{"positions[primary].title": "T2", "compensation.amount": "2"})
	if got := w.state(id); len(got.Pending) != 0 {
		t.Errorf("still pending: %v", got.Pending)
	}
}

func (w *world) verbsAre(id, want string) {
	w.Helper()
	w.eventually(func() string {
		if got := w.verbs(id); got != want {
			return "the log is " + got + ", want " + want
		}
		return ""
	})
}

// TestADayBegins: whoever was stopped or running when it began, once per change
// and for everybody, also when more people change on it than fit a commit.
func TestADayBegins(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart %v", restart), func(t *testing.T) {
			w := newWorld(t)
			const hires = groupLimit + roundSlice
			w.sayAll(hires, func(i int) said {
				return said{source: "ats", key: fmt.Sprint(i), id: fmt.Sprint(i), body: says{"status": "active", "hired": "2026-07-01"}}
			})
			w.say(said{source: "ats", key: "leaver", id: "l", body: says{"status": "active", "hired": "2020-01-01", "ended": "2026-06-30"}})
			w.say(said{source: "ats", key: "other", id: "o", body: says{"status": "active", "hired": "2020-01-01"}})
			stop := w.start()
			w.settled()
			w.clock.set(time.Date(2026, 6, 30, 23, 59, 59, 0, w.company.Zone))
			if restart {
				stop()
			}
			w.clock.add(time.Second)
			if restart {
				stop = w.start()
			}
			leaver := w.id("ats", "leaver")
			w.verbsAre(leaver, "hired terminated")
			for i := range hires {
				w.verbsAre(w.id("ats", fmt.Sprint(i)), "preboarded hired")
			}
			stop()
			w.works() // nothing is left to do, and nothing is done again
			for key, want := range map[string]string{"0": "preboarded hired", "leaver": "hired terminated", "other": "hired"} {
				w.verbsAre(w.id("ats", key), want)
			}
			h := w.history(leaver)
			if got := h[1].state; got.Status != employee.Terminated || got.Source != "ats" || got.Initial || !slices.Equal(got.Changed, []string{"employment.status"}) || len(got.Contains) != 1 {
				t.Errorf("head = %+v", got.Head)
			}
			in, err := w.bus.Last(t.Context(), topology.People, topology.Leaver(leaver))
			if err != nil {
				t.Fatal(err)
			}
			var r reserved
			if err := head(in, &r); err != nil || r.Version != 2 {
				t.Errorf("pointer = %+v, %v", r, err)
			}
		})
	}
}

// What is said again for the same day is said once, in every part of it; what
// is said differently replaces it.
func TestSaidAgainForALaterDay(t *testing.T) {
	w := newWorld(t)
	body := func(title string) says { return says{"from": "2026-07-01", "number": "1", "title": title, "pay": "2"} }
	for i, title := range []string{"T", "T", "T", "U"} {
		w.say(said{source: "ats", key: "1", id: fmt.Sprint(i), body: body(title)})
	}
	w.works()
	id := w.id("ats", "1")
	got := w.state(id)
	if got.Version != 2 || len(got.Pending) != 2 || got.Pending[0].Fields["positions[primary].title"] != "U" {
		t.Errorf("version %d, pending %v", got.Version, got.Pending)
	}
	w.start()
	w.clock.set(time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC))
	w.verbsAre(id, "updated updated updated")
	w.expect(id, employee.Flat{"positions[primary].title": "U", "compensation.amount": "2", "employee_number": "1"})
}

// An e-mail that somebody gave up is of the next who has it: who sends it, and
// whom others name by it, is that one.
func TestAnEmailIsGivenToSomebodyElse(t *testing.T) {
	w := newWorld(t)
	w.say(said{source: "ats", key: "1", id: "1", body: says{"given": "A", "email": "sam@acme.example"}})
	w.say(said{source: "ats", key: "1", id: "2", body: says{"given": "A", "email": "sam.old@acme.example"}})
	stop := w.start()
	w.settled()
	w.say(said{source: "ats", key: "2", id: "3", body: says{"given": "B", "email": "sam@acme.example"}})
	w.settled()
	stop()
	w.say(said{source: "hris", key: "h", id: "4", body: says{"email": "sam@acme.example", "pay": "1"}})
	w.say(said{source: "hris", key: "i", id: "5", body: says{"email": "sam.old@acme.example", "pay": "2"}})
	w.works()
	one, two := w.id("ats", "1"), w.id("ats", "2")
	if got := w.statement("ats", "2").Conflicts; len(got) > 0 {
		t.Errorf("conflicts = %v", got)
	}
	w.expect(one, employee.Flat{"name.given": "A", "compensation.amount": "2"})
	w.expect(two, employee.Flat{"name.given": "B", "compensation.amount": "1"})
	if n := len(w.letters()); n > 0 {
		t.Errorf("%d dead letters", n)
	}
}

// A match key that is said for today and for a later day is reserved once.
func TestAMatchKeyForTwoDays(t *testing.T) {
	w := newWorld(t)
	w.say(said{source: "ats", key: "p", id: "p", body: says{"given": "P"}})
	w.say(said{source: "hris", key: "k", id: "1", version: seq("1"), body: says{"number": "9", "given": "K"}})
	w.say(said{source: "hris", key: "k", id: "2", version: seq("2"), partial: true, body: says{"from": "2026-07-01", "number": "9", "title": "T"}})
	w.works()
	w.link("hris", "k", w.id("ats", "p"), nil)
	w.works()
	if st := w.statement("hris", "k"); st.Employee != w.id("ats", "p") {
		t.Errorf("status %s of %q", st.Status, st.Employee)
	}
	if n := len(w.letters()); n > 0 {
		t.Errorf("%d dead letters", n)
	}
}

// A partial record tells nothing of whose it is: what it is laid over is still
// in review, and so is it.
func TestAPartialRecordInReview(t *testing.T) {
	w := newWorld(t)
	w.say(said{source: "ats", key: "1", id: "1", body: says{"email": "a@acme.example", "given": "A"}})
	w.say(said{source: "desk", key: "d", id: "2", version: seq("1"), body: says{"email": "a@acme.example", "family": "D"}}) // an unsure match
	w.say(said{source: "desk", key: "d", id: "3", version: seq("2"), partial: true, body: says{"title": "T"}})
	w.works()
	if st := w.statement("desk", "d"); st.Status != record.StatusReview || st.Employee != "" || len(st.Partials) != 1 || st.Whole == nil {
		t.Errorf("status %s of %q with %d partial records, want review", st.Status, st.Employee, len(st.Partials))
	}
	if got := w.verbs(w.id("desk", "d")); got != "" {
		t.Errorf("a second person was made: %s", got)
	}
	// What comes next tells: all of it is merged.
	w.say(said{source: "ats", key: "1", id: "4", body: says{"number": "7"}})
	w.say(said{source: "desk", key: "d", id: "5", version: seq("3"), partial: true, body: says{"number": "7"}})
	w.works()
	w.expect(w.id("ats", "1"), employee.Flat{"name.given": "A", "name.family": "D", "positions[primary].title": "T"})
}

// What a source said counts later, also when nothing differed on that day.
func TestWhatChangedNothingIsKept(t *testing.T) {
	w := newWorld(t)
	w.say(said{source: "ats", key: "1", id: "a1", body: says{"number": "1", "given": "A", "status": "pre_hire", "hired": "2026-07-01"}})
	w.say(said{source: "hris", key: "1", id: "h1", body: says{"number": "1", "given": "A"}}) // the higher one agrees
	w.say(said{source: "ats", key: "1", id: "a2", body: says{"given": "Z", "status": "leave"}})
	w.works()
	id := w.id("ats", "1")
	w.expect(id, employee.Flat{"name.given": "A", "employment.status": "pre_hire"})
	w.clock.set(time.Date(2026, 7, 2, 12, 0, 0, 0, time.UTC))
	w.say(said{source: "ats", key: "1", id: "a3", body: says{"title": "T"}})
	w.works()
	w.expect(id, employee.Flat{"employment.status": "leave"})
}

func TestPartialRecords(t *testing.T) {
	w := newWorld(t)
	w.say(said{source: "ats", key: "1", id: "0", version: seq("1"), body: says{"given": "A", "family": "F", "title": "T"}})
	w.say(said{source: "ats", key: "1", id: "1", version: seq("2"), partial: true, body: says{"title": nil}})
	for i := range partialLimit + 4 {
		w.say(said{source: "ats", key: "1", id: "p" + string(rune('a'+i)), version: seq("1" + string(rune('0'+i/10)) + string(rune('0'+i%10))), partial: true, body: says{"given": string(rune('a' + i))}})
	}
	w.works()
	st := w.statement("ats", "1")
	if string(st.Whole) != `{"family":"F","given":"A","title":"T"}` {
		t.Errorf("whole = %s", st.Whole)
	}
	if n := len(st.Partials); n != partialLimit || string(st.Partials[n-1]) != `{"given":"t"}` {
		t.Errorf("%d partial records, the last %s", n, st.Partials[n-1])
	}
	w.expect(w.id("ats", "1"), employee.Flat{"name.given": "t", "name.family": "F", "positions[primary].title": nil})
	w.say(said{source: "ats", key: "1", id: "w", version: seq("200"), body: says{"given": "W"}})
	w.works()
	if st := w.statement("ats", "1"); len(st.Partials) != 0 {
		t.Errorf("%d partial records after a whole one", len(st.Partials))
	}
}

// A source may begin with a partial record: there is nothing to lay it over.
func TestAPartialRecordComesFirst(t *testing.T) {
	w := newWorld(t)
	w.say(said{source: "ats", key: "1", id: "1", partial: true, body: says{"given": "A"}})
	w.works()
	w.expect(w.id("ats", "1"), employee.Flat{"name.given": "A"})
	if n := len(w.letters()); n > 0 {
		t.Errorf("%d dead letters", n)
	}
}
