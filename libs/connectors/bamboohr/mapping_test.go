package bamboohr

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/testkit/golden"
	"github.com/muster-hr/muster/libs/testkit/mappingtest"
)

// A webhook or an answer of the API goes the whole way: opened, then mapped.
// Hints have nothing to map.
func TestFromVendor(t *testing.T) {
	m := mappingtest.Shipped(t, "bamboohr", Type.FromVendor, mapping.FromVendor)
	golden.Each(t, "testdata/map/from/*.txtar", func(t *testing.T, c golden.Case) {
		clock := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
		if c.Has("clock") {
			var err error
			if clock, err = time.Parse(time.RFC3339, strings.TrimSpace(string(c.File("clock")))); err != nil {
				t.Fatal(err)
			}
		}
		recs, err := records(t, c, clock)
		if err != nil {
			t.Fatal(err)
		}
		var got []mapping.Observation
		for _, rec := range recs {
			if rec.Kind != connector.KindRecord {
				continue
			}
			o, err := m.Observe(rec, clock)
			if c.WantError(t, "want.err", err) {
				return
			}
			got = append(got, o)
		}
		c.Want(t, "want.json", got)
	})
}

func records(t *testing.T, c golden.Case, clock time.Time) ([]connector.Record, error) {
	t.Helper()
	if c.Has("answer.json") {
		return answers{}.OpenAnswer(c.File("answer.json"), clock)
	}
	body, kind := c.File("webhook.json"), "application/json"
	if body == nil {
		body, kind = bytes.TrimSpace(c.File("webhook.form")), formType
	}
	recs, _, err := hook(t, nil).Open(t.Context(), connector.Request{Header: signed(kind, body), Body: body, Now: clock})
	return recs, err
}

func TestToVendor(t *testing.T) {
	m := mappingtest.Shipped(t, "bamboohr", Type.ToVendor, mapping.ToVendor)
	mappingtest.Cases(t, m, "testdata/map/to/*.txtar")
}

// Every field that the shipped mapping reads by its API name is asked for.
func TestDefaultFieldsAreThoseOfTheMapping(t *testing.T) {
	src := string(Type.FromVendor)
	for _, name := range defaultFields {
		if !strings.Contains(src, name) {
			t.Errorf("%s is read from every employee and never mapped", name)
		}
	}
}
