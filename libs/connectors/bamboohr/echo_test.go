package bamboohr

import (
	"encoding/json"
	"reflect"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/testkit/mappingtest"
)

// What we write comes back as what we meant: the echo of our own create changes
// nothing, whether the person has started or not.
func TestWhatIsWrittenComesBackEqual(t *testing.T) {
	a, err := txtar.ParseFile("testdata/map/to/create.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var person employee.Tree
	if err := json.Unmarshal(a.Files[0].Data, &person); err != nil {
		t.Fatal(err)
	}
	from, to := mappingtest.Shipped(t, "bamboohr", Type.FromVendor, mapping.FromVendor), mappingtest.Shipped(t, "bamboohr", Type.ToVendor, mapping.ToVendor)
	for hire, status := range map[string]string{"2026-04-01": employee.PreHire, "2026-01-05": employee.Active} {
		spell := person["employment"].(map[string]any)
		spell["hire_date"], spell["original_hire_date"], spell["status"] = hire, hire, status
		body, flags, err := to.Body(person, mapping.Input{ID: ours}, now)
		if err != nil || len(flags.WaitsFor) > 0 {
			t.Fatal(flags, err)
		}
		g := newTarget(t, nil)
		receipt := g.apply(connector.Delivery{ID: ours, Status: status, Body: body})
		rec, err := reading(t, g.Remote, map[string]any{"our_id_field": ourField}).Read(t.Context(), receipt.Key)
		if err != nil {
			t.Fatal(err)
		}
		if got := decode(t, rec.Body)[ourField]; got != ours {
			t.Errorf("our id comes back as %v", got)
		}
		o, err := from.Observe(rec, now)
		if err != nil {
			t.Fatal(err)
		}
		back := employee.Flatten(o.Fields)
		for path, want := range employee.Flatten(person) {
			switch path {
			case "id", "positions[primary].manager", "compensation.amount", "compensation.currency", "compensation.period":
				continue // not written
			}
			if !reflect.DeepEqual(back[path], want) {
				t.Errorf("hired on %s: %s comes back as %v, want %v", hire, path, back[path], want)
			}
		}
		if pay, said := back["compensation.amount"]; said {
			t.Errorf("pay that was never written comes back as %v", pay)
		}
	}
}
