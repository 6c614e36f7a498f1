package employee

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestReadHeadIsWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String()
		want := Head{
			ID: text.Draw(t, "id"), Version: rapid.Uint64Max(1<<53).Draw(t, "version"), Status: text.Draw(t, "status"),
			Source: text.Draw(t, "source"), Event: text.Draw(t, "event"), Initial: rapid.Bool().Draw(t, "initial"),
			AcceptedAt: time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "s"), rapid.Int64Range(0, 999999999).Draw(t, "ns")).UTC(),
			Config:     text.Draw(t, "config"),
		}
		if rapid.Bool().Draw(t, "changed") {
			want.Changed = rapid.SliceOfN(text, 1, 4).Draw(t, "patterns")
			want.Contains = rapid.MapOf(text, rapid.Uint64Max(1<<53)).Draw(t, "contains")
		}
		b, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		// What the general decoder makes of it is the measure: it replaces malformed text too.
		if err := json.Unmarshal(b, &want); err != nil {
			t.Fatal(err)
		}
		got, err := ReadHead(b)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	})
}

func TestReadHeadRefuses(t *testing.T) {
	for _, head := range []string{"", "null", "7", "[]", "{", `{"id":1}`, `{"version":"1"}`, `{"changed":"a"}`, `{"changed":[1]}`,
		`{"initial":"x"}`, `{"accepted_at":"yesterday"}`, `{"accepted_at":1}`, `{"contains":[]}`, `{"contains":{"a":"b"}}`, `{"status":null}`} {
		if h, err := ReadHead([]byte(head)); err == nil {
			t.Errorf("%s was taken as %+v", head, h)
		}
	}
	if h, err := ReadHead([]byte(`{"id":"e1","new":{"a":[1]}}`)); err != nil || h.ID != "e1" {
		t.Errorf("a member of a newer version: %v", err)
	}
}
