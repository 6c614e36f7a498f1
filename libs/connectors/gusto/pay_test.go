package gusto

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/fault"
)

func TestPayOverTime(t *testing.T) {
	raise := func(rate, day string) map[string]any {
		return map[string]any{"compensation": map[string]any{"rate": rate, "effective_date": day}}
	}
	type change struct {
		body  map[string]any
		calls []string
		pay   []string // "day rate" of all compensations afterwards
	}
	for name, changes := range map[string][]change{
		"a raise": {
			{raise("104000.00", "2026-07-01"), []string{"POST compensations"}, []string{"2026-02-16 98750.00", "2026-07-01 104000.00"}},
			{raise("110000.00", "2026-09-01"), []string{"POST compensations"}, []string{"2026-02-16 98750.00", "2026-07-01 104000.00", "2026-09-01 110000.00"}},
		},
		"a raise of today without a day": {
			{map[string]any{"compensation": map[string]any{"rate": "99000.00", "effective_date": nil}}, []string{"POST compensations"}, []string{"2026-02-16 98750.00", "2026-03-02 99000.00"}},
		},
		"a correction of the same day": {
			{raise("98000.00", "2026-02-16"), []string{"PUT compensations"}, []string{"2026-02-16 98000.00"}},
		},
		"a planned raise gets another amount": {
			{raise("104000.00", "2026-07-01"), []string{"POST compensations"}, []string{"2026-02-16 98750.00", "2026-07-01 104000.00"}},
			{raise("105000.00", "2026-07-01"), []string{"PUT compensations"}, []string{"2026-02-16 98750.00", "2026-07-01 105000.00"}},
		},
		"a planned raise is taken back": {
			{raise("104000.00", "2026-07-01"), []string{"POST compensations"}, []string{"2026-02-16 98750.00", "2026-07-01 104000.00"}},
			{raise("98750.00", "2026-02-16"), []string{"DELETE compensations"}, []string{"2026-02-16 98750.00"}},
		},
		"a planned raise comes earlier": {
			{raise("104000.00", "2026-07-01"), []string{"POST compensations"}, []string{"2026-02-16 98750.00", "2026-07-01 104000.00"}},
			{raise("104000.00", "2026-05-01"), []string{"DELETE compensations", "POST compensations"}, []string{"2026-02-16 98750.00", "2026-05-01 104000.00"}},
		},
		"a planned raise comes later": {
			{raise("104000.00", "2026-07-01"), []string{"POST compensations"}, []string{"2026-02-16 98750.00", "2026-07-01 104000.00"}},
			{raise("104000.00", "2026-09-01"), []string{"DELETE compensations", "POST compensations"}, []string{"2026-02-16 98750.00", "2026-09-01 104000.00"}},
		},
		"a raise of today was another, from an earlier day": {
			{raise("104000.00", "2026-03-02"), []string{"POST compensations"}, []string{"2026-02-16 98750.00", "2026-03-02 104000.00"}},
			{raise("101000.00", "2026-02-23"), []string{"DELETE compensations", "POST compensations"}, []string{"2026-02-16 98750.00", "2026-02-23 101000.00"}},
		},
		"a day that only repeats what is paid": {
			{raise("98750.00", "2026-04-01"), nil, []string{"2026-02-16 98750.00"}},
		},
		"a day before the hire": {
			{raise("98000.00", "2026-01-01"), []string{"PUT compensations"}, []string{"2026-02-16 98000.00"}},
		},
		"a title with the raise": {
			{over(raise("104000.00", "2026-07-01"), map[string]any{"job": map[string]any{"title": "Senior Field Engineer"}}), []string{"POST compensations"}, []string{"2026-02-16 98750.00", "2026-07-01 104000.00"}},
		},
		"a title alone": {
			{map[string]any{"job": map[string]any{"title": "Senior Field Engineer"}}, []string{"PUT jobs"}, []string{"2026-02-16 98750.00"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			d := hired(whole())
			r := w.apply(t, d)
			w.writes()
			for _, c := range changes {
				d = then(d, r, "active", c.body)
				r = w.apply(t, d)
				if diff := cmp.Diff(c.calls, kinds(w.writes())); diff != "" {
					t.Errorf("calls (-want +got):\n%s", diff)
				}
				_, p := w.only(t)
				var got []string
				for _, x := range p["compensations"].([]any) { //nolint:forcetypeassert // the fake's
					c := x.(map[string]any)                                                //nolint:forcetypeassert // the fake's
					got = append(got, c["effective_date"].(string)+" "+c["rate"].(string)) //nolint:forcetypeassert // the fake's
				}
				if diff := cmp.Diff(c.pay, got); diff != "" {
					t.Errorf("pay (-want +got):\n%s", diff)
				}
				again := d
				again.Refs = r.Refs
				if w.apply(t, again); len(w.writes()) > 0 { // the outcome was lost: the same again
					t.Error("the second time wrote again")
				}
			}
		})
	}
}

// TestPaidAlready: what was on a payroll is not changed behind its back.
func TestPaidAlready(t *testing.T) {
	w := newWorld(t, nil)
	d := hired(whole())
	r := w.apply(t, d)
	w.do(t, "process", map[string]any{"id": r.Key})
	wrong := then(d, r, "active", map[string]any{"compensation": map[string]any{"rate": "98000.00"}})
	_, err := w.Apply(t.Context(), wrong, w.progress)
	if f := fault.Of(err); f == nil || f.Class != fault.Record || f.Reason != "processed" {
		t.Fatalf("error %v", err)
	}
	w.apply(t, then(d, r, "active", map[string]any{"compensation": map[string]any{"rate": "98000.00", "effective_date": "2026-04-01"}}))
}
