package gusto

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/fault"
)

// kinds are the calls as "POST terminations".
func kinds(calls []sent) []string {
	var out []string
	for _, c := range calls {
		parts := strings.Split(strings.TrimPrefix(c.path, "/v1/"), "/")
		name := parts[len(parts)-1]
		if len(parts)%2 == 0 { // ends with a UUID
			name = parts[len(parts)-2]
		}
		out = append(out, c.method+" "+name)
	}
	return out
}

func TestHireWithEverything(t *testing.T) {
	w := newWorld(t, nil)
	d := hired(whole())
	r := w.apply(t, d)
	got := kinds(w.writes())
	want := []string{
		"POST employees", "POST home_addresses", "POST work_addresses", "POST jobs", "PUT compensations",
		"PUT federal_taxes", "PUT state_taxes", "POST employee_benefits",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	id, p := w.only(t)
	for name, want := range map[string]any{"title": "Field Engineer", "rate": "98750.00", "payment_unit": "Year", "hire_date": "2026-02-16", "has_ssn": true} {
		if p[name] != want {
			t.Errorf("%s is %v, want %v", name, p[name], want)
		}
	}
	if r.Key != id || r.Refs[refID] != id || r.Refs[refJob] == "" || r.Refs[refPay] == "" {
		t.Errorf("receipt %+v", r)
	}
	if r := w.apply(t, then(d, r, "active", nil)); r.Outcome != "unchanged" || len(w.writes()) != 0 {
		t.Errorf("the same again: %+v", r)
	}
	// With nothing remembered but the UUIDs, everything is read and found equal;
	// only the SSN, which is never shown, goes again.
	d = then(d, r, "active", nil)
	d.Before = nil
	r = w.apply(t, d)
	if got := w.writes(); len(got) != 1 || len(got[0].body) != 2 || got[0].body["ssn"] != "900123401" {
		t.Errorf("without a memory: %v", got)
	}
}

// TestMadeAfterAll: who left before we knew him, or was withdrawn and deleted,
// has a body that was noted as applied; of it nothing is there.
func TestMadeAfterAll(t *testing.T) {
	want := []string{
		"POST employees", "POST home_addresses", "POST work_addresses", "POST jobs", "PUT compensations",
		"PUT federal_taxes", "PUT state_taxes", "POST employee_benefits",
	}
	for name, before := range map[string]func(*world, connector.Delivery) connector.Delivery{
		"a leaver whom nobody knew": func(w *world, d connector.Delivery) connector.Delivery {
			d.Status = "terminated"
			return then(d, w.apply(t, d), "active", nil)
		},
		"withdrawn, and hired again": func(w *world, d connector.Delivery) connector.Delivery {
			d = then(d, w.apply(t, d), "withdrawn", nil)
			return then(d, w.apply(t, d), "active", nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			d := before(w, hired(whole()))
			w.writes()
			w.apply(t, d)
			if diff := cmp.Diff(want, kinds(w.writes())); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

// TestEveryCrashIsResumed cuts the hire off at each of its calls, before and
// after the call took effect, and lets it go on with the refs that were saved.
func TestEveryCrashIsResumed(t *testing.T) {
	whole1 := newWorld(t, nil)
	whole1.apply(t, hired(whole()))
	writes := whole1.writes()
	_, want := whole1.only(t)
	for n := range writes {
		for _, when := range []fake.When{fake.Before, fake.AfterEffect} {
			t.Run(kinds(writes[n : n+1])[0]+" "+string(when), func(t *testing.T) {
				w := newWorld(t, nil)
				d := hired(whole())
				path := "*" + lastWord(writes[n].path)
				if err := w.faults.Add(fake.Fault{Status: map[fake.When]int{fake.Before: 503, fake.AfterEffect: 0}[when], When: when, Times: 1, Match: fake.Match{Method: writes[n].method, Path: path}}); err != nil {
					t.Fatal(err)
				}
				_, err := w.Apply(t.Context(), d, w.progress)
				if f := fault.Of(err); f == nil || f.Class != fault.Transient {
					t.Fatalf("the fault did not strike: %v", err)
				}
				if len(w.saved) > 0 {
					d.Refs = w.saved[len(w.saved)-1]
				} else { // delivery looks before it goes on
					found, err := w.Find(t.Context(), d)
					if err != nil || (when == fake.AfterEffect) != (len(found) == 1) {
						t.Fatalf("found %v, %v", found, err)
					}
					for _, f := range found {
						d.Refs = f.Refs
					}
				}
				w.apply(t, d)
				_, got := w.only(t)
				if diff := cmp.Diff(shape(want), shape(got)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

func lastWord(path string) string {
	parts := strings.Split(path, "/")
	if parts[len(parts)-2] == "compensations" {
		return "compensations/*"
	}
	return parts[len(parts)-1]
}

// shape is a person without UUIDs.
func shape(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			if !strings.HasSuffix(k, "uuid") {
				out[k] = shape(x)
			}
		}
		return out
	case []any:
		out := []any{}
		for _, x := range v {
			out = append(out, shape(x))
		}
		return out
	}
	return v
}

// TestProgressIsSavedAfterEveryCall and is there for the next one.
func TestProgressIsSavedAfterEveryCall(t *testing.T) {
	w := newWorld(t, nil)
	w.apply(t, hired(whole()))
	if calls := len(w.writes()); len(w.saved) != calls {
		t.Errorf("saved %d times for %d calls", len(w.saved), calls)
	}
	if slices.ContainsFunc(w.saved, func(r connector.Refs) bool { return r[refID] == "" }) {
		t.Error("refs without the employee were saved")
	}
}
