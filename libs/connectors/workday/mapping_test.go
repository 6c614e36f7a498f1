package workday

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/testkit/golden"
	"github.com/muster-hr/muster/libs/testkit/mappingtest"
)

// A saved report goes the whole way: opened, then mapped.
func TestFromVendor(t *testing.T) {
	m := mappingtest.Shipped(t, "workday", Type.FromVendor, mapping.FromVendor)
	golden.Each(t, "testdata/map/from/*.txtar", func(t *testing.T, c golden.Case) {
		clock := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
		recs, err := answers{feed{key: defaultKey}}.OpenAnswer(c.File("report.json"), clock)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]mapping.Observation, len(recs))
		for i, rec := range recs {
			if got[i], err = m.Observe(rec, clock); c.WantError(t, "want.err", err) {
				return
			}
		}
		c.Want(t, "want.json", got)
	})
}

// TestLifeOfAPerson, as the report shows it on each day.
func TestLifeOfAPerson(t *testing.T) {
	m := mappingtest.Shipped(t, "workday", Type.FromVendor, mapping.FromVendor)
	w := newWorld(t, nil)
	w.now = time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)
	id := w.do("hire", map[string]any{"given": "Aoife", "family": "N", "start": "2026-01-12", "title": "Analyst", "salary": "50000"})
	s := w.source(map[string]any{"prompts": prompts, "ahead": 14, "full_every": time.Duration(0)})
	for _, step := range []struct {
		day  string
		verb string
		args map[string]any
		want string // status, termination date, title, amount
	}{
		{"2026-01-06", "", nil, "pre_hire <nil> Analyst 50000"},
		{"2026-01-12", "", nil, "active <nil> Analyst 50000"},
		{"2026-02-01", "raise", map[string]any{"amount": "55000", "effective": "2026-03-01"}, "active <nil> Analyst 50000"},
		{"2026-03-01", "", nil, "active <nil> Analyst 55000"},
		{"2026-03-02", "move", map[string]any{"title": "Lead"}, "active <nil> Lead 55000"},
		{"2026-03-03", "leave", nil, "leave <nil> Lead 55000"},
		{"2026-03-20", "return", nil, "active <nil> Lead 55000"},
		{"2026-04-01", "terminate", map[string]any{"date": "2026-04-30"}, "active 2026-04-30 Lead 55000"},
		{"2026-04-30", "", nil, "active 2026-04-30 Lead 55000"},
		{"2026-05-01", "", nil, "terminated 2026-04-30 Lead 55000"},
		{"2026-05-02", "rescind", nil, "active <nil> Lead 55000"},
		{"2026-05-04", "terminate", map[string]any{"date": "2026-05-05"}, "active 2026-05-05 Lead 55000"},
		{"2026-05-06", "", nil, "terminated 2026-05-05 Lead 55000"},
		{"2026-06-01", "rehire", map[string]any{"start": "2026-06-08", "title": "Director"}, "pre_hire <nil> Director 55000"},
		{"2026-06-08", "", nil, "active <nil> Director 55000"},
	} {
		w.now, _ = time.Parse(time.DateOnly, step.day)
		w.now = w.now.Add(10 * time.Hour)
		if step.verb != "" {
			args := map[string]any{"id": id}
			for k, v := range step.args {
				args[k] = v
			}
			w.do(step.verb, args)
		}
		got, _ := w.pages(s, "")
		o, err := m.Observe(got[0].Records[0], w.now)
		if err != nil {
			t.Fatalf("%s: %v", step.day, err)
		}
		at := func(path ...string) string {
			var v any = map[string]any(o.Fields)
			for _, p := range path {
				if list, ok := v.([]any); ok {
					v = list[0]
				}
				m, _ := v.(map[string]any)
				v = m[p]
			}
			if s, ok := v.(string); ok {
				return s
			}
			return "<nil>"
		}
		if have := strings.Join([]string{at("employment", "status"), at("employment", "termination_date"), at("positions", "title"), at("compensation", "amount")}, " "); have != step.want {
			t.Errorf("%s %s: %s, want %s", step.day, step.verb, have, step.want)
		}
	}
	if _, err := w.vendor.Do(context.Background(), "promote", nil); err == nil {
		t.Error("a verb that is not there was done")
	}
}
