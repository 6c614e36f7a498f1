package pipeline

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/topology"
)

// model is what should come of records, without time, crashes and groups: the
// newest version of each key counts, and a field stands as the highest source
// that spoke about it said it last.
type model struct {
	versions map[string]int             // by source and key
	seen     map[string]bool            // by source, key and id of what had no version
	fields   map[string]map[string]says // by key, leaf: what each source said
}

var modelRank = map[string][]string{
	"name.given": {"hris", "ats", "desk"}, "positions[primary].title": {"hris", "ats", "desk"}, "compensation.amount": {"hris", "ats"},
}

var modelLeaf = map[string]string{"given": "name.given", "title": "positions[primary].title", "pay": "compensation.amount"}

func (m *model) say(s said, version int) {
	key := s.source + "." + s.key
	if s.version.Scale == "" {
		if m.seen[key+s.id] {
			return
		}
		m.seen[key+s.id] = true
	} else if version <= m.versions[key] {
		return
	} else {
		m.versions[key] = version
	}
	if m.fields[s.key] == nil {
		m.fields[s.key] = map[string]says{}
	}
	for name, v := range s.body {
		if leaf := modelLeaf[name]; leaf != "" {
			if m.fields[s.key][leaf] == nil {
				m.fields[s.key][leaf] = says{}
			}
			m.fields[s.key][leaf][s.source] = v
		}
	}
}

func (m *model) flat(key string) employee.Flat {
	f := employee.Flat{}
	for leaf, by := range m.fields[key] {
		for _, source := range modelRank[leaf] {
			if v, ok := by[source]; ok {
				f[leaf] = v
				break
			}
		}
	}
	return f
}

// Whatever comes in whichever order, however often the pipeline, a second one
// beside it and the broker are cut off: the end is that of the model, no version
// is missing or double, no change says nothing, every record has a statement.
func TestPipelineFollowsTheModel(t *testing.T) {
	w := newWorld(t)
	round := 0
	rapid.Check(t, func(t *rapid.T) {
		round++
		m := &model{map[string]int{}, map[string]bool{}, map[string]map[string]says{}}
		spoke := map[string]bool{}
		var running []func()
		defer func() {
			for _, stop := range running {
				stop()
			}
		}()
		keys := []string{fmt.Sprintf("k%d-1", round), fmt.Sprintf("k%d-2", round), fmt.Sprintf("k%d-3", round)}
		for range rapid.IntRange(5, 40).Draw(t, "steps") {
			switch what := rapid.IntRange(0, 19).Draw(t, "what"); {
			case what == 0:
				for _, stop := range running {
					stop()
				}
				running = nil
			case what == 1 && len(running) < 2:
				running = append(running, w.start())
			case what == 2 && round%10 == 0:
				if err := w.srv.Restart(); err != nil {
					t.Fatal(err)
				}
			default:
				s := said{source: rapid.SampledFrom([]string{"ats", "desk"}).Draw(t, "source"), key: rapid.SampledFrom(keys).Draw(t, "key"), body: says{"number": ""}}
				s.body["number"] = s.key
				version := 0
				if s.source == "ats" {
					version = rapid.IntRange(1, 20).Draw(t, "version")
					s.version, s.id = seq(strconv.Itoa(version)), strconv.Itoa(version)
				} else {
					s.id = strconv.Itoa(rapid.IntRange(1, 20).Draw(t, "id"))
				}
				for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"given", "title", "pay"}), 0, 3, rapid.ID).Draw(t, "fields") {
					s.body[name] = strconv.Itoa(rapid.IntRange(1, 3).Draw(t, "value"))
				}
				m.say(s, version)
				w.say(s)
				spoke[s.source+"."+s.key] = true
			}
		}
		for _, stop := range running {
			stop()
		}
		running = nil
		w.works()
		if t.Failed() {
			return
		}
		for _, key := range keys {
			id := ""
			for _, source := range []string{"ats", "desk"} {
				if !spoke[source+"."+key] {
					continue
				}
				st := w.statement(source, key)
				if st.Employee == "" || source == "ats" && st.Version != seq(strconv.Itoa(m.versions[source+"."+key])) {
					t.Errorf("%s %s: statement of %q at %v, want %d", source, key, st.Employee, st.Version, m.versions[source+"."+key])
				}
				if id != "" && st.Employee != id {
					t.Errorf("%s is two people", key)
				}
				id = st.Employee
			}
			if id == "" {
				continue
			}
			want := m.flat(key)
			history := w.history(id)
			before := employee.Flat{}
			for i, e := range history {
				if changed := employee.Patterns(employee.Changed(before, e.state.Fields)); !slices.Equal(changed, e.state.Changed) {
					t.Errorf("version %d says that %v changed, it was %v", i+1, e.state.Changed, changed)
				}
				before = e.state.Fields
			}
			for leaf := range modelRank {
				if got := before[leaf]; !employee.Equal(got, want[leaf]) {
					t.Errorf("%s of %s is %v, want %v", leaf, key, got, want[leaf])
				}
			}
		}
		if n := len(w.letters()); n > 0 {
			t.Errorf("%d dead letters", n)
		}
	})
}

// Two pipelines at once: one is refused and reads again, nothing is lost or
// doubled.
func TestASecondPipeline(t *testing.T) {
	w := newWorld(t)
	w.say(said{source: "ats", key: "1", id: "1", version: seq("1"), body: says{"given": "A"}})
	w.works()
	p := w.hands() // knows the first record only
	if _, err := p.load(t.Context(), w.id("ats", "1")); err != nil {
		t.Fatal(err)
	}
	n := w.say(said{source: "ats", key: "1", id: "2", version: seq("2"), body: says{"given": "B"}})
	w.works()
	g := w.process(p, n)
	before := w.people()
	if err := p.commit(t.Context(), g); err == nil {
		t.Error("a second writer was not refused")
	}
	if w.people() != before {
		t.Error("the refused one wrote")
	}
	// The same when it writes only a statement.
	q := w.hands()
	if _, err := q.load(t.Context(), w.id("ats", "1")); err != nil {
		t.Fatal(err)
	}
	m := w.say(said{source: "ats", key: "1", id: "3", version: seq("3"), body: says{"given": "B"}})
	w.works()
	g = w.process(q, m)
	if len(g.items[0].people) != 0 {
		t.Fatal("more than a statement was staged")
	}
	before = w.people()
	if err := q.commit(t.Context(), g); err == nil || w.people() != before {
		t.Errorf("a second writer of a statement was not refused: %v", err)
	}
	if st := w.statement("ats", "1"); st.Status != record.StatusUnchanged {
		t.Errorf("status %s", st.Status)
	}

	// What it has not read yet it reads, and sees that it is behind.
	r := w.hands()
	m = w.say(said{source: "ats", key: "1", id: "4", version: seq("4"), body: says{"given": "D"}})
	w.works()
	in, err := w.bus.Get(t.Context(), topology.Raw, m)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.process(t.Context(), r.open(t.Context(), in)); !errors.Is(err, errBehind) {
		t.Errorf("process = %v, want that it is behind", err)
	}

	// And both at once, over many records.
	stops := []func(){w.start(), w.start()}
	for i := range 300 {
		w.say(said{source: "ats", key: strconv.Itoa(i % 7), id: strconv.Itoa(i), version: seq(strconv.Itoa(10 + i)), body: says{"given": strconv.Itoa(i)}})
	}
	w.eventually(func() string {
		if w.statement("ats", strconv.Itoa(299%7)).Version != seq("309") {
			return "the last record is not there"
		}
		return ""
	})
	for _, stop := range stops {
		stop()
	}
	w.works()
	// A record in the hands of the one that starts anew is overtaken at times, and
	// an older version never wins. So there may be fewer changes, but none twice,
	// none backwards, and the last one is there.
	for i := range 7 {
		last := -1
		for _, e := range w.history(w.id("ats", strconv.Itoa(i))) {
			given, _ := e.state.Fields["name.given"].(string)
			n, err := strconv.Atoi(given)
			if err != nil { // one of the letters before
				continue
			}
			if n <= last {
				t.Errorf("employee %d: %d after %d", i, n, last)
			}
			last = n
		}
		if want := 299 - (299-i)%7; last != want {
			t.Errorf("employee %d ends at %d, not %d", i, last, want)
		}
	}
}
