package mapping_test

import (
	"os"
	"testing"

	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/testkit/golden"
)

func load(t testing.TB, file string, o mapping.Options) *mapping.Mapping {
	t.Helper()
	src, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	m, problems := mapping.Parse(file, src, o)
	for _, p := range problems {
		t.Error(p)
	}
	if m == nil {
		t.FailNow()
	}
	return m
}

func TestCases(t *testing.T) {
	for vendor, o := range map[string]mapping.Options{
		"greenhouse": {Source: "greenhouse"},
		"bamboohr":   {Source: "bamboohr"},
		"okta":       {Direction: mapping.ToVendor, Source: "okta"},
	} {
		t.Run(vendor, func(t *testing.T) {
			m := load(t, vendor+".yaml", o)
			golden.Each(t, "testdata/"+vendor+"/*.txtar", func(t *testing.T, c golden.Case) {
				got, err := mapping.RunInput(m, c.Archive())
				if !c.WantError(t, "want.err", err) {
					c.Want(t, "want.json", got)
				}
				if err := mapping.RunCase(m, c.Archive()); err != nil {
					t.Errorf("RunCase disagrees: %v", err)
				}
			})
		})
	}
}
