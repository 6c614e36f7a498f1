package event

import (
	"reflect"
	"strings"
	"testing"
	"time"

	ce "github.com/cloudevents/sdk-go/v2/event"
	"pgregory.net/rapid"
)

func TestHeadersComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[!-~äöüŁ☃][ -~äöüŁ"%☃]{0,40}`) // a blank id is none
		e := New(text.Draw(t, "id"), "/muster/acme/ingress", EmployeeHiredV1, rapid.SliceOf(rapid.Byte()).Draw(t, "data"))
		e.SetSubject(text.Draw(t, "subject"))
		e.SetTime(time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "time"), 12345).UTC())
		e.SetExtension("sequence", "00000000000000000042")
		e.SetDataSchema("https://example.org/a.json")
		e.SetDataContentType("application/json")
		h := Header(e)
		for name, v := range h {
			if name != strings.ToLower(name) || strings.ContainsFunc(v[0], func(r rune) bool { return r <= ' ' || r > '~' || r == '"' }) {
				t.Fatalf("header %q: %q", name, v)
			}
		}
		got, err := Read(h, e.DataEncoded)
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != e.String() || got.ID() != e.ID() || got.Subject() != e.Subject() || !got.Time().Equal(e.Time()) {
			t.Fatalf("got %s, want %s", got, e)
		}
	})
}

func TestEncodingFollowsTheBinding(t *testing.T) {
	e := New(`Euro € 😀 "50%"`, "/s", "t", nil)
	if got, want := Header(e)["ce-id"][0], "Euro%20%E2%82%AC%20%F0%9F%98%80%20%2250%25%22"; got != want {
		t.Errorf("ce-id = %s, want %s", got, want)
	}
}

// A plain path is taken as the general parser takes it.
func TestSourceIsThatOfTheParser(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		source := rapid.OneOf(rapid.String(), rapid.StringMatching(`/{0,2}[a-zA-Z0-9./_%:?# -]{0,20}`)).Draw(t, "source")
		want := ce.New(ce.CloudEventsVersionV1)
		want.SetID("1")
		want.SetType("t")
		want.SetSource(source)
		got := New("1", source, "t", nil)
		if !reflect.DeepEqual(got.Context, want.Context) || len(got.FieldErrors) != len(want.FieldErrors) || sourceOf(got) != want.Source() {
			t.Fatalf("%q: got %v, want %v", source, got, want)
		}
		if valid(got) && want.Validate() != nil {
			t.Fatalf("%q counts as valid: %v", source, want.Validate())
		}
	})
}

func TestReadRefuses(t *testing.T) {
	valid := func() map[string][]string {
		return map[string][]string{"ce-specversion": {"1.0"}, "ce-id": {"1"}, "ce-source": {"/s"}, "ce-type": {"t"}}
	}
	for _, c := range []struct {
		name   string
		change func(map[string][]string)
		says   string
	}{
		{"no event at all", func(h map[string][]string) { delete(h, "ce-specversion") }, "specversion is missing"},
		{"an old version", func(h map[string][]string) { h["ce-specversion"] = []string{"0.1"} }, "want 1.0"},
		{"no id", func(h map[string][]string) { delete(h, "ce-id") }, "not a valid CloudEvent"},
		{"no type", func(h map[string][]string) { delete(h, "ce-type") }, "not a valid CloudEvent"},
		{"structured mode", func(h map[string][]string) { h["Content-Type"] = []string{"application/cloudevents+json"} }, "structured mode"},
		{"half an escape", func(h map[string][]string) { h["ce-id"] = []string{"a%2"} }, "two hex digits"},
		{"no hex", func(h map[string][]string) { h["ce-id"] = []string{"a%zz"} }, "two hex digits"},
		{"no time", func(h map[string][]string) { h["ce-time"] = []string{"yesterday"} }, "RFC 3339"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := valid()
			c.change(h)
			if _, err := Read(h, nil); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("Read = %v, want %q", err, c.says)
			}
		})
	}
	h := map[string][]string{"CE-SpecVersion": {"1.0"}, "Ce-Id": {"1"}, "CE-SOURCE": {"/s"}, "ce-type": {"t"}}
	if _, err := Read(h, nil); err != nil {
		t.Errorf("names in another case: %v", err)
	}
}

func TestVerb(t *testing.T) {
	for typ, want := range map[string]string{EmployeeHiredV1: "hired", EmployeeLeaveStartedV1: "leave_started", "hr.training.completed.v1": "completed", "x": "x"} {
		if got := Verb(typ); got != want {
			t.Errorf("Verb(%s) = %s, want %s", typ, got, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("ce-id", "a%20b", []byte("{}"))
	f.Add("CE-Time", "2026-01-01T00:00:00Z", []byte(nil))
	f.Add("CE-0", "", []byte("0"))
	f.Add("ce-dataschema", "%%%", []byte("x"))
	f.Fuzz(func(t *testing.T, name, value string, data []byte) {
		e, err := Read(map[string][]string{"ce-specversion": {"1.0"}, "ce-id": {"1"}, "ce-source": {"/s"}, "ce-type": {"t"}, name: {value}}, data)
		if err != nil {
			return
		}
		again, err := Read(Header(e), data)
		if err != nil || again.String() != e.String() {
			t.Errorf("what was read cannot be written and read again: %v", err)
		}
	})
}
