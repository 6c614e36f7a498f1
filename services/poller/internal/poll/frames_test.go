package poll

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// script answers with the page that its cursor numbers.
func script(w *world, pages ...connector.Page) {
	w.vendor.changes = func(_ context.Context, after connector.Cursor) (connector.Page, error) {
		n := 0
		_, _ = fmt.Sscan(string(after), &n)
		if n >= len(pages) {
			return connector.Page{Next: after}, nil
		}
		p := pages[n]
		p.Next, p.More = connector.Cursor(fmt.Sprint(n+1)), n+1 < len(pages)
		return p, nil
	}
}

func full(read string, begin bool, end connector.Ending) connector.Frame {
	return connector.Frame{Read: read, Begin: begin, End: end}
}

// order is what stands in RAW: r a record, or the word of a frame with its
// read, outcome and counts.
func (w *world) order() (out []string) {
	w.t.Helper()
	for _, in := range w.stored(topology.Raw, ">") {
		if topology.Last(in.Subject) != topology.ReadFrames {
			out = append(out, "r")
			continue
		}
		f, err := w.codec.OpenFrame(in.Event)
		if err != nil {
			w.t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%s %s%s %d-%d", event.Verb(in.Event.Type()), f.Read, f.Outcome, f.Total, f.Rejected))
	}
	return out
}

// TestFullReadIsFramed: its begin stands before its records and its end behind
// them; pages of changes have no frame but their cursor.
func TestFullReadIsFramed(t *testing.T) {
	w, _ := newSweep(t)
	script(w,
		connector.Page{Records: []connector.Record{rec("1", "a"), rec("2", "b")}, Frame: full("A", true, "")},
		connector.Page{Records: []connector.Record{rec("3", "c")}, Frame: full("A", false, connector.Complete)},
		connector.Page{Records: []connector.Record{rec("1", "d")}},
		connector.Page{Frame: full("B", true, connector.Failed)},
	)
	if err := New(w.deps).ask(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := w.order(), []string{
		"begun A 0-0", "r", "r", "paged A 2-0", "r", "ended Acomplete 3-0",
		"r", "paged  0-0",
		"begun B 0-0", "ended Bfailed 0-0",
	}; !slices.Equal(got, want) {
		t.Errorf("RAW holds\n%q, want\n%q", got, want)
	}
}

// TestRejectedIsADeadLetter with its place and no value, and a read of which
// something was rejected is not complete, whatever its source says.
func TestRejectedIsADeadLetter(t *testing.T) {
	bad := rec("9", "x")
	bad.Body = json.RawMessage("<no>")
	large := rec("8", "y")
	large.Body = json.RawMessage(`"` + strings.Repeat("x", record.Limit) + `"`)
	for name, c := range map[string]struct {
		page    connector.Page
		letters int
	}{
		"listed": {connector.Page{Rejected: []connector.Rejected{
			{Key: "planted", ID: "f.3", Reason: "too_few_fields", Path: "lines[3]", Rule: "sha256 abc"},
			{ID: "f.4", Reason: "no_key", Path: "lines[4].id", Rule: "sha256 abc"},
		}}, 2},
		"cannot be packed":          {connector.Page{Records: []connector.Record{bad}}, 1},
		"larger than the bus takes": {connector.Page{Records: []connector.Record{large}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := newSweep(t)
			c.page.Records = append(c.page.Records, rec("1", "a"))
			c.page.Frame = full("A", true, "")
			script(w, c.page, connector.Page{Frame: full("A", false, connector.Complete)})
			for range 2 { // the second one is a repeat after a crash
				p := New(w.deps)
				last, err := p.last(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				last.Cursor = ""
				if _, err := p.page(t.Context(), last); err != nil {
					t.Fatal(err)
				}
			}
			if err := New(w.deps).ask(t.Context()); err != nil {
				t.Fatal(err)
			}
			frames := w.frames()
			if f := frames[len(frames)-1]; f.Outcome != connector.Partial || f.Rejected != c.letters || len(w.records("1")) != 2 {
				t.Errorf("the read ended %+v", f)
			}
			letters := w.stored(topology.Dead, ">")
			if len(letters) != c.letters {
				t.Fatalf("%d letters, want %d", len(letters), c.letters)
			}
			for _, l := range letters {
				head, err := seal.Head(l.Event.Data())
				if err != nil || bytes.Contains(l.Event.Data(), []byte("planted")) {
					t.Errorf("%s, %v", head, err)
				}
				if name == "listed" && !bytes.Contains(head, []byte(`"path":"lines[`)) {
					t.Errorf("a letter names no place: %s", head)
				}
			}
		})
	}
}

// TestReadGoesOnAfterACrash: counts go on where they were, at once, and a read
// that never began is not believed.
func TestReadGoesOnAfterACrash(t *testing.T) {
	w, _ := newSweep(t)
	script(w,
		connector.Page{Records: []connector.Record{rec("1", "a")}, Frame: full("A", true, "")},
		connector.Page{Records: []connector.Record{rec("2", "b")}, Frame: full("A", false, connector.Complete)},
	)
	if _, err := New(w.deps).page(t.Context(), place{}); err != nil {
		t.Fatal(err)
	}
	p := New(w.deps)
	if wait, err := p.untilNext(t.Context()); wait != 0 || err != nil {
		t.Errorf("the other pages wait for %s (%v)", wait, err)
	}
	if err := p.ask(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.order(); got[len(got)-1] != "ended Acomplete 2-0" {
		t.Errorf("RAW holds %q", got)
	}
	script(w, connector.Page{}, connector.Page{}, connector.Page{Frame: full("C", false, connector.Complete)})
	if err := p.ask(t.Context()); fault.Reason(err) != "frame" {
		t.Errorf("a read that never began: %v", err)
	}
}

// TestPageKeepsTheOrderOfAKey, though its records are stored side by side.
func TestPageKeepsTheOrderOfAKey(t *testing.T) {
	w, _ := newSweep(t)
	var page connector.Page
	for i := range 300 {
		page.Records = append(page.Records, rec(fmt.Sprint(i%7), fmt.Sprint(i)))
	}
	script(w, page)
	if err := New(w.deps).ask(t.Context()); err != nil {
		t.Fatal(err)
	}
	for k := range 7 {
		before := -1
		for _, r := range w.records(fmt.Sprint(k)) {
			var body struct {
				ID int `json:"id,string"`
			}
			if err := json.Unmarshal(r.Body, &body); err != nil || body.ID <= before {
				t.Fatalf("key %d: %d behind %d (%v)", k, body.ID, before, err)
			}
			before = body.ID
		}
		if before < 293 {
			t.Errorf("key %d ends with %d", k, before)
		}
	}
}

// TestSourceWithoutReader takes no hints and still sweeps.
func TestSourceWithoutReader(t *testing.T) {
	w, _ := newSweep(t)
	script(w, connector.Page{Records: []connector.Record{rec("1", "a")}})
	w.deps.Reader = nil
	w.deps.Schedule = 5 * time.Millisecond
	w.start()
	w.until("the record", func() bool { return len(w.records("1")) == 1 })
}
