package gusto

import (
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/testkit/golden"
	"github.com/muster-hr/muster/libs/testkit/mappingtest"
)

func TestToVendor(t *testing.T) {
	m := mappingtest.Shipped(t, "gusto", Type.ToVendor, mapping.ToVendor)
	mappingtest.Cases(t, m, "testdata/map/to/*.txtar")
}

func TestFromVendor(t *testing.T) {
	m := mappingtest.Shipped(t, "gusto", Type.FromVendor, mapping.FromVendor)
	golden.Each(t, "testdata/map/from/*.txtar", func(t *testing.T, c golden.Case) {
		got, err := m.Observe(connector.Record{
			Kind: connector.KindRecord, Key: "c6a0b1de", Body: c.File("record.json"),
			Version: connector.Version{Scale: connector.ScaleRead, Value: "2026-03-02T09:00:00Z"},
		}, time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
		if !c.WantError(t, "want.err", err) {
			c.Want(t, "want.json", got)
		}
	})
}

// TestNothingIsReadThatPayNeedsNot: of the demographic fields only the birth
// date goes, and no phone.
func TestNothingIsReadThatPayNeedsNot(t *testing.T) {
	for _, p := range mappingtest.Shipped(t, "gusto", Type.ToVendor, mapping.ToVendor).Reads() {
		c := employee.ClassOf(p, nil)
		if c == employee.Demographic && p != "birth_date" || c == employee.Benefit || strings.HasPrefix(p, "phones") {
			t.Errorf("%s (%s) is read", p, c)
		}
	}
}
