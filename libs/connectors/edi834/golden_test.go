package edi834

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/testkit/golden"
	"github.com/muster-hr/muster/libs/testkit/mappingtest"
)

func shipped(t testing.TB) *mapping.Mapping {
	t.Helper()
	return mappingtest.Shipped(t, "edi834", Type.ToVendor, mapping.ToVendor)
}

// fileCase is case.json of testdata/file: who is in a file, and what is not of
// the carrier's example.
type fileCase struct {
	Sample   string         `json:"sample"` // of testdata/vendor that comes out; "": want.edi
	Number   int64          `json:"number"`
	At       time.Time      `json:"at"`
	Settings map[string]any `json:"settings"`
	People   []struct {
		ID        string `json:"id"`
		Before    string `json:"before"` // sections with canonical people
		After     string `json:"after"`
		Effective string `json:"effective"`
	} `json:"people"`
}

// TestFiles: canonical people become a carrier's file byte for byte, through the
// shipped mapping, Piece and Build.
func TestFiles(t *testing.T) {
	golden.Each(t, "testdata/file/*.txtar", func(t *testing.T, c golden.Case) {
		var in fileCase
		c.JSON(t, "case.json", &in)
		var kv []any
		for name, v := range in.Settings {
			if m, ok := v.(map[string]any); ok {
				table := map[string]string{}
				for k, text := range m {
					table[k], _ = text.(string)
				}
				v = table
			}
			if n, ok := v.(json.Number); ok {
				whole, _ := n.Int64()
				v = int(whole)
			}
			kv = append(kv, name, v)
		}
		f := carrier(t, kv...)
		f.Now = func() time.Time { return in.At }
		m := shipped(t)
		var pieces []connector.Piece
		for i, who := range in.People {
			d := connector.Delivery{ID: who.ID, Effective: who.Effective, Body: mapped(t, m, c, who.After)}
			if who.Before != "" {
				d.Before = mapped(t, m, c, who.Before)
			}
			p, err := f.Piece(d)
			if c.WantError(t, "want.err", err) {
				return
			}
			if p.Content == nil {
				t.Logf("person %d is not in it", i)
				continue
			}
			pieces = append(pieces, p)
		}
		file, err := f.Build(connector.Numbering{Number: in.Number, At: in.At}, pieces)
		if err != nil {
			t.Fatal(err)
		}
		if in.Sample == "" {
			c.Want(t, "want.edi", membersOf(file))
			return
		}
		want, err := os.ReadFile(filepath.Join("testdata", "vendor", in.Sample))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(file.Parts[0].Content); got != string(want) {
			t.Errorf("%s differs (-want +got):\n%s", in.Sample, cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")))
		}
	})
}

// membersOf are the members of a file: what stands between the header and SE.
func membersOf(file connector.File) string {
	lines := strings.SplitAfter(string(file.Parts[0].Content), "\n")
	var out strings.Builder
	for _, l := range lines {
		if strings.HasPrefix(l, "INS") || out.Len() > 0 {
			if strings.HasPrefix(l, "SE*") {
				break
			}
			out.WriteString(l)
		}
	}
	return out.String()
}

// mapped is the body that the shipped mapping makes of a section.
func mapped(t *testing.T, m *mapping.Mapping, c golden.Case, section string) map[string]any {
	t.Helper()
	if !c.Has(section) {
		t.Fatalf("there is no section %s", section)
	}
	got, err := mapping.RunInput(m, &txtar.Archive{Files: []txtar.File{{Name: "employee.json", Data: c.File(section)}}})
	if err != nil {
		t.Fatal(err)
	}
	body, _ := got.(map[string]any)
	return body
}
