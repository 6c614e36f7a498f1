package scim

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connector/sinktest"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/testkit/scimd"
)

// user is the only one, as the server has it.
func (w *world) user(t *testing.T, id string) resource {
	t.Helper()
	people, _ := w.state(t)
	u := people[id]
	if u == nil {
		t.Fatalf("there is no such user among %d", len(people))
	}
	return u
}

// TestLifeOfAnAccount goes through every status in the order of a career.
func TestLifeOfAnAccount(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.sink(t, map[string]any{"on_leave": "deactivate"})
		d := delivery("pre_hire", "hr.employee.preboarded.v1")
		r := must(t, s, d)
		id := r.Refs["id"]
		if on, said := w.user(t, id).active(); on || !said {
			t.Error("the account is open before the first day")
		}
		for _, step := range []struct {
			status, kind string
			open         bool
			outcome      string
		}{
			{"active", "hr.employee.hired.v1", true, ""},
			{"active", "hr.employee.updated.v1", true, "unchanged"},
			{"leave", "hr.employee.leave_started.v1", false, ""},
			{"active", "hr.employee.leave_ended.v1", true, ""},
			{"terminated", "hr.employee.terminated.v1", false, ""},
			{"terminated", "hr.employee.updated.v1", false, "unchanged"},
			{"pre_hire", "hr.employee.rehired.v1", false, "unchanged"},
			{"active", "hr.employee.updated.v1", true, ""},
			{"withdrawn", "hr.employee.withdrawn.v1", false, ""},
		} {
			d = after(d, r, step.status, step.kind)
			r = must(t, s, d)
			if on, _ := w.user(t, id).active(); on != step.open {
				t.Errorf("%s: open %v", step.status, on)
			}
			if r.Outcome != step.outcome || r.Refs["id"] != id {
				t.Errorf("%s: outcome %q for %q", step.status, r.Outcome, r.Refs["id"])
			}
		}
	})
}

// TestMoverAndRename: one PATCH with what differs, lists and extension
// included; what somebody else put on the account stays.
func TestMoverAndRename(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.sink(t, nil)
		boss := w.admin(t, http.MethodPost, "/Users", map[string]any{"schemas": []string{schemaUser}, "userName": "boss@brightfjord.example"})
		d := delivery("active", "hr.employee.hired.v1")
		r := must(t, s, d)
		id := r.Refs["id"]
		w.admin(t, http.MethodPatch, "/Users/"+id, map[string]any{"schemas": []string{schemaPatch}, "Operations": []any{
			map[string]any{"op": "add", "path": "phoneNumbers", "value": []any{map[string]any{"type": "fax", "value": "+4722000000"}}},
			map[string]any{"op": "replace", "path": "profileUrl", "value": "https://app.vendor.example/zofia"},
		}})
		w.changes()
		d = after(d, r, "active", "hr.employee.updated.v1")
		d.Body = body(sinktest.Person{Number: "E-10417", Email: "zofia.zak@brightfjord.example", Given: "Zofia", Family: "Żak", Title: "Analyst"})
		d.Body["enterprise"] = map[string]any{"employeeNumber": "E-10417", "department": "Płace i kadry", "manager": map[string]any{"value": boss["id"]}}
		d.Body["phoneNumbers"] = []any{map[string]any{"type": "work", "value": "+4722334455"}}
		d.Body["title"] = nil
		r = must(t, s, d)
		want := []string{"emails[type=work].value", "enterprise.department", "enterprise.manager.value", "name.familyName", "phoneNumbers[type=work].value", "title", "userName"}
		got := slices.Sorted(slices.Values(r.Sent))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
		if c := w.changes(); len(c) != 1 || c[0].method != http.MethodPatch {
			t.Errorf("%d writing calls, want one PATCH: %v", len(c), c)
		}
		u := w.user(t, id)
		for p, want := range map[place]any{
			{attr: "userName"}: "zofia.zak@brightfjord.example", {attr: "title"}: nil,
			{attr: "emails", elem: "work", sub: "value"}:           "zofia.zak@brightfjord.example",
			{attr: "name", sub: "familyName"}:                      "Żak",
			{attr: "name", sub: "givenName"}:                       "Zofia",
			{urn: schemaEnterprise, attr: "department"}:            "Płace i kadry",
			{urn: schemaEnterprise, attr: "employeeNumber"}:        "E-10417",
			{urn: schemaEnterprise, attr: "manager", sub: "value"}: boss["id"],
			{attr: "phoneNumbers", elem: "work", sub: "value"}:     "+4722334455",
			{attr: "phoneNumbers", elem: "fax", sub: "value"}:      "+4722000000",
			{attr: "profileUrl"}:                                   "https://app.vendor.example/zofia",
			{attr: "externalId"}:                                   "emp-1",
		} {
			if got := u.at(p); got != want {
				t.Errorf("%s is %v, want %v", p.path(), got, want)
			}
		}
		d = after(d, r, "active", "hr.employee.updated.v1")
		if r = must(t, s, d); r.Outcome != "unchanged" {
			t.Errorf("the same again is %q, sent %v", r.Outcome, r.Sent)
		}
		// The manager left and there is no other yet.
		d = after(d, r, "active", "hr.employee.updated.v1")
		d.Body = body(sinktest.Person{Number: "E-10417", Email: "zofia.zak@brightfjord.example", Given: "Zofia", Family: "Żak"})
		d.Body["enterprise"] = map[string]any{"manager": map[string]any{"value": nil}}
		must(t, s, d)
		if got := w.user(t, id).at(place{urn: schemaEnterprise, attr: "manager", sub: "value"}); got != nil {
			t.Errorf("the manager is still %v", got)
		}
	})
}

// TestSwitchedOffByHand: an account that somebody switched off after an incident
// is not opened by a change that has nothing to do with it, only when access
// begins again, and by whoever takes our own end back.
func TestSwitchedOffByHand(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.sink(t, nil)
		d := delivery("active", "hr.employee.hired.v1")
		r := must(t, s, d)
		look := func(what, title string, want bool) {
			t.Helper()
			u := w.user(t, r.Refs["id"])
			if on, _ := u.active(); on != want || u.text("title") != title {
				t.Errorf("%s: open %t, title %q", what, on, u.text("title"))
			}
		}
		is := func(status, title, kind string) {
			t.Helper()
			was := d.Status
			d = after(d, r, status, kind)
			d.Was, d.Body = was, maps.Clone(d.Body)
			d.Body["title"] = title
			r = must(t, s, d)
		}
		w.admin(t, http.MethodPatch, "/Users/"+r.Refs["id"], map[string]any{"schemas": []string{schemaPatch}, "Operations": []any{
			map[string]any{"op": "replace", "path": "active", "value": false},
		}})
		is("active", "Head", "hr.employee.updated.v1")
		look("after a change", "Head", false)
		is("active", "Lead", "hr.employee.updated.v1")
		look("after another", "Lead", false)
		is("terminated", "Lead", "hr.employee.terminated.v1")
		is("active", "Head", "hr.employee.rehired.v1")
		look("who came back", "Head", true)

		// The answer to our own end is lost, and the end is taken back.
		lost := errors.New("lost")
		ended := after(d, r, "terminated", "hr.employee.terminated.v1")
		saved, saves := r.Refs, 0
		_, err := s.Apply(t.Context(), ended, func(_ context.Context, refs connector.Refs) error {
			if saves++; saves > 1 {
				return lost
			}
			saved = maps.Clone(refs)
			return nil
		})
		if !errors.Is(err, lost) {
			t.Fatalf("error %v: the test is wrong", err)
		}
		look("shut by us", "Head", false)
		r.Refs = saved
		is("active", "Head", "hr.employee.updated.v1")
		look("the end was taken back", "Head", true)
	})
}

// TestLeaverIsShutFirst and alone: a wrong title cannot hinder it.
func TestLeaverIsShutFirst(t *testing.T) {
	w := faked(t, map[string]string{"immutable": "title"})
	s := w.sink(t, nil)
	d := delivery("active", "hr.employee.hired.v1")
	r := must(t, s, d)
	d = after(d, r, "terminated", "hr.employee.terminated.v1")
	moved := sinktest.Sample
	moved.Title = "Former analyst"
	d.Body = body(moved)
	w.changes()
	_, err := s.Apply(t.Context(), d, nil)
	if f := fault.Of(err); f == nil || f.Class != fault.Record || f.Reason != "read_only" || f.Path != "title" {
		t.Errorf("error %v, want record: read_only at title", err)
	}
	if on, _ := w.user(t, r.Refs["id"]).active(); on {
		t.Error("who left is not shut out")
	}
	first := w.changes()[0].body["Operations"]
	if diff := cmp.Diff([]any{map[string]any{"op": "replace", "path": "active", "value": false}}, first); diff != "" {
		t.Errorf("the first call (-want +got):\n%s", diff)
	}
}

// TestPutKeepsWhatIsNotOurs on a server without PATCH.
func TestPutKeepsWhatIsNotOurs(t *testing.T) {
	for _, settings := range []map[string]string{{"patch": "none"}, {"patch": "none", "discovery": "none"}} {
		w := faked(t, settings)
		s := w.sink(t, nil)
		d := delivery("active", "hr.employee.hired.v1")
		r := must(t, s, d)
		u := w.user(t, r.Refs["id"])
		u["nickName"], u["phoneNumbers"] = "Zosia", []any{map[string]any{"type": "fax", "value": "1"}}
		w.admin(t, http.MethodPut, "/Users/"+r.Refs["id"], u)
		d = after(d, r, "active", "hr.employee.updated.v1")
		d.Body = body(sinktest.Person{Number: "E-10417", Email: sinktest.Sample.Email, Given: "Zofia", Family: "Żak", Title: "Head"})
		must(t, s, d)
		u = w.user(t, r.Refs["id"])
		if u["nickName"] != "Zosia" || u["title"] != "Head" || u["active"] != true || u.at(place{attr: "phoneNumbers", elem: "fax", sub: "value"}) != "1" {
			t.Errorf("after PUT: %v", u)
		}
	}
}

// TestDeletedByHand: found again under another id, or made again; a leaver who
// has no account needs none.
func TestDeletedByHand(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.sink(t, nil)
		d := delivery("active", "hr.employee.hired.v1")
		r := must(t, s, d)
		lost := r.Refs["id"]
		w.admin(t, http.MethodDelete, "/Users/"+lost, nil)
		other := w.admin(t, http.MethodPost, "/Users", map[string]any{"schemas": []string{schemaUser}, "userName": sinktest.Sample.Email})
		r = must(t, s, after(d, r, "active", "hr.employee.updated.v1"))
		if r.Refs["id"] != other["id"] || w.user(t, r.Refs["id"])["externalId"] != "emp-1" {
			t.Errorf("took %q, want the account that is there, with our id", r.Refs["id"])
		}
		w.admin(t, http.MethodDelete, "/Users/"+r.Refs["id"], nil)
		r = must(t, s, after(d, r, "active", "hr.employee.updated.v1"))
		if r.Refs["id"] == other["id"] || w.user(t, r.Refs["id"])["title"] != sinktest.Sample.Title {
			t.Error("the account was not made again")
		}
		w.admin(t, http.MethodDelete, "/Users/"+r.Refs["id"], nil)
		if r = must(t, s, after(d, r, "terminated", "hr.employee.terminated.v1")); r.Outcome != "unchanged" {
			t.Errorf("outcome %q", r.Outcome)
		}
	})
}

// TestStrangersAreNotTouched: an account with our login that is another
// person's, on servers that filter, compare by case, or ignore filters.
func TestStrangersAreNotTouched(t *testing.T) {
	strangers := map[string]map[string]any{
		"another id":              {"userName": sinktest.Sample.Email, "externalId": "emp-2"},
		"another id, other case":  {"userName": "Zofia.Lukasik-Zak@Brightfjord.Example", "externalId": "emp-2"},
		"another employee number": {"userName": sinktest.Sample.Email, schemaEnterprise: map[string]any{"employeeNumber": "E-9"}},
	}
	worlds := map[string]func(t *testing.T) *world{
		"fake": func(t *testing.T) *world { return faked(t, nil) },
		"fake, ignores filters": func(t *testing.T) *world {
			return faked(t, map[string]string{"filter": "ignored", "paging": "ignored"})
		},
		"real": func(t *testing.T) *world { return before(t, scimd.Start(t, scimd.Options{}), &fake.Faults{}) },
		"real, ignores filters": func(t *testing.T) *world {
			return before(t, scimd.Start(t, scimd.Options{IgnoreFilters: true, Express5: true}), &fake.Faults{})
		},
	}
	for name, open := range worlds {
		t.Run(name, func(t *testing.T) {
			for name, stranger := range strangers {
				w := open(t)
				stranger["schemas"] = []string{schemaUser, schemaEnterprise}
				w.admin(t, http.MethodPost, "/Users", stranger)
				_, writes := w.state(t)
				s := w.sink(t, nil)
				d := delivery("active", "hr.employee.hired.v1")
				found, err := s.Find(t.Context(), d)
				if err != nil || slices.ContainsFunc(found, func(f connector.Found) bool { return f.Sure }) {
					t.Errorf("%s: found %v, %v", name, found, err)
				}
				_, err = s.Apply(t.Context(), d, nil)
				if f := fault.Of(err); f == nil || f.Class != fault.Record || f.Reason != reasonExists {
					t.Errorf("%s: error %v, want record: exists", name, err)
				}
				if people, now := w.state(t); len(now) != len(writes) || len(people) != 1 {
					t.Errorf("%s: %d people, %d writes", name, len(people), len(now)-len(writes))
				}
			}
		})
	}
}

// TestAdoptedWhateverTheCase: the account was made by hand, its login has
// capitals, and no filter of ours finds it; the conflict does.
func TestAdoptedWhateverTheCase(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		made := w.admin(t, http.MethodPost, "/Users", map[string]any{"schemas": []string{schemaUser}, "userName": "Zofia.LUKASIK-Zak@Brightfjord.example"})
		s := w.sink(t, nil)
		r := must(t, s, delivery("active", "hr.employee.hired.v1"))
		if r.Refs["id"] != made["id"] || w.user(t, r.Refs["id"])["externalId"] != "emp-1" {
			t.Errorf("took %q", r.Refs["id"])
		}
	})
}

// TestScanEnds at its limit on a server that ignores filters, and walks pages
// until nobody new comes.
func TestScanEnds(t *testing.T) {
	w := faked(t, map[string]string{"filter": "ignored"})
	for i := range 230 {
		w.admin(t, http.MethodPost, "/Users", map[string]any{"userName": strings.Repeat("x", i+1)})
	}
	w.admin(t, http.MethodPost, "/Users", map[string]any{"userName": "last", "externalId": "emp-1"})
	found, err := w.sink(t, nil).Find(t.Context(), delivery("active", "hr.employee.hired.v1"))
	if err != nil || len(found) != 1 || !found[0].Sure {
		t.Errorf("found %v, %v, want the last of many", found, err)
	}
	_, err = w.sink(t, map[string]any{"scan_limit": 150}).Find(t.Context(), delivery("active", "hr.employee.hired.v1"))
	if f := fault.Of(err); f == nil || f.Class != fault.Target || f.Reason != "scan_limit" {
		t.Errorf("error %v, want target: scan_limit", err)
	}
}

// TestDroppedFieldsAreRemembered: SCIMMY drops an unknown attribute of a new
// user and refuses it in a PATCH, with all that is beside it.
func TestDroppedFieldsAreRemembered(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.sink(t, nil)
		d := delivery("active", "hr.employee.hired.v1")
		d.Body["badge"] = "B-1"
		r := must(t, s, d)
		if r.Refs[refKept] != "badge" {
			t.Fatalf("noted %q", r.Refs[refKept])
		}
		for _, badge := range []string{"B-1", "B-2"} { // the second is tried, and left out again
			d = after(d, r, "active", "hr.employee.updated.v1")
			d.Body = body(sinktest.Sample)
			d.Body["badge"], d.Body["title"] = badge, "Head "+badge
			r = must(t, s, d)
			if got := w.user(t, r.Refs["id"])["title"]; got != "Head "+badge || slices.Contains(r.Sent, "badge") {
				t.Errorf("title %v, sent %v", got, r.Sent)
			}
		}
	})
}

// TestLearnsTheForm: a server that knows no paths is told without, from the
// second update on at once.
func TestLearnsTheForm(t *testing.T) {
	w := faked(t, map[string]string{"patch": "pathless"})
	s := w.sink(t, nil)
	d := delivery("active", "hr.employee.hired.v1")
	r := must(t, s, d)
	w.changes()
	for _, c := range []struct {
		title string
		calls int
	}{{"Head", 2}, {"Director", 1}} {
		d = after(d, r, "active", "hr.employee.updated.v1")
		moved := sinktest.Sample
		moved.Title = c.title
		d.Body = body(moved)
		r = must(t, s, d)
		if got := len(w.changes()); got != c.calls || w.user(t, r.Refs["id"])["title"] != c.title {
			t.Errorf("%s: %d calls, want %d", c.title, got, c.calls)
		}
	}
}

// TestStaleVersionIsReadAgain: between our read and our write somebody else
// wrote. The first attempt is refused, the second sees theirs.
func TestStaleVersionIsReadAgain(t *testing.T) {
	for _, status := range []int{http.StatusPreconditionFailed, http.StatusConflict} {
		w := faked(t, map[string]string{"etag": "on"})
		s := w.sink(t, nil)
		d := delivery("active", "hr.employee.hired.v1")
		r := must(t, s, d)
		if err := w.faults.Add(fake.Fault{Status: status, Times: 1, Match: fake.Match{Method: http.MethodPatch}}); err != nil {
			t.Fatal(err)
		}
		d = after(d, r, "active", "hr.employee.updated.v1")
		moved := sinktest.Sample
		moved.Title = "Head"
		d.Body = body(moved)
		must(t, s, d)
		if got := w.user(t, r.Refs["id"])["title"]; got != "Head" {
			t.Errorf("%d: title %v", status, got)
		}
	}
}

// TestSecondPrimaryAddress: ours is the primary one, another stops being it.
func TestSecondPrimaryAddress(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.admin(t, http.MethodPost, "/Users", map[string]any{"schemas": []string{schemaUser}, "userName": sinktest.Sample.Email, "emails": []any{
			map[string]any{"type": "other", "value": "zz@brightfjord.example", "primary": true},
		}})
		r := must(t, w.sink(t, nil), delivery("active", "hr.employee.hired.v1"))
		u := w.user(t, r.Refs["id"])
		if u.at(place{attr: "emails", elem: "work", sub: "primary"}) != true || u.at(place{attr: "emails", elem: "other", sub: "primary"}) == true || u.at(place{attr: "emails", elem: "other", sub: "value"}) != "zz@brightfjord.example" {
			t.Errorf("emails: %v", u["emails"])
		}
	})
}

// TestReservedAttributes are the connector's, and say so.
func TestReservedAttributes(t *testing.T) {
	w := faked(t, nil)
	for _, name := range ours {
		d := delivery("active", "hr.employee.hired.v1")
		d.Body[strings.ToUpper(name)] = "x"
		_, err := w.sink(t, nil).Apply(t.Context(), d, nil)
		if f := fault.Of(err); f == nil || f.Reason != "mapping" || f.Class != fault.Record {
			t.Errorf("%s: %v", name, err)
		}
	}
	d := delivery("active", "hr.employee.hired.v1")
	delete(d.Body, "userName")
	_, err := w.sink(t, nil).Apply(t.Context(), d, nil)
	if f := fault.Of(err); f == nil || f.Reason != "required" || f.Path != "userName" {
		t.Errorf("without a login: %v", err)
	}
	if people, _ := w.state(t); len(people) != 0 {
		t.Error("somebody was made")
	}
}

// TestBeforeTheFirstDayNobody where the product has no use for it.
func TestBeforeTheFirstDayNobody(t *testing.T) {
	w := faked(t, nil)
	r := must(t, w.sink(t, map[string]any{"pre_hire": "none"}), delivery("pre_hire", "hr.employee.preboarded.v1"))
	if people, _ := w.state(t); r.Outcome != "unchanged" || len(people) != 0 {
		t.Errorf("outcome %q, %d people", r.Outcome, len(people))
	}
}
