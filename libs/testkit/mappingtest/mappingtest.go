// Package mappingtest tests the mappings that connectors ship.
package mappingtest

import (
	"testing"

	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/testkit/golden"
)

// Shipped is a connector's own mapping, as an account of the connector's name
// has it. One that does not parse fails the test.
func Shipped(t testing.TB, connector string, src []byte, d mapping.Direction) *mapping.Mapping {
	t.Helper()
	m, problems := mapping.Parse(connector+".yaml", src, mapping.Options{Direction: d, Source: connector})
	for _, p := range problems {
		t.Errorf("%+v", p)
	}
	if m == nil || len(problems) > 0 {
		t.FailNow()
	}
	return m
}

// Cases runs the cases of a mapping to a vendor: `employee.json` in, the body
// `want.json` or the error `want.err` out.
func Cases(t *testing.T, m *mapping.Mapping, glob string) {
	t.Helper()
	golden.Each(t, glob, func(t *testing.T, c golden.Case) {
		got, err := mapping.RunInput(m, c.Archive())
		if !c.WantError(t, "want.err", err) {
			c.Want(t, "want.json", got)
		}
	})
}
