package mapping

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

func TestBadPaths(t *testing.T) {
	for text, at := range map[string]int{
		"": 0, "a.": 2, "a..b": 2, ".a": 0, "a b": 1, "a[": 1, "a[]": 1, `"a`: 0, `""`: 0, "a[0]b": 4, "$": 0, "$.a": 0,
		"a[=x]": 1, "a[in_force:]": 1, "a[99999999]": 1, "a{b": 1, "a\x00": 1, "a\xff": 1,
	} {
		p, err := parsePath(text)
		if err == nil {
			t.Errorf("%q is taken as %+v", text, p.segs)
		} else if err.at != at {
			t.Errorf("%q fails at %d (%s), want %d", text, err.at, err.why, at)
		}
	}
}

// TestPathFindsWhatIsThere: a path of any names, quoted, finds the value put
// there and nothing when a name is missing.
func TestPathFindsWhatIsThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfN(rapid.StringMatching(`[^"\x00-\x1f]{1,8}`), 1, 5).Draw(t, "names")
		var v any = "found"
		text := ""
		for i := len(names) - 1; i >= 0; i-- {
			v = map[string]any{names[i]: v}
			if text = `"` + names[i] + `".` + text; i == len(names)-1 {
				text = text[:len(text)-1]
			}
		}
		p, err := parsePath(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got, st := walk(v, p.segs, ""); st != said || got != "found" {
			t.Fatalf("%s finds %v, %d", text, got, st)
		}
		if _, st := walk(map[string]any{}, p.segs, ""); st != absent {
			t.Fatalf("%s finds something in nothing", text)
		}
	})
}

func TestDaysAgreeWithTheCalendar(t *testing.T) {
	for d, want := range map[string]bool{"2024-02-29": true, "2023-02-29": false, "2000-02-29": true, "1900-02-29": false, "2026-12-31": true,
		"2026-13-01": false, "2026-00-10": false, "0000-00-00": false, "2026-1-01": false, "2026-01-0x": false, "": false} {
		if validDay(d) != want {
			t.Errorf("validDay(%q) is %v", d, !want)
		}
	}
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{"a.b[0].c", `"First Name".value`, "a[t=work][1]", `a["x y"!="z]"].b`, "a[in_force:date].x", "a[*].b", "$event", "$record.a", "positions[primary].title", "national_ids[US/ssn]"} {
		f.Add(s, `{"a": [{"b": [1], "t": "work", "date": "2026-01-01"}]}`)
	}
	f.Fuzz(func(t *testing.T, text, body string) {
		p, err := parsePath(text)
		if err != nil {
			if err.at < 0 || err.at > len(text) || err.why == "" {
				t.Fatalf("%q fails at %d: %q", text, err.at, err.why)
			}
			return
		}
		var v any
		if json.Unmarshal([]byte(body), &v) == nil {
			walk(v, p.segs, "2026-07-01")
		}
	})
}
