package scim

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/testkit/mappingtest"
)

func shipped(t *testing.T) *mapping.Mapping {
	t.Helper()
	return mappingtest.Shipped(t, "scim", Type.ToVendor, mapping.ToVendor)
}

func TestShippedMapping(t *testing.T) { mappingtest.Cases(t, shipped(t), "testdata/map/*.txtar") }

// TestMappingOfAnotherExtension: its URN in quotes, as the page says.
func TestMappingOfAnotherExtension(t *testing.T) {
	src := "fields:\n  '\"urn:example:2.0:User\".badge': employee_number\n"
	m, problems := mapping.Parse("more.yaml", []byte(src), mapping.Options{Direction: mapping.ToVendor, Source: "scim", Base: shipped(t)})
	if len(problems) > 0 {
		t.Fatalf("problems: %+v", problems)
	}
	body, _, err := m.Body(employee.Tree{"employee_number": "E-1"}, mapping.Input{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	got, err := leaves(body)
	if err != nil {
		t.Fatal(err)
	}
	var at []string
	for _, l := range got {
		at = append(at, l.target())
	}
	want := []string{"urn:example:2.0:User:badge", schemaEnterprise + ":employeeNumber"}
	if d := cmp.Diff(want, at); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestShippedMappingReadsNothingSensitive: applications are not told what they
// need not know.
func TestShippedMappingReadsNothingSensitive(t *testing.T) {
	for _, p := range shipped(t).Reads() {
		if p == "phones[work].number" || p == "phones[].number" {
			continue // of class basic for the kind work
		}
		if c := employee.ClassOf(p, nil); c.Sensitive() {
			t.Errorf("%s is of class %s", p, c)
		}
	}
}
