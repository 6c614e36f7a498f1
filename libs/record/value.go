package record

import (
	"encoding/json"
	"slices"

	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/internal/appendjson"
)

// ValueToken stands for a value of a leaf, so that what comes back from a
// vendor can be compared with what was sent without keeping the value.
func (c Codec) ValueToken(leaf string, value any) string {
	b, err := json.Marshal(Normal(value))
	if err != nil {
		return ""
	}
	return c.Sealer.Token("value", employee.Pattern(leaf), string(b))[:13]
}

// Digest stands for what a target is told of a person: the same body with the
// same status has the same.
func (c Codec) Digest(target string, body map[string]any, status string) (string, error) {
	d := newDraft()
	defer d.done()
	text, err := d.add(func(b []byte) ([]byte, error) { return appendjson.Value(b, body) })
	if err != nil {
		return "", err
	}
	return c.Sealer.Token("digest", target, string(text), status), nil
}

// Normal gives a value the form it has after it was stored and read again, so
// that comparing a fresh one with a stored one compares what they mean. Nearly
// all values have it already and are given back as they are.
func Normal(v any) any {
	if isNormal(v) {
		return v
	}
	switch v := v.(type) {
	case []string:
		out := make([]any, len(v))
		for i, s := range v {
			out[i] = s
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = Normal(e)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = Normal(e)
		}
		return out
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return json.Number(b)
}

func isNormal(v any) bool {
	switch v := v.(type) {
	case nil, string, bool, json.Number:
		return true
	case []any:
		return !slices.ContainsFunc(v, func(e any) bool { return !isNormal(e) })
	case map[string]any:
		for _, e := range v {
			if !isNormal(e) {
				return false
			}
		}
		return true
	}
	return false
}
