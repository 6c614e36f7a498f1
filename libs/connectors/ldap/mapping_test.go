package ldap

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/testkit/mappingtest"
)

func shipped(t *testing.T) *mapping.Mapping {
	t.Helper()
	return mappingtest.Shipped(t, "ldap", Type.ToVendor, mapping.ToVendor)
}

func TestShippedMapping(t *testing.T) { mappingtest.Cases(t, shipped(t), "testdata/map/*.txtar") }

// TestMappingOfThePage: what the page says for Active Directory is a mapping,
// and gives what that dialect needs.
func TestMappingOfThePage(t *testing.T) {
	page, err := os.ReadFile("../../../docs/connectors/ldap.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\nfields:")
	block, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("the page has no mapping")
	}
	m, problems := mapping.Parse("ad.yaml", []byte("fields:"+block), mapping.Options{Direction: mapping.ToVendor, Source: "ldap", Base: shipped(t)})
	if len(problems) > 0 {
		t.Fatalf("problems: %+v", problems)
	}
	body, _, err := m.Body(employee.Tree{
		"employee_number": "E-1", "work_email": "Zofia.Żak@x.example", "name": map[string]any{"given": "Zofia", "family": "Żak"},
		"positions": []any{map[string]any{"id": "p", "primary": true, "department": "Payroll"}},
	}, mapping.Input{}, time.Now())
	attributes, _ := body["attributes"].(map[string]any)
	if err != nil || attributes["sAMAccountName"] != "zofia.zak" || attributes["employeeID"] != "E-1" || attributes["uid"] != nil || attributes["ou"] != nil || body["parent"] != "OU=Payroll,OU=Staff,DC=example,DC=com" {
		t.Errorf("%v, %v", body, err)
	}
}

// TestShippedMappingReadsNothingSensitive: a directory is read by every user.
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
