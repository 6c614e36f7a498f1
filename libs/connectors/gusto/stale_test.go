package gusto

import (
	"net/http"
	"testing"

	"github.com/muster-hr/muster/libs/fault"
)

// between changes a person at Gusto after the sink has read him, so that its
// version is stale.
type between struct {
	http.Handler
	before func(*http.Request)
}

func (b *between) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.before(r)
	b.Handler.ServeHTTP(w, r)
}

func TestStaleVersion(t *testing.T) {
	for _, c := range []struct {
		name  string
		times int
		puts  int
		want  string // reason; "" is success
	}{
		{"somebody was faster once", 1, 2, ""},
		{"somebody is always faster", 9, 2, reasonStale},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			d := hired(whole())
			r := w.apply(t, d)
			w.writes()
			n := 0
			inner := w.vendor
			w.vendor = hookedVendor{inner, &between{inner, func(q *http.Request) {
				if q.Method == http.MethodPut && n < c.times {
					n++
					w.do(t, "edit", map[string]any{"id": r.Key, "fields": map[string]any{"middle_initial": string(rune('A' + n))}})
				}
			}}}
			w.rewire(t)
			_, err := w.Apply(t.Context(), then(d, r, "active", map[string]any{"employee": map[string]any{"last_name": "Novák"}}), w.progress)
			if fault.Reason(err) != map[bool]string{true: "ok", false: c.want}[c.want == ""] {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if c.want != "" && fault.Of(err).Class != fault.Record {
				t.Errorf("class %s, want record", fault.Of(err).Class)
			}
			puts := w.writes()
			if len(puts) != c.puts {
				t.Errorf("%d updates, want %d", len(puts), c.puts)
			}
			_, p := w.only(t)
			if (p["last_name"] == "Novák") != (c.want == "") {
				t.Errorf("last name %v", p["last_name"])
			}
			if p["middle_initial"] == nil {
				t.Error("the other's change is lost")
			}
		})
	}
}

// TestStaleVersionThatIsRightAlready: who was faster wrote the same.
func TestStaleVersionThatIsRightAlready(t *testing.T) {
	w := newWorld(t, nil)
	d := hired(whole())
	r := w.apply(t, d)
	w.writes()
	inner := w.vendor
	done := false
	w.vendor = hookedVendor{inner, &between{inner, func(q *http.Request) {
		if q.Method == http.MethodPut && !done {
			done = true
			w.do(t, "edit", map[string]any{"id": r.Key, "fields": map[string]any{"last_name": "Novák"}})
		}
	}}}
	w.rewire(t)
	got := w.apply(t, then(d, r, "active", map[string]any{"employee": map[string]any{"last_name": "Novák"}}))
	if n := len(w.writes()); n != 1 || got.Outcome != "unchanged" {
		t.Errorf("%d updates, %+v", n, got)
	}
}
