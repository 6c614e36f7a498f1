package deliver

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/topology"
)

// naming is a world whose target names managers by its own ids.
func naming(t *testing.T, event bool) *world {
	t.Helper()
	w := newWorld(t)
	if event {
		w.to.Kind = config.KindEvent
	}
	m, problems := mapping.Parse("okta.yaml", []byte("fields:\n  first: name.given\n  verb: $verb\n  boss: {ref: 'positions[primary].manager'}\n"), mapping.Options{Direction: mapping.ToVendor})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	w.integrate("main", config.Integration{Fields: []string{"name", "positions"}, Mapping: m})
	return w
}

func (w *world) managed(id string, version uint64, given, manager string) {
	w.t.Helper()
	w.say(id, version, state{fields: employee.Flat{"name.given": given, "positions[primary].manager": manager}})
}

// bosses are the managers in the calls for an employee, in order; "" for none.
func (w *world) bosses(id string) []string {
	out := []string{}
	for _, d := range w.vendor.of(id) {
		b, _ := d.Body["boss"].(string)
		out = append(out, b)
	}
	return out
}

// notes counts what PARKED holds of who waits and who moved.
func (w *world) notes() (n int) {
	w.t.Helper()
	for _, s := range []string{topology.WaitsAt(target, "*"), topology.MovedAt(target, "*")} {
		found, err := w.bus.Subjects(w.t.Context(), topology.Parked, s)
		if err != nil {
			w.t.Fatal(err)
		}
		n += len(found)
	}
	return n
}

func (w *world) noNotes() {
	w.t.Helper()
	w.eventually(func() string {
		if n := w.notes(); n > 0 {
			return fmt.Sprint(n, " notes are left")
		}
		return ""
	})
}

func (w *world) bossesBecome(id string, want ...string) {
	w.t.Helper()
	w.eventually(func() string {
		if got := w.bosses(id); !slices.Equal(got, want) {
			return fmt.Sprintf("managers sent for %s are %q, want %q", id, got, want)
		}
		return ""
	})
}

// TestAManagerWhoComesLater: the report is sent without, its record says for
// whom it waits, and it is sent once more when the manager is there, with
// nothing else that differs. Also if the service was started again meanwhile.
func TestAManagerWhoComesLater(t *testing.T) {
	for _, event := range []bool{false, true} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("every change %v, restart %v", event, restart), func(t *testing.T) {
				w := naming(t, event)
				r := w.start()
				w.managed("emp1", 1, "Ada", "boss")
				first := w.until("emp1", "1 applied")
				if d := cmp.Diff([]string{"boss"}, first.WaitsFor); d != "" {
					t.Errorf("waits for (-want +got):\n%s", d)
				}
				if restart {
					r.stop()
					w.start()
				}
				w.named("boss", 1, "Grace")
				boss := w.until("boss", "1 applied")
				w.bossesBecome("emp1", "", boss.Refs["id"])
				w.noNotes()
				last := w.last("emp1")
				if len(last.WaitsFor) > 0 || last.Named["boss"] == "" || last.Version != 1 || last.Attempt != 2 || last.Outcome != "applied" {
					t.Errorf("record %+v", last.Delivery)
				}
				calls := w.vendor.of("emp1")
				if d := cmp.Diff([]string{"positions[].manager"}, calls[1].Changed); d != "" {
					t.Errorf("changed (-want +got):\n%s", d)
				}
				if calls[0].Event == calls[1].Event {
					t.Error("both calls have one event: an idempotency key would swallow the second")
				}
				if calls[1].Body["first"] != "Ada" || calls[1].Refs["id"] != first.Refs["id"] {
					t.Errorf("second call %+v", calls[1])
				}
				// Nothing comes of it a third time.
				w.managed("emp1", 2, "Ada", "boss")
				w.caughtUp()
				if got := w.bosses("emp1"); len(got) != 2 {
					t.Errorf("managers sent %q", got)
				}
			})
		}
	}
}

// TestAManagerWhoIsThere is named at once.
func TestAManagerWhoIsThere(t *testing.T) {
	w := naming(t, false)
	w.start()
	w.named("boss", 1, "Grace")
	boss := w.until("boss", "1 applied")
	w.managed("emp1", 1, "Ada", "boss")
	got := w.until("emp1", "1 applied")
	if d := cmp.Diff([]string{boss.Refs["id"]}, w.bosses("emp1")); d != "" || len(got.WaitsFor) > 0 || w.notes() > 0 {
		t.Errorf("managers %s, waits for %v, %d notes", d, got.WaitsFor, w.notes())
	}
}

// TestManagersOfEachOther come to know each other, and one himself.
func TestManagersOfEachOther(t *testing.T) {
	w := naming(t, false)
	w.start()
	w.managed("emp1", 1, "Ada", "emp2")
	w.managed("emp2", 1, "Grace", "emp1")
	w.managed("emp3", 1, "Joan", "emp3")
	for id, manager := range map[string]string{"emp1": "emp2", "emp2": "emp1", "emp3": "emp3"} {
		w.eventually(func() string {
			got, key := w.bosses(id), w.last(manager).Refs["id"]
			if len(got) == 0 || key == "" || got[len(got)-1] != key {
				return fmt.Sprintf("%s: %q", id, got)
			}
			return ""
		})
	}
	w.noNotes()
	for _, id := range []string{"emp1", "emp2", "emp3"} {
		if n := len(w.bosses(id)); n > 2 {
			t.Errorf("%s was sent %d times", id, n)
		}
	}
}

// TestAManagerWhoNeverComes: who is not covered by an integration, is dead or
// parked at the target, holds nobody up.
func TestAManagerWhoIsParked(t *testing.T) {
	w := naming(t, false)
	back := make(chan struct{})
	w.vendor.fail = func(d connector.Delivery, _ int) error {
		if d.ID != "boss" {
			return nil
		}
		select {
		case <-back:
			return nil
		default:
			return &fault.Error{Class: fault.Transient, Reason: "busy"}
		}
	}
	w.start()
	w.named("boss", 1, "Grace")
	w.until("boss", "1 parked")
	w.managed("emp1", 1, "Ada", "boss")
	w.managed("emp2", 1, "Joan", "nobody")
	w.until("emp1", "1 applied")
	w.until("emp2", "1 applied")
	close(back)
	boss := w.until("boss", "1 applied")
	w.bossesBecome("emp1", "", boss.Refs["id"])
	w.bossesBecome("emp2", "")
	w.eventually(func() string {
		if w.notes() != 1 {
			return "the note of the one who waits on is not the only one"
		}
		return ""
	})
}

// TestTheSecondDeliveryFails: it is tried, parked and given up as any other, and
// what was given up is not tried again and again.
func TestTheSecondDeliveryFails(t *testing.T) {
	for name, c := range map[string]struct {
		class fault.Class
		want  string
		calls int
	}{
		"for a while": {fault.Transient, "1 applied", 6},
		"for good":    {fault.Record, "1 dead", 2},
	} {
		for _, event := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, every change %v", name, event), func(t *testing.T) {
				w := naming(t, event)
				w.vendor.fail = func(d connector.Delivery, n int) error {
					if d.Body["boss"] == nil || n >= 6 {
						return nil
					}
					return &fault.Error{Class: c.class, Reason: "no"}
				}
				r := w.start()
				w.managed("emp1", 1, "Ada", "boss")
				w.until("emp1", "1 applied")
				w.named("boss", 1, "Grace")
				w.eventually(func() string {
					if n := len(w.bosses("emp1")); n < c.calls {
						return fmt.Sprint(n, " calls")
					}
					return ""
				})
				w.until("emp1", c.want)
				r.stop()
				w.start()
				w.named("other", 1, "Joan")
				w.until("other", "1 applied")
				if n := len(w.bosses("emp1")); n != c.calls {
					t.Errorf("%d calls, want %d", n, c.calls)
				}
				if c.class == fault.Record && len(w.letters()) != 1 {
					t.Errorf("%d dead letters", len(w.letters()))
				}
			})
		}
	}
}

// TestACrashBeforeTheReportsAreCalled: the manager's outcome is durable, and
// nobody was called.
func TestACrashBeforeTheReportsAreCalled(t *testing.T) {
	w := naming(t, false)
	r := w.start()
	w.managed("emp1", 1, "Ada", "boss")
	w.until("emp1", "1 applied")
	r.stop()
	w.named("boss", 1, "Grace")
	w.remembers(record.Delivery{Employee: "boss", Event: eventID("boss", 1), Version: 1, Attempt: 1, Outcome: record.OutcomeApplied, Done: 1, Refs: connector.Refs{"id": "k9"}})
	w.start()
	w.bossesBecome("emp1", "", "k9")
	w.noNotes()
}

// TestACrashAfterTheSecondDelivery: its outcome is durable, its note stands.
func TestACrashAfterTheSecondDelivery(t *testing.T) {
	w := naming(t, false)
	d, b := w.deliverer(w.vendor)
	defer b.Close()
	ctx := context.Background()
	w.managed("emp1", 1, "Ada", "boss")
	w.named("boss", 1, "Grace")
	for _, id := range []string{"emp1", "boss", "emp1"} {
		in, err := b.Last(ctx, topology.People, topology.Employee(id))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := d.attempt(ctx, in); err != nil { // and nothing after it
			t.Fatal(err)
		}
	}
	if n := w.notes(); n != 1 {
		t.Fatalf("%d notes", n)
	}
	w.start()
	w.noNotes()
	w.caughtUp()
	if got := w.bosses("emp1"); len(got) != 2 {
		t.Errorf("managers sent %q", got)
	}
}

// TestAManagerWhoIsNamedOtherwise: where the name of an entry changes, as in a
// directory, those who name it follow, also through a crash in between.
func TestAManagerWhoIsNamedOtherwise(t *testing.T) {
	for _, crash := range []bool{false, true} {
		t.Run(fmt.Sprint("crash ", crash), func(t *testing.T) {
			w := naming(t, false)
			w.vendor.key = func(d connector.Delivery) string { return fmt.Sprint("cn=", d.Body["first"]) }
			r := w.start()
			w.named("boss", 1, "Grace")
			w.until("boss", "1 applied")
			w.managed("emp1", 1, "Ada", "boss")
			w.managed("emp2", 1, "Joan", "boss")
			w.named("emp3", 1, "Mary")
			for _, id := range []string{"emp1", "emp2", "emp3"} {
				w.until(id, "1 applied")
			}
			if crash {
				r.stop()
				d, b := w.deliverer(w.vendor)
				w.named("boss", 2, "Betty")
				in, err := b.Last(t.Context(), topology.People, topology.Employee("boss"))
				if err != nil {
					t.Fatal(err)
				}
				if _, _, err := d.attempt(t.Context(), in); err != nil { // and nothing after it
					t.Fatal(err)
				}
				_ = b.Close()
				if n := w.notes(); n != 1 {
					t.Fatalf("%d notes", n)
				}
				w.start()
			} else {
				w.named("boss", 2, "Betty")
			}
			for _, id := range []string{"emp1", "emp2"} {
				w.bossesBecome(id, "cn=Grace", "cn=Betty")
			}
			w.managed("emp4", 1, "Lynn", "boss") // names her after the names were read
			w.until("emp4", "1 applied")
			w.named("boss", 3, "Carol")
			for _, id := range []string{"emp1", "emp2", "emp4"} {
				w.eventually(func() string {
					if got := w.bosses(id); got[len(got)-1] != "cn=Carol" {
						return fmt.Sprintf("%s: %q", id, got)
					}
					return ""
				})
			}
			w.noNotes()
			if got := w.bosses("emp3"); len(got) != 1 {
				t.Errorf("somebody without a manager was sent %d times", len(got))
			}
		})
	}
}

// TestAnEventIsNotASecondHire: what an event-like target gets once more is an
// update, in order, and a change that is still to come brings it instead.
func TestAnEventIsNotASecondHire(t *testing.T) {
	w := naming(t, true)
	r := w.start()
	w.say("emp1", 1, state{fields: employee.Flat{"name.given": "Ada", "positions[primary].manager": "boss"}, typ: "hr.employee.hired.v1"})
	w.until("emp1", "1 applied")
	w.named("boss", 1, "Grace")
	boss := w.until("boss", "1 applied").Refs["id"]
	w.bossesBecome("emp1", "", boss)
	calls := w.vendor.of("emp1")
	if calls[0].Type != "hr.employee.hired.v1" || calls[1].Type != "hr.employee.updated.v1" || calls[1].Body["verb"] != "updated" {
		t.Errorf("types %s, %s, verb %v", calls[0].Type, calls[1].Type, calls[1].Body["verb"])
	}
	// A change that does not concern the target brings what is owed.
	w.managed("emp2", 1, "Joan", "late")
	w.until("emp2", "1 applied")
	r.stop()
	w.named("late", 1, "Mary")
	w.say("emp2", 2, state{fields: employee.Flat{"name.given": "Joan", "positions[primary].manager": "late", "personal_email": "x@y.test"}, changed: []string{"personal_email"}})
	w.start()
	late := w.until("late", "1 applied").Refs["id"]
	w.bossesBecome("emp2", "", late)
	w.noNotes()
}

// TestManyReports of one manager are each sent once more.
func TestManyReports(t *testing.T) {
	w := naming(t, false)
	w.to.Limits.InFlight = 16
	w.vendor.seen = make(chan connector.Delivery, 4096)
	const n = 300
	for i := range n {
		w.managed(fmt.Sprint("emp", i), 1, "Ada", "boss")
	}
	w.named("boss", 1, "Grace")
	w.start()
	boss := w.until("boss", "1 applied").Refs["id"]
	w.eventually(func() string {
		for i := range n {
			got := w.bosses(fmt.Sprint("emp", i))
			if len(got) == 0 || got[len(got)-1] != boss {
				return fmt.Sprintf("emp%d: %q", i, got)
			}
		}
		return ""
	})
	w.noNotes()
	for i := range n {
		if got := w.bosses(fmt.Sprint("emp", i)); len(got) > 2 {
			t.Errorf("emp%d was sent %d times", i, len(got))
		}
	}
}
