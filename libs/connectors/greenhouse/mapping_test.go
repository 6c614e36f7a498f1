package greenhouse

import (
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/testkit/golden"
	"github.com/muster-hr/muster/libs/testkit/mappingtest"
)

// A web hook goes the whole way: opened, then mapped.
func TestMapping(t *testing.T) {
	m := mappingtest.Shipped(t, "greenhouse", Type.FromVendor, mapping.FromVendor)
	events := []string{"hire_candidate", "unhire_candidate", "update_candidate"}
	w := open(t, map[string]string{"webhook": key}, map[string]any{"events": events})
	golden.Each(t, "testdata/map/*.txtar", func(t *testing.T, c golden.Case) {
		body := c.File("webhook.json")
		recs, _, err := w.Open(t.Context(), connector.Request{Header: sign(key, body), Body: body})
		if err != nil || len(recs) != 1 {
			t.Fatalf("%d records, %v", len(recs), err)
		}
		got, err := m.Observe(recs[0], time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC))
		if !c.WantError(t, "want.err", err) {
			c.Want(t, "want.json", got)
		}
	})
}
