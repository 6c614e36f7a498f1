package gusto

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/fault"
)

func TestMoves(t *testing.T) {
	w := newWorld(t, map[string]any{"locations": map[string]string{"HQ West": placeOf(t, "San Francisco")}})
	d := hired(whole())
	r := w.apply(t, d)
	w.writes()
	steps := []struct {
		change map[string]any
		calls  []string
	}{
		{map[string]any{"home_address": map[string]any{"street_1": "7 Elm St"}}, []string{"POST home_addresses"}},
		{map[string]any{"home_address": map[string]any{"street_2": "Apt 1"}}, []string{"PUT home_addresses"}}, // the same day: a correction
		{map[string]any{"work_address": map[string]any{"location": "HQ West"}}, []string{"POST work_addresses"}},
		{map[string]any{"work_address": map[string]any{"location": "Austin, TX"}}, []string{"PUT work_addresses"}},
	}
	for i, s := range steps {
		d = then(d, r, "active", s.change)
		r = w.apply(t, d)
		if diff := cmp.Diff(s.calls, kinds(w.writes())); diff != "" {
			t.Errorf("step %d (-want +got):\n%s", i, diff)
		}
	}
}

// TestMovesBeforeTheFirstDay: addresses begin with the hire, and what is said
// of them before is a correction.
func TestMovesBeforeTheFirstDay(t *testing.T) {
	w := newWorld(t, nil)
	d := hired(over(whole(), map[string]any{"job": map[string]any{"hire_date": "2026-06-01"}}))
	d.Status = "pre_hire"
	r := w.apply(t, d)
	w.writes()
	d = then(d, r, "pre_hire", map[string]any{"home_address": map[string]any{"street_1": "7 Elm St"}, "work_address": map[string]any{"location": "Austin, TX"}})
	r = w.apply(t, d)
	if diff := cmp.Diff([]string{"PUT home_addresses", "PUT work_addresses"}, kinds(w.writes())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.now = w.now.AddDate(0, 4, 0) // he has started
	for kind, want := range map[string]string{"home": "7 Elm St", "work": placeOf(t, "Austin")} {
		var list []map[string]any
		w.call(t, http.MethodGet, "/v1/employees/"+r.Key+"/"+kind+"_addresses", nil, &list)
		for _, a := range list {
			if a["active"] == true && a["street_1"] != want && a["location_uuid"] != want {
				t.Errorf("%s address in force: %v", kind, a)
			}
		}
	}
}

func TestDeductions(t *testing.T) {
	w := newWorld(t, nil)
	d := hired(whole())
	r := w.apply(t, d)
	w.writes()
	list := func(of ...map[string]any) map[string]any {
		out := []any{}
		for _, b := range of {
			out = append(out, b)
		}
		return map[string]any{"benefits": out}
	}
	medical := func(amount string) map[string]any {
		return map[string]any{"code": "medical", "amount": amount, "start": "2026-03-01"}
	}
	pension := map[string]any{"code": "401k", "percent": "5.00", "employer_amount": "50.00"}
	for i, s := range []struct {
		change map[string]any
		calls  []string
		active map[string]string // amount by state, of those that are active
	}{
		{list(medical("150.00"), pension), []string{"PUT employee_benefits", "POST employee_benefits"}, map[string]string{"150.00": "2026-03-01", "5.00": "2026-03-02"}},
		{list(medical("150.00")), []string{"PUT employee_benefits"}, map[string]string{"150.00": "2026-03-01"}},
		{list(over(medical("150.00"), map[string]any{"end": "2026-03-01"})), []string{"PUT employee_benefits"}, map[string]string{}},
		{list(medical("160.00")), []string{"PUT employee_benefits"}, map[string]string{"160.00": "2026-03-01"}},
		{list(), []string{"PUT employee_benefits"}, map[string]string{}},
		{list(medical("160.00")), []string{"PUT employee_benefits"}, map[string]string{"160.00": "2026-03-01"}},
		{map[string]any{"benefits": nil}, []string{"PUT employee_benefits"}, map[string]string{}}, // cleared
		{map[string]any{"benefits": nil}, nil, map[string]string{}},
	} {
		d = then(d, r, "active", s.change)
		r = w.apply(t, d)
		if diff := cmp.Diff(s.calls, kinds(w.writes())); diff != "" {
			t.Errorf("step %d (-want +got):\n%s", i, diff)
		}
		_, p := w.only(t)
		got := map[string]string{}
		for _, x := range p["benefits"].([]any) { //nolint:forcetypeassert // the fake's
			if b := x.(map[string]any); b["active"] == true { //nolint:forcetypeassert // the fake's
				got[b["employee_deduction"].(string)] = b["effective_date"].(string) //nolint:forcetypeassert // the fake's
			}
		}
		if diff := cmp.Diff(s.active, got); diff != "" {
			t.Errorf("step %d, active (-want +got):\n%s", i, diff)
		}
	}
}

// TestNothingIsHalfApplied: what cannot be written is told before anything is.
func TestNothingIsHalfApplied(t *testing.T) {
	for path, change := range map[string]map[string]any{
		"employee.last_name":        {"employee": map[string]any{"last_name": nil}},
		"employee.ssn":              {"employee": map[string]any{"ssn": "12-34"}},
		"home_address.zip":          {"home_address": map[string]any{"zip": nil}},
		"work_address.location":     {"work_address": map[string]any{"location": "Gdańsk"}},
		"job.hire_date":             {"job": map[string]any{"hire_date": nil}},
		"job.title":                 {"job": nil},
		"compensation.currency":     {"compensation": map[string]any{"currency": "EUR"}},
		"compensation.payment_unit": {"compensation": map[string]any{"payment_unit": nil}},
		"benefits[0].code":          {"benefits": []any{map[string]any{"code": "gym", "amount": "1.00"}}},
		"benefits[0].period":        {"benefits": []any{map[string]any{"code": "medical", "amount": "1.00", "period": "month"}}},
		"benefits[0].amount":        {"benefits": []any{map[string]any{"code": "medical"}}},
		"benefits[0].currency":      {"benefits": []any{map[string]any{"code": "medical", "amount": "1.00", "currency": "EUR"}}},
	} {
		w := newWorld(t, nil)
		_, err := w.Apply(t.Context(), hired(over(whole(), change)), w.progress)
		if f := fault.Of(err); f == nil || f.Class != fault.Record || f.Path != path {
			t.Errorf("%s: error %v", path, err)
		}
		if n := len(w.writes()); n > 0 {
			t.Errorf("%s: %d writes", path, n)
		}
	}
}

func TestStateTaxIsJudged(t *testing.T) {
	for reason, state := range map[string]map[string]any{
		"state":    {"state": "NY", "answers": map[string]any{"filing_status": "S"}},
		"question": {"state": "OR", "answers": map[string]any{"shoe_size": "9"}},
		"answer":   {"state": "OR", "answers": map[string]any{"filing_status": "Novák"}},
	} {
		w := newWorld(t, nil)
		_, err := w.Apply(t.Context(), hired(over(whole(), map[string]any{"state_taxes": []any{state}})), w.progress)
		if f := fault.Of(err); f == nil || f.Class != fault.Record || f.Reason != reason || strings.Contains(err.Error(), "Novák") {
			t.Errorf("%s: error %v", reason, err)
		}
	}
}

// TestAppWithoutWithholding: the scope is missing, which is the account's
// fault; switched off, people come through.
func TestAppWithoutWithholding(t *testing.T) {
	w := newWorld(t, nil, "program", "app")
	_, err := w.Apply(t.Context(), hired(whole()), w.progress)
	if f := fault.Of(err); f == nil || f.Class != fault.Target || f.Reason != "permission" {
		t.Errorf("error %v", err)
	}
	w = newWorld(t, map[string]any{"send_federal_taxes": false, "send_state_taxes": false}, "program", "app")
	w.apply(t, hired(whole()))
}
