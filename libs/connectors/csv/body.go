package csv

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/muster-hr/muster/libs/connector"
)

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// record makes a record of an item: an object by column, or of grouped rows
// {"key", "rows": [objects]}.
func (f *feed) record(t *table, it item, v connector.Version) (connector.Record, error) {
	var body any = f.object(t, it.rows[0])
	if f.rows == grouped {
		rows := make([]map[string]any, len(it.rows))
		for i, r := range it.rows {
			rows[i] = f.object(t, r)
		}
		body = map[string]any{"key": it.key, "rows": rows}
	}
	b, err := json.Marshal(body)
	if err != nil {
		return connector.Record{}, err
	}
	return connector.Record{
		Kind: connector.KindRecord, Key: it.key, ID: sum(append([]byte(v.Value+"\x00"), b...))[:32], Version: v,
		Partial: f.kind == partial, Body: b,
	}, nil
}

// object is one row by column. A cell is text as it stands; the word that
// clears is null, and so is nothing, unless it says nothing.
func (f *feed) object(t *table, fields []string) map[string]any {
	out := make(map[string]any, len(t.columns))
	for _, c := range t.columns {
		switch v := fields[c.at]; {
		case v == "" && !f.cleared:
		case v == "", f.clear != "" && v == f.clear:
			out[c.name] = nil
		default:
			out[c.name] = v
		}
	}
	return out
}
