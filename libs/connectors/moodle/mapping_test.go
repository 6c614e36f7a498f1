package moodle

import (
	"testing"

	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/testkit/golden"
	"github.com/muster-hr/muster/libs/testkit/mappingtest"
)

func shipped(t *testing.T) *mapping.Mapping {
	t.Helper()
	return mappingtest.Shipped(t, "moodle", Type.ToVendor, mapping.ToVendor)
}

func TestShippedMapping(t *testing.T) { mappingtest.Cases(t, shipped(t), "testdata/map/*.txtar") }

// TestCompanyMapping: what a company adds arrives as the form that Moodle reads.
func TestCompanyMapping(t *testing.T) {
	golden.Each(t, "testdata/company/*.txtar", func(t *testing.T, c golden.Case) {
		m, problems := mapping.Parse("moodle.yaml", c.File("moodle.yaml"), mapping.Options{Direction: mapping.ToVendor, Source: "moodle", Base: shipped(t)})
		if len(problems) > 0 {
			t.Fatalf("problems: %+v", problems)
		}
		body, err := mapping.RunInput(m, c.Archive())
		if err != nil {
			t.Fatal(err)
		}
		b, _ := body.(map[string]any)
		want, err := fieldsOf(b)
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, p := range want.said().form().below("users", 0) {
			text += p.key + "=" + p.value + "\n"
		}
		for _, name := range []string{bodyCohorts, bodyCourses} {
			words, err := list(b, name)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range words {
				text += name + ": " + w + "\n"
			}
			if _, said := b[name]; said && len(words) == 0 {
				text += name + ": none\n"
			}
		}
		c.Want(t, "want.form", text)
	})
}

// TestShippedMappingReadsNothingSensitive: an LMS is not told what it need not know.
func TestShippedMappingReadsNothingSensitive(t *testing.T) {
	for _, p := range shipped(t).Reads() {
		if c := employee.ClassOf(p, nil); c.Sensitive() {
			t.Errorf("%s is of class %s", p, c)
		}
	}
}
