package x12_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/muster-hr/muster/libs/connectors/edi834/x12"
)

func samples(t testing.TB) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../testdata/vendor/*.edi")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	out := map[string]string{}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(f)] = string(raw)
	}
	return out
}

// TestSamples: every sample is whole, with line breaks, without, and with those
// of Windows.
func TestSamples(t *testing.T) {
	for name, text := range samples(t) {
		for form, s := range map[string]string{"lf": text, "none": strings.ReplaceAll(text, "\n", ""), "crlf": strings.ReplaceAll(text, "\n", "\r\n")} {
			all, err := x12.Parse([]byte(s))
			if err != nil || len(all) != 1 || !all[0].Whole() {
				t.Errorf("%s, %s: %v, %d interchanges", name, form, err, len(all))
				continue
			}
			got := all[0]
			if !slices.Contains([]string{"ALPINEHR", "NORTHWIND"}, got.Sender()) || got.Sep != (x12.Separators{Element: '*', Component: ':', Repetition: '^', Segment: '~'}) {
				t.Errorf("%s: sender %q, separators %v", name, got.Sender(), got.Sep)
			}
		}
	}
	two, err := x12.Parse([]byte(samples(t)["add.edi"] + samples(t)["ack-ta1-rejected.edi"]))
	if err != nil || len(two) != 2 || two[1].TA1[0].At(5) != "025" {
		t.Errorf("two in a file: %v, %v", two, err)
	}
}

// TestWrong: each break of the envelope has its code.
func TestWrong(t *testing.T) {
	add := samples(t)["add.edi"]
	for _, c := range []struct{ what, old, new, isa, group, set string }{
		{"numbers", "IEA*1*000000101", "IEA*1*000000102", x12.NumbersDiffer, "", ""},
		{"groups", "IEA*1*", "IEA*2*", x12.BadGroupCount, "", ""},
		{"sign", "IEA*1*", "IEA*+1*", x12.BadGroupCount, "", ""},
		{"version", "*00501*", "*00401*", x12.BadVersion, "", ""},
		{"number", "000000101", "00000010X", x12.BadNumber, "", ""},
		{"group number", "GE*1*101", "GE*1*102", "", x12.GroupNumbers, ""},
		{"sets", "GE*1*", "GE*2*", "", x12.GroupCount, ""},
		{"no GE", "GE*1*101~\n", "", "", x12.GroupTrailer, ""},
		{"segments", "SE*41*", "SE*40*", "", "", x12.SetCount},
		{"set number", "SE*41*0001", "SE*41*0002", "", "", x12.SetNumbers},
		{"no SE", "SE*41*0001~\n", "", "", "", x12.SetTrailer},
	} {
		all, err := x12.Parse([]byte(strings.ReplaceAll(add, c.old, c.new)))
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		i := all[0]
		got := []string{strings.Join(i.Wrong, " "), strings.Join(i.Groups[0].Wrong, " "), strings.Join(i.Groups[0].Sets[0].Wrong, " ")}
		if want := []string{c.isa, c.group, c.set}; !slices.Equal(got, want) || i.Whole() {
			t.Errorf("%s: %q, want %q", c.what, got, want)
		}
	}
	for _, c := range []struct{ what, text, code string }{
		{"empty", "", x12.Truncated},
		{"cut", add[:len(add)/2], x12.Truncated},
		{"another format", strings.Replace(add, "ISA", "UNB", 1), x12.Truncated},
		{"a letter separates", strings.ReplaceAll(add, "*", "A"), x12.BadSeparator},
		{"two meanings", strings.Replace(add, "*T*:~", "*T*^~", 1), x12.BadSeparator},
		{"narrow id", strings.Replace(add, "ALPINEHR  ", "ALPINEHR ", 1), x12.BadSeparator},
		{"a separator within", strings.Replace(add, "ALPINEHR  ", "ALPINEHR* ", 1), x12.BadContent},
		{"no GS", strings.Replace(add, "GS*BE", "XX*BE", 1), x12.BadControl},
		{"no ST", strings.Replace(add, "ST*834", "XX*834", 1), x12.BadControl},
	} {
		_, err := x12.Parse([]byte(c.text))
		if x, ok := errors.AsType[*x12.Error](err); !ok || x.Code != c.code {
			t.Errorf("%s: %v, want %s", c.what, err, c.code)
		}
	}
}

// FuzzParse: foreign bytes never panic, and what was read has the segments that
// stand there: written again and read again it is the same.
func FuzzParse(f *testing.F) {
	for _, text := range samples(f) {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := x12.Parse(data)
		for _, i := range all {
			again, err := x12.Parse(i.Text)
			if err != nil || len(again) != 1 || again[0].Number() != i.Number() || len(again[0].Groups) != len(i.Groups) || len(again[0].TA1) != len(i.TA1) {
				t.Fatalf("read again it is another: %v", err)
			}
			for n, g := range i.Groups {
				for m, s := range g.Sets {
					if len(s.Segments) != len(again[0].Groups[n].Sets[m].Segments) || s.Segments[0].ID() != "ST" {
						t.Fatal("another set")
					}
				}
			}
		}
		if _, ours := errors.AsType[*x12.Error](err); err != nil && !ours {
			t.Fatalf("error of another kind: %v", err)
		}
	})
}
