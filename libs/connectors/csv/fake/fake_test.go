package fake_test

import (
	"errors"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector/fake"
	csvfake "github.com/muster-hr/muster/libs/connectors/csv/fake"
)

// TestDrop: a person lays files down, by name or by the pattern of the account,
// as text or as rows, in the encodings that partners use.
func TestDrop(t *testing.T) {
	now := func() time.Time { return time.Date(2026, 3, 2, 14, 30, 0, 0, time.UTC) }
	v := csvfake.New(fake.Options{Now: now, Settings: map[string]string{"folder": "out", "name": "R_{time}_{sequence}.csv", "delimiter": "semicolon"}})
	rows := []any{map[string]any{"id": "7", "given": "Ünal; A"}}
	for _, c := range []struct {
		args map[string]any
		id   string
		size int
	}{
		{map[string]any{"name": "a.csv", "text": "ü"}, "/out/a.csv", 2},
		{map[string]any{"name": "b.csv", "text": "ü", "encoding": "windows-1252"}, "/out/b.csv", 1},
		{map[string]any{"name": "c.csv", "text": "ü", "encoding": "utf-16le"}, "/out/c.csv", 4},
		{map[string]any{"rows": rows}, "/out/R_20260302T143000Z_000001.csv", len("given;id\r\n\"Ünal; A\";7\r\n")},
		{map[string]any{"rows": rows, "columns": []any{"id"}}, "/out/R_20260302T143000Z_000002.csv", len("id\r\n7\r\n")},
	} {
		got, err := v.Do(t.Context(), "drop", c.args)
		if err != nil || got["id"] != c.id {
			t.Errorf("%v: %v, %v", c.args, got, err)
			continue
		}
		files, _ := v.Log().State()
		if files[c.id]["size"] != c.size {
			t.Errorf("%s: %v, want %d bytes", c.id, files[c.id], c.size)
		}
	}
	if _, err := v.Do(t.Context(), "remove", map[string]any{"name": "a.csv"}); err != nil {
		t.Error(err)
	}
	if files, _ := v.Log().State(); files["/out/a.csv"] != nil || len(files) != 4 {
		t.Errorf("files %v", files)
	}
	for _, bad := range []map[string]any{{"name": "x", "rows": 1}, {"name": "x", "text": "x", "encoding": "ebcdic"}, {"name": "x"}} {
		if _, err := v.Do(t.Context(), "drop", bad); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
	if _, err := v.Do(t.Context(), "hire", nil); !errors.As(err, new(fake.ErrUnknownVerb)) {
		t.Errorf("hire: %v", err)
	}
}
