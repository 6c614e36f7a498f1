package employee

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var someText = rapid.OneOf(rapid.String(), rapid.StringOf(rapid.SampledFrom([]rune("a:<&\"\\\n\u2028é,"))))

func someValue(depth int) *rapid.Generator[any] {
	kinds := []*rapid.Generator[any]{someText.AsAny(), someText.AsAny(), rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.SampledFrom([]json.Number{"1.50", "0", "-3e7"}).AsAny()}
	if depth > 0 {
		kinds = append(kinds, rapid.SliceOf(someValue(depth-1)).AsAny(), rapid.MapOf(someText, someValue(depth-1)).AsAny())
	}
	return rapid.OneOf(kinds...)
}

var someFlat = rapid.Custom(func(t *rapid.T) Flat {
	leaves := slices.Collect(maps.Keys(yardstick().Fields))
	leaves = append(leaves, "custom.odd <&>", "custom.private", "positions[p\u00e92].title", "dependants", "training", "phones[mobile]")
	return Flat(rapid.MapOf(rapid.SampledFrom(leaves), someValue(2)).Draw(t, "fields"))
})

var someState = rapid.Custom(func(t *rapid.T) *State {
	text := func(name string) string { return someText.Draw(t, name) }
	at := rapid.Custom(func(t *rapid.T) time.Time {
		return time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "s"), rapid.Int64Range(0, 3).Draw(t, "ns")*100000001).UTC()
	})
	s := &State{
		Head: Head{
			ID: text("id"), Version: rapid.Uint64Max(1<<53).Draw(t, "version"), Status: text("status"), Source: text("source"), Event: text("event"),
			Initial: rapid.Bool().Draw(t, "initial"), AcceptedAt: at.Draw(t, "accepted"), Config: text("config"),
		},
		Said: text("said"), Fields: someFlat.Draw(t, "fields"), Provenance: map[string]Origin{},
	}
	if rapid.Bool().Draw(t, "lists") {
		s.Changed, s.Awaits = rapid.SliceOfN(someText, 1, 3).Draw(t, "changed"), rapid.SliceOfN(someText, 1, 3).Draw(t, "awaits")
		s.Contains = rapid.MapOf(someText, rapid.Uint64Max(1<<53)).Draw(t, "contains")
	}
	origins := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Origin { return Origin{someText.Draw(t, "source"), at.Draw(t, "at")} }), 1, 3).Draw(t, "origins")
	for leaf := range s.Fields {
		s.Provenance[leaf] = rapid.SampledFrom(origins).Draw(t, "origin")
	}
	for range rapid.IntRange(0, 2).Draw(t, "pending") {
		s.Pending = append(s.Pending, Pending{"2027-01-01", text("source"), someFlat.Draw(t, "later")})
	}
	return s
})

// What Encode writes by hand is, to the byte, what the types and their tags say.
func TestEncodeIsThatOfTheTags(t *testing.T) {
	custom := CustomClasses{"event_number": Basic, "private": Pay}
	rapid.Check(t, func(t *rapid.T) {
		s := someState.Draw(t, "state")
		head, basic, restricted, err := s.Encode(custom)
		if err != nil {
			t.Fatal(err)
		}
		var open struct {
			Said       string         `json:"said,omitempty"`
			Employee   Flat           `json:"employee"`
			Origins    []Origin       `json:"origins"`
			Provenance map[string]int `json:"provenance"`
			Pending    []Pending      `json:"pending,omitempty"`
		}
		var closed struct {
			Employee Flat      `json:"employee"`
			Pending  []Pending `json:"pending,omitempty"`
		}
		open.Said, open.Provenance = s.Said, map[string]int{}
		open.Employee, closed.Employee = Split(s.Fields, custom)
		for _, leaf := range slices.Sorted(maps.Keys(s.Provenance)) {
			o := s.Provenance[leaf]
			if !slices.Contains(open.Origins, o) {
				open.Origins = append(open.Origins, o)
			}
			open.Provenance[leaf] = slices.Index(open.Origins, o)
		}
		for _, p := range s.Pending {
			b, r := Split(p.Fields, custom)
			if len(b) > 0 {
				open.Pending = append(open.Pending, Pending{p.Effective, p.Source, b})
			}
			if len(r) > 0 {
				closed.Pending = append(closed.Pending, Pending{p.Effective, p.Source, r})
			}
		}
		for _, part := range []struct {
			name string
			got  []byte
			want any
		}{{"head", head, s.Head}, {"basic", basic, open}, {"restricted", restricted, closed}} {
			want, err := json.Marshal(part.want)
			if err != nil {
				t.Fatal(err)
			}
			if part.name == "restricted" && len(closed.Employee)+len(closed.Pending) == 0 {
				want = nil
			}
			if !bytes.Equal(part.got, want) {
				t.Fatalf("%s\n got %s\nwant %s", part.name, part.got, want)
			}
		}
	})
}

// What was encoded comes back, as the general decoder reads it.
func TestDecodeIsThatOfTheGeneralDecoder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := someState.Draw(t, "state")
		head, basic, restricted, err := want.Encode(nil)
		if err != nil {
			t.Fatal(err)
		}
		want.Fields, want.Head, want.Said = Flat{}, Head{}, ""
		for _, part := range [][]byte{basic, restricted} {
			if part == nil {
				continue
			}
			var general struct {
				Said     string
				Employee map[string]any
			}
			if err := decode(part, &general); err != nil {
				t.Fatal(err)
			}
			want.Said += general.Said
			maps.Copy(want.Fields, general.Employee)
		}
		if err := json.Unmarshal(head, &want.Head); err != nil {
			t.Fatal(err)
		}
		h, err := ReadHead(head)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeState(h, basic, restricted)
		if err != nil {
			t.Fatal(err)
		}
		got.Pending, want.Pending = nil, nil   // their order is that of the parts; see TestStateComesBack
		for leaf, o := range want.Provenance { // malformed text is replaced when it is written
			o.Source = string([]rune(o.Source))
			want.Provenance[leaf] = o
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	})
}

func TestDecodeStateRefuses(t *testing.T) {
	for _, basic := range []string{"{", `{"employee":{"custom.a":[1,]}}`, `{"origins":[],"provenance":{"work_email":0}}`, `{"origins":[{"source":"a","at":"2026-01-01T00:00:00Z"}],"provenance":{"work_email":"0"}}`,
		`{"origins":[{"source":"a","at":"2026-01-01T00:00:00Z"}],"provenance":{"work_email":-1}}`, `{"origins":[{"source":"a","at":"yesterday"}],"provenance":{"work_email":0}}`} {
		if s, err := DecodeState(Head{}, []byte(basic), nil); err == nil {
			t.Errorf("%s was taken as %+v", basic, s)
		}
	}
}

// A flat person and its tree say the same, whichever keys there are.
func TestTreeAndBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := yardstick().Fields
		for _, kind := range rapid.SliceOfN(rapid.SampledFrom([]string{"mobile", "work", "home"}), 0, 3).Draw(t, "phones") {
			f["phones["+kind+"]"] = Tree{"kind": kind, "number": "1"}
		}
		for _, id := range rapid.SliceOfN(rapid.StringMatching(`[a-z0-9.é]{1,4}`), 0, 3).Draw(t, "positions") {
			f["positions["+id+"].title"] = "T"
		}
		for leaf := range yardstick().Fields {
			if rapid.Bool().Draw(t, "left out") {
				delete(f, leaf)
			}
		}
		if d := cmp.Diff(f, Flatten(f.Tree())); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
}

func FuzzDecodeState(f *testing.F) {
	_, basic, restricted, err := yardstick().Encode(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(basic, restricted)
	f.Add([]byte(`{"employee":[1,{"a":}]}`), []byte(`{"employee":{"a":{"b":[`))
	f.Fuzz(func(t *testing.T, basic, restricted []byte) {
		_, _ = DecodeState(Head{}, basic, restricted)
		_, _ = ReadHead(basic)
	})
}

// TestDecodeFieldsKeepsWhatIsAsked: of both parts, and what was not said stays so.
func TestDecodeFieldsKeepsWhatIsAsked(t *testing.T) {
	basic := []byte(`{"said":"active","employee":{"name.given":"Ada","name.family":"Lovelace","work_email":null}}`)
	restricted := []byte(`{"employee":{"birth_date":"1815-12-10","compensation.amount":"100.00"}}`)
	for name, c := range map[string]struct {
		keep []string
		want Flat
	}{
		"all":     {nil, Flat{"name.given": "Ada", "name.family": "Lovelace", "work_email": nil, "birth_date": "1815-12-10", "compensation.amount": "100.00"}},
		"some":    {[]string{"work_email", "birth_date", "username"}, Flat{"work_email": nil, "birth_date": "1815-12-10"}},
		"nothing": {[]string{}, Flat{}},
	} {
		var keep func(string) bool
		if c.keep != nil {
			keep = func(leaf string) bool { return slices.Contains(c.keep, leaf) }
		}
		s, err := DecodeFields(Head{}, basic, restricted, keep)
		if err != nil || !cmp.Equal(s.Fields, c.want) || s.Said != "active" {
			t.Errorf("%s: %v, said %q (%v), want %v", name, s.Fields, s.Said, err, c.want)
		}
	}
}
