package greenhouse

import (
	"encoding/json"
	"strconv"
	"strings"
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

// TestNullAnywhere: null in place of any value of a hire, of a group or a list
// too, makes no dead letter of it, nor does the empty list of a group; but for
// the candidate, who names the record.
func TestNullAnywhere(t *testing.T) {
	m := mappingtest.Shipped(t, "greenhouse", Type.FromVendor, mapping.FromVendor)
	w := open(t, map[string]string{"webhook": key}, nil)
	var body map[string]any
	if err := json.Unmarshal(sample(t, "hire_candidate.json"), &body); err != nil {
		t.Fatal(err)
	}
	try := func(path string) {
		t.Helper()
		raw, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		recs, _, err := w.Open(t.Context(), connector.Request{Header: sign(key, raw), Body: raw})
		if err == nil && len(recs) == 1 && recs[0].Kind == connector.KindRecord {
			_, err = m.Observe(recs[0], time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC))
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	var walk func(path string, v any, put func(any))
	walk = func(path string, v any, put func(any)) {
		if !strings.HasPrefix("payload.application.candidate.id", path) {
			put(nil)
			try(path + " is null")
		}
		switch v := v.(type) {
		case map[string]any:
			if strings.HasSuffix(path, "custom_fields") {
				put([]any{})
				try(path + " is []")
			}
			put(v)
			for name, inner := range v {
				walk(strings.TrimPrefix(path+"."+name, "."), inner, func(x any) { v[name] = x })
			}
		case []any:
			put([]any{})
			try(path + " is []")
			put(v)
			for i, inner := range v {
				walk(path+"["+strconv.Itoa(i)+"]", inner, func(x any) { v[i] = x })
			}
		}
		put(v)
	}
	payload, _ := body["payload"].(map[string]any)
	walk("payload", payload, func(x any) { body["payload"] = x })
}
