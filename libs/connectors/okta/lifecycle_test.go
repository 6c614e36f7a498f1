package okta

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connector/sinktest"
	"github.com/muster-hr/muster/libs/fault"
)

// organisation is a fake with a sink before it.
type organisation struct {
	connector.Sink
	vendor fake.Vendor
	faults *fake.Faults
}

func newOrganisation(t *testing.T, settings map[string]any) *organisation {
	t.Helper()
	o := &organisation{vendor: Type.Fake(fake.Options{}), faults: &fake.Faults{}}
	o.Sink = against(t, o.faults.Around(o.vendor), settings)
	return o
}

// admin does what a person with another client does.
func (o *organisation) admin(t *testing.T, method, path string, body any) {
	t.Helper()
	raw, _ := json.Marshal(body)
	r := httptest.NewRequest(method, "/api/v1"+path, bytes.NewReader(raw))
	r.Header.Set("Authorization", "SSWS admin")
	w := httptest.NewRecorder()
	o.vendor.ServeHTTP(w, r)
	if w.Code >= 300 {
		t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
}

func (o *organisation) status(id string) any {
	people, _ := o.vendor.Log().State()
	return people[id]["status"]
}

func delivery(status, kind string) connector.Delivery {
	return connector.Delivery{
		ID: "emp-1", Event: "evt-1", Type: kind, Version: 1, Status: status, Body: body(sinktest.Sample),
		Match: connector.Match{EmployeeNumber: sinktest.Sample.Number, WorkEmail: sinktest.Sample.Email},
	}
}

func after(d connector.Delivery, r connector.Receipt, status, kind string) connector.Delivery {
	d.Previous, d.Version, d.Status, d.Type = d.Version, d.Version+1, status, kind
	d.Before, d.Refs = d.Body, r.Refs
	return d
}

func must(t *testing.T, o *organisation, d connector.Delivery) connector.Receipt {
	t.Helper()
	r, err := o.Apply(t.Context(), d, nil)
	if err != nil {
		t.Fatalf("%s: %v", d.Status, err)
	}
	return r
}

// TestLifeOfAnAccount goes through every status in the order of a career.
func TestLifeOfAnAccount(t *testing.T) {
	o := newOrganisation(t, nil)
	d := delivery("pre_hire", "hr.employee.preboarded.v1")
	r := must(t, o, d)
	id := r.Refs["id"]
	for _, step := range []struct{ status, kind, want string }{
		{"active", "hr.employee.hired.v1", "ACTIVE"},
		{"leave", "hr.employee.leave_started.v1", "SUSPENDED"},
		{"active", "hr.employee.leave_ended.v1", "ACTIVE"},
		{"terminated", "hr.employee.terminated.v1", "DEPROVISIONED"},
		{"pre_hire", "hr.employee.rehired.v1", "DEPROVISIONED"},
		{"active", "hr.employee.updated.v1", "ACTIVE"},
		{"withdrawn", "hr.employee.withdrawn.v1", "DEPROVISIONED"},
	} {
		d = after(d, r, step.status, step.kind)
		r = must(t, o, d)
		if got := o.status(id); got != step.want {
			t.Errorf("%s: account is %v, want %s", step.status, got, step.want)
		}
		if r.Refs["status"] != step.want {
			t.Errorf("%s: remembers %q, want %s", step.status, r.Refs["status"], step.want)
		}
	}
}

// TestAccountMovedByHand: what we remember of the status is wrong, and Okta's
// refusal makes the sink look.
func TestAccountMovedByHand(t *testing.T) {
	for _, c := range []struct{ hand, status, kind, want string }{
		{"deactivate", "terminated", "hr.employee.terminated.v1", "DEPROVISIONED"},
		{"deactivate", "leave", "hr.employee.leave_started.v1", "DEPROVISIONED"},
		{"suspend", "leave", "hr.employee.leave_started.v1", "SUSPENDED"},
	} {
		o := newOrganisation(t, nil)
		d := delivery("active", "hr.employee.hired.v1")
		r := must(t, o, d)
		o.admin(t, http.MethodPost, "/users/"+r.Refs["id"]+"/lifecycle/"+c.hand, nil)
		r = must(t, o, after(d, r, c.status, c.kind))
		if got := o.status(r.Refs["id"]); got != c.want {
			t.Errorf("%s after %s by hand: %v, want %s", c.status, c.hand, got, c.want)
		}
	}
}

// TestChangeOfAClosedAccountIsNotLost: Okta takes no profile while it is
// closed, so the rehire must bring all of it.
func TestChangeOfAClosedAccountIsNotLost(t *testing.T) {
	o := newOrganisation(t, nil)
	d := delivery("active", "hr.employee.hired.v1")
	r := must(t, o, d)
	d = after(d, r, "terminated", "hr.employee.terminated.v1")
	r = must(t, o, d)
	d = after(d, r, "terminated", "hr.employee.updated.v1")
	moved := sinktest.Sample
	moved.Title = "Consultant"
	d.Body = body(moved)
	if r = must(t, o, d); r.Outcome != "unchanged" || len(r.Sent) != 0 {
		t.Errorf("outcome %q, sent %v", r.Outcome, r.Sent)
	}
	d = after(d, r, "active", "hr.employee.rehired.v1") // Before and Body are equal
	r = must(t, o, d)
	people, _ := o.vendor.Log().State()
	if p := people[r.Refs["id"]]["profile"].(map[string]any); p["title"] != "Consultant" {
		t.Errorf("title %v, want Consultant", p["title"])
	}
}

func TestDeletedByHandIsMadeAgain(t *testing.T) {
	o := newOrganisation(t, nil)
	d := delivery("active", "hr.employee.hired.v1")
	r := must(t, o, d)
	old := r.Refs["id"]
	o.admin(t, http.MethodDelete, "/users/"+old, nil)
	o.admin(t, http.MethodDelete, "/users/"+old, nil)
	moved := sinktest.Sample
	moved.Title = "Consultant"
	next := after(d, r, "active", "hr.employee.updated.v1")
	next.Body = body(moved)
	r = must(t, o, next)
	if r.Refs["id"] == old || o.status(r.Refs["id"]) != "ACTIVE" {
		t.Errorf("account %v is %v", r.Refs["id"], o.status(r.Refs["id"]))
	}
}

// TestSomebodyElsesLogin: another person has the login; nothing is touched.
func TestSomebodyElsesLogin(t *testing.T) {
	other := sinktest.Sample
	other.Number = "E-99999"
	for name, login := range map[string]string{
		"the same":           sinktest.Sample.Email,
		"without diacritics": "sofia.lukasik-zak@brightfjord.example",
		"in another case":    "Zofia.Lukasik-Zak@Brightfjord.example",
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrganisation(t, nil)
			other.Email = login
			o.admin(t, http.MethodPost, "/users?activate=false", body(other))
			d := delivery("active", "hr.employee.hired.v1")
			if name == "without diacritics" {
				p := sinktest.Sample
				p.Email = "sófia.łukasik-żak@brightfjord.example"
				d.Body, d.Match.WorkEmail = body(p), p.Email
			}
			_, err := o.Apply(t.Context(), d, nil)
			f := fault.Of(err)
			if f == nil || f.Class != fault.Record || f.Reason != "exists" {
				t.Fatalf("error %v, want record: exists", err)
			}
			if _, writes := o.vendor.Log().State(); len(writes) != 1 {
				t.Errorf("%d writes, want the other person's alone", len(writes))
			}
		})
	}
}

// TestUnmanagedAccountIsAdopted: an account without a number and with our
// e-mail is taken over, and gets the number.
func TestUnmanagedAccountIsAdopted(t *testing.T) {
	o := newOrganisation(t, nil)
	b := body(sinktest.Sample)
	delete(b["profile"].(map[string]any), "employeeNumber")
	o.admin(t, http.MethodPost, "/users?activate=false", b)
	r := must(t, o, delivery("active", "hr.employee.hired.v1"))
	people, _ := o.vendor.Log().State()
	if len(people) != 1 || people[r.Refs["id"]]["profile"].(map[string]any)["employeeNumber"] != sinktest.Sample.Number {
		t.Errorf("people: %v", people)
	}
	if !slices.Equal(r.Sent, []string{"profile.employeeNumber"}) {
		t.Errorf("sent %v, want what was missing", r.Sent)
	}
}

// TestCrashBetweenCreateAndActivate resumes with what was saved.
func TestCrashBetweenCreateAndActivate(t *testing.T) {
	o := newOrganisation(t, nil)
	if err := o.faults.Add(fake.Fault{Status: 500, Match: fake.Match{Path: "*/lifecycle/*"}}); err != nil {
		t.Fatal(err)
	}
	d := delivery("active", "hr.employee.hired.v1")
	var saved connector.Refs
	_, err := o.Apply(t.Context(), d, func(_ context.Context, refs connector.Refs) error { saved = refs; return nil })
	if err == nil || saved["id"] == "" || o.status(saved["id"]) != "STAGED" {
		t.Fatalf("error %v, saved %v", err, saved)
	}
	o.faults.Clear()
	d.Refs = saved
	must(t, o, d)
	if people, _ := o.vendor.Log().State(); len(people) != 1 || o.status(saved["id"]) != "ACTIVE" {
		t.Errorf("people: %v", people)
	}
}

// TestProgressMustBeDurable: the next call is not made when saving failed.
func TestProgressMustBeDurable(t *testing.T) {
	o := newOrganisation(t, nil)
	lost := errors.New("not saved")
	_, err := o.Apply(t.Context(), delivery("active", "hr.employee.hired.v1"),
		func(context.Context, connector.Refs) error { return lost })
	if !errors.Is(err, lost) {
		t.Errorf("error %v", err)
	}
	for _, c := range o.faults.Requests() {
		if c.Method == http.MethodPost && c.Path != "/api/v1/users" {
			t.Errorf("went on to %s", c.Path)
		}
	}
}

func TestChanged(t *testing.T) {
	got := changed(map[string]any{"a": "1", "b": "2", "c": "5", "e": "6"}, map[string]any{"a": "1", "b": "3", "c": nil, "d": "4"})
	if c, cleared := got["c"]; len(got) != 3 || got["b"] != "3" || got["d"] != "4" || c != nil || !cleared { // e is no longer said

		t.Errorf("changed = %v", got)
	}
	if len(changed(nil, map[string]any{"a": "1"})) != 1 {
		t.Error("of an unknown state everything is sent")
	}
}
