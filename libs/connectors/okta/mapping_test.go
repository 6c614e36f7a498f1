package okta

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/testkit/mappingtest"
)

func shipped(t *testing.T) *mapping.Mapping {
	t.Helper()
	return mappingtest.Shipped(t, "okta", Type.ToVendor, mapping.ToVendor)
}

func TestShippedMapping(t *testing.T) {
	var e employee.Tree
	err := json.Unmarshal([]byte(`{
		"employee_number": "E-10417", "work_email": "zofia.lukasik-zak@brightfjord.example", "personal_email": "zofia@home.example",
		"name": {"given": "Zofia", "family": "Łukasik-Żak", "preferred": "Zosia"}, "birth_date": "1991-02-03",
		"employment": {"status": "active", "type": "full_time"},
		"positions": [
			{"id": "p2", "title": "Trainer"},
			{"id": "p1", "primary": true, "title": "Specjalistka ds. płac", "department": "Payroll", "division": "Finance", "cost_center": "CC-4130", "manager": "emp-9"}
		]}`), &e)
	if err != nil {
		t.Fatal(err)
	}
	got, flags, err := shipped(t).Body(e, mapping.Input{Account: "okta", ID: "emp-1", Ref: func(id string) (string, bool) {
		return "00u-" + id, id == "emp-9"
	}}, time.Now())
	if err != nil || len(flags.WaitsFor) != 0 {
		t.Fatal(err, flags)
	}
	want := map[string]any{"profile": map[string]any{
		"login": "zofia.lukasik-zak@brightfjord.example", "email": "zofia.lukasik-zak@brightfjord.example",
		"firstName": "Zofia", "lastName": "Łukasik-Żak", "nickName": "Zosia", "employeeNumber": "E-10417",
		"title": "Specjalistka ds. płac", "department": "Payroll", "division": "Finance", "costCenter": "CC-4130",
		"managerId": "00u-emp-9", "userType": "full_time",
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestShippedMappingReadsNothingSensitive: Okta is not told what it need not know.
func TestShippedMappingReadsNothingSensitive(t *testing.T) {
	for _, p := range shipped(t).Reads() {
		if c := employee.ClassOf(p, nil); c.Sensitive() {
			t.Errorf("%s is of class %s", p, c)
		}
	}
}
