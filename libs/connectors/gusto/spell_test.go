package gusto

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/fault"
)

func TestTheEnd(t *testing.T) {
	last := func(day any) map[string]any {
		return map[string]any{"termination": map[string]any{"effective_date": day}}
	}
	type step struct {
		at      string // the day it is
		status  string
		change  map[string]any
		calls   []string
		lastDay any // nil: none
	}
	for name, steps := range map[string][]step{
		"on the last day of work": {{"2026-05-13", "terminated", last("2026-05-13"), []string{"POST terminations"}, "2026-05-13"}},
		"notice, then the end":    {{"2026-04-01", "active", last("2026-05-13"), []string{"POST terminations"}, "2026-05-13"}, {"2026-05-14", "terminated", nil, nil, "2026-05-13"}},
		"notice that is moved":    {{"2026-04-01", "active", last("2026-05-13"), []string{"POST terminations"}, "2026-05-13"}, {"2026-04-02", "active", last("2026-05-11"), []string{"PUT terminations"}, "2026-05-11"}},
		"notice that is taken back": {
			{"2026-04-01", "active", last("2026-05-13"), []string{"POST terminations"}, "2026-05-13"},
			{"2026-04-02", "active", last(nil), []string{"DELETE terminations"}, nil},
		},
		"an end without a day": {{"2026-05-13", "terminated", nil, []string{"POST terminations"}, "2026-05-13"}, {"2026-05-20", "terminated", nil, nil, "2026-05-13"}},
		"a rehire": {
			{"2026-05-13", "terminated", last("2026-05-13"), []string{"POST terminations"}, "2026-05-13"},
			{"2026-09-01", "active", over(last(nil), map[string]any{"job": map[string]any{"hire_date": "2026-09-01"}}), []string{"POST rehire"}, nil},
		},
		"a rehire that is planned": {
			{"2026-05-13", "terminated", last("2026-05-13"), []string{"POST terminations"}, "2026-05-13"},
			{"2026-08-01", "pre_hire", over(last(nil), map[string]any{"job": map[string]any{"hire_date": "2026-09-01"}}), []string{"POST rehire"}, nil},
			{"2026-09-01", "active", nil, nil, nil},
		},
		"an end that is taken back too late": {
			{"2026-05-13", "terminated", last("2026-05-13"), []string{"POST terminations"}, "2026-05-13"},
			{"2026-05-20", "active", last(nil), []string{"POST rehire"}, nil},
			{"2026-05-21", "active", map[string]any{"job": map[string]any{"title": "Trainer"}}, []string{"PUT jobs"}, nil},
			{"2026-06-30", "terminated", last("2026-06-30"), []string{"POST terminations"}, "2026-06-30"},
		},
		"withdrawn while onboarding": {{"2026-03-03", "withdrawn", nil, []string{"DELETE employees"}, "deleted"}, {"2026-03-04", "withdrawn", nil, nil, "deleted"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			d := hired(whole())
			r := w.apply(t, d)
			w.writes()
			for i, s := range steps {
				w.now, _ = time.Parse(time.RFC3339, s.at+"T18:00:00Z")
				d = then(d, r, s.status, s.change)
				older := r.Refs
				r = w.apply(t, d)
				if diff := cmp.Diff(s.calls, kinds(w.writes())); diff != "" {
					t.Errorf("step %d, calls (-want +got):\n%s", i, diff)
				}
				again := d
				again.Refs = older
				if w.apply(t, again); len(w.writes()) > 0 { // the outcome was lost
					t.Errorf("step %d: the second time wrote again", i)
				}
				people := w.people()
				if s.lastDay == "deleted" {
					if len(people) > 0 || r.Refs[refID] != "" {
						t.Errorf("step %d: %v", i, people)
					}
					continue
				}
				if _, p := w.only(t); p["last_day"] != s.lastDay {
					t.Errorf("step %d: last day %v, want %v", i, p["last_day"], s.lastDay)
				}
			}
		})
	}
}

func TestWithdrawnAfterOnboarding(t *testing.T) {
	w := newWorld(t, nil)
	d := hired(whole())
	r := w.apply(t, d)
	w.do(t, "onboard", map[string]any{"id": r.Key})
	w.apply(t, then(d, r, "withdrawn", nil))
	if _, p := w.only(t); p["last_day"] != "2026-02-16" {
		t.Errorf("last day %v, want the hire date", p["last_day"])
	}
}

// TestAnEndPlannedInGustoStays: only what we wrote is taken back.
func TestAnEndPlannedInGustoStays(t *testing.T) {
	w := newWorld(t, nil)
	d := hired(whole())
	r := w.apply(t, d)
	w.do(t, "terminate", map[string]any{"id": r.Key, "last_day": "2026-06-30"})
	w.apply(t, then(d, r, "active", map[string]any{"employee": map[string]any{"last_name": "Novák"}}))
	if _, p := w.only(t); p["last_day"] != "2026-06-30" || p["last_name"] != "Novák" {
		t.Errorf("%v", p)
	}
}

func TestOffCycleFinalPay(t *testing.T) {
	for _, c := range []struct {
		states []string
		want   bool
	}{{nil, false}, {[]string{"CA"}, false}, {[]string{"CA", "OR"}, true}, {[]string{"*"}, true}} {
		w := newWorld(t, map[string]any{"off_cycle_final_pay": c.states})
		d := hired(whole())
		r := w.apply(t, d)
		w.writes()
		w.apply(t, then(d, r, "terminated", nil))
		got := w.writes()
		if len(got) != 1 || got[0].body["run_termination_payroll"] != c.want {
			t.Errorf("%v: %v", c.states, got)
		}
	}
}

// TestALeaverIsNotHeldUp by something else that is wrong.
func TestALeaverIsNotHeldUp(t *testing.T) {
	w := newWorld(t, nil)
	d := hired(whole())
	r := w.apply(t, d)
	_, err := w.Apply(t.Context(), then(d, r, "terminated", map[string]any{"home_address": map[string]any{"zip": nil}}), w.progress)
	if f := fault.Of(err); f == nil || f.Class != fault.Record || f.Path != "zip" {
		t.Errorf("error %v", err)
	}
	if _, p := w.only(t); p["last_day"] != "2026-03-02" {
		t.Errorf("last day %v", p["last_day"])
	}
}
