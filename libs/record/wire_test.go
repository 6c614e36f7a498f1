package record_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
)

// fill draws every field of a struct, whichever there are: one that a writer by
// hand forgets shows.
func fill(t *rapid.T, v reflect.Value) {
	empty := rapid.IntRange(0, 3).Draw(t, "how much") == 0
	switch v.Kind() {
	case reflect.String:
		v.SetString(rapid.OneOf(rapid.String(), rapid.StringOf(rapid.SampledFrom([]rune("a<&\"\\\n\u2028é"))), rapid.Just("")).Draw(t, "text"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Int, reflect.Int64:
		v.SetInt(rapid.Int64Range(-1, 1e12).Draw(t, "int"))
	case reflect.Uint64:
		v.SetUint(rapid.Uint64Range(0, 1<<63).Draw(t, "uint"))
	case reflect.Uint8:
		v.SetUint(uint64(rapid.Byte().Draw(t, "byte")))
	case reflect.Interface:
		v.Set(reflect.ValueOf(rapid.SampledFrom([]any{"x <&>", true, json.Number("1.50"), 7, []any{nil, "a"}, map[string]any{"b": 1.5, "a": []string{"c"}}}).Draw(t, "any")))
	case reflect.Pointer:
		if !empty {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem())
		}
	case reflect.Slice:
		if empty {
			v.Set(rapid.SampledFrom([]reflect.Value{reflect.Zero(v.Type()), reflect.MakeSlice(v.Type(), 0, 0)}).Draw(t, "empty"))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0))
		fill(t, v.Index(1))
	case reflect.Map:
		if empty {
			v.Set(rapid.SampledFrom([]reflect.Value{reflect.Zero(v.Type()), reflect.MakeMap(v.Type())}).Draw(t, "empty"))
			return
		}
		v.Set(reflect.MakeMap(v.Type()))
		for range 3 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(t, key)
			fill(t, value)
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			if !empty {
				v.Set(reflect.ValueOf(time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "s"), rapid.Int64Range(0, 999999999).Draw(t, "ns")).UTC()))
			}
			return
		}
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	default:
		t.Fatalf("no way to fill a %s", v.Type())
	}
}

func drawn[T any](t *rapid.T) (v T) {
	fill(t, reflect.ValueOf(&v).Elem())
	return v
}

// written fails unless got is what encoding/json makes of v.
func written(t *rapid.T, what string, got []byte, v any) {
	t.Helper()
	want, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s\n got %s\nwant %s", what, got, want)
	}
}

// What is written by hand is, to the byte, what the types and their tags say:
// the audit's chain stands on it.
func TestHeadsAreThoseOfTheTags(t *testing.T) {
	c, _ := codec(t)
	rapid.Check(t, func(rt *rapid.T) {
		r := drawn[connector.Record](rt)
		r.Body = json.RawMessage(`{ "a" : "<" }`)
		m, err := c.Receive(t.Context(), "ats", r, now)
		if err != nil {
			rt.Fatal(err)
		}
		env := parts(t, c, c.Token("ats", r.Key), m.Event)
		written(rt, "head of a record", env.Head, record.Received{Source: "ats", Event: r.Event, Version: r.Version, Partial: r.Partial, Deleted: r.Deleted, AcceptedAt: now})
		key, err := json.Marshal(r.Key)
		if err != nil {
			rt.Fatal(err)
		}
		if want := `{"key":` + string(key) + `,"body":{ "a" : "<" }}`; string(env.Restricted) != want {
			rt.Fatalf("record\n got %s\nwant %s", env.Restricted, want)
		}

		s := drawn[record.Statement](rt)
		s.Whole, s.Partials = json.RawMessage(`{"a":1}`), []json.RawMessage{[]byte(`{"b":2}`), []byte(`3`)}[:rapid.IntRange(0, 2).Draw(rt, "partials")]
		if m, err = c.State(t.Context(), "token", s); err != nil {
			rt.Fatal(err)
		}
		env = parts(t, c, "token", m.Event)
		written(rt, "head of a statement", env.Head, s)
		written(rt, "statement", env.Restricted, struct {
			Key      string            `json:"key"`
			Whole    json.RawMessage   `json:"whole,omitempty"`
			Partials []json.RawMessage `json:"partials"`
		}{s.Key, s.Whole, s.Partials})

		d := drawn[record.Delivery](rt)
		d.Employee = "emp" // the owner of a key
		restricted := rapid.Bool().Draw(rt, "restricted")
		if m, err = c.Deliver(t.Context(), d, restricted); err != nil {
			rt.Fatal(err)
		}
		env = parts(t, c, "emp", m.Event)
		written(rt, "head of a delivery", env.Head, d)
		sealedDelivery(rt, d, env, restricted)
	})
}

func sealedDelivery(t *rapid.T, d record.Delivery, env seal.Envelope, restricted bool) {
	type staged struct {
		Keys    []string       `json:"keys,omitempty"`
		Content []byte         `json:"content,omitempty"`
		Before  map[string]any `json:"before,omitempty"`
	}
	type sealed struct {
		Refs   map[string]string `json:"refs,omitempty"`
		Body   map[string]any    `json:"body,omitempty"`
		Tried  *record.Tried     `json:"tried,omitempty"`
		Staged []staged          `json:"staged,omitempty"`
	}
	whole := sealed{Body: d.Body, Tried: d.Tried}
	for _, s := range d.Staged {
		whole.Staged = append(whole.Staged, staged{s.Keys, s.Content, s.Before})
	}
	basic, closed := sealed{Refs: d.Refs}, whole
	if !restricted {
		basic, closed = whole, sealed{}
		basic.Refs = d.Refs
	}
	for _, p := range []struct {
		what string
		got  []byte
		want sealed
	}{{"basic", env.Basic, basic}, {"restricted", env.Restricted, closed}} {
		if p.want.Refs == nil && p.want.Body == nil && p.want.Tried == nil && p.want.Staged == nil {
			if p.got != nil {
				t.Fatalf("%s part of nothing: %s", p.what, p.got)
			}
			continue
		}
		written(t, p.what, p.got, p.want)
	}
}

// A record comes back whatever its key, and what the general decoder makes of a
// sealed part is the measure.
func TestReceivedComesBack(t *testing.T) {
	c, _ := codec(t)
	rapid.Check(t, func(rt *rapid.T) {
		r := connector.Record{Key: rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{`a","body":1`, `\`, `"`, "é", "\x7f", ""})).Draw(rt, "key"), Event: rapid.String().Draw(rt, "event"),
			Partial: rapid.Bool().Draw(rt, "partial"), Deleted: rapid.Bool().Draw(rt, "deleted"), Version: drawn[connector.Version](rt),
			Body: json.RawMessage(rapid.SampledFrom([]string{`{ "a" : [1e5, "\u00e9}"] }`, `null`, `"}"`, ` 1 `}).Draw(rt, "body"))}
		m, err := c.Receive(t.Context(), "ats", r, now)
		if err != nil {
			rt.Fatal(err)
		}
		got, err := c.OpenReceived(t.Context(), c.Token("ats", r.Key), m.Event)
		if err != nil {
			rt.Fatal(err)
		}
		env := parts(t, c, c.Token("ats", r.Key), m.Event)
		var want record.Received
		var sealed struct {
			Key  string          `json:"key"`
			Body json.RawMessage `json:"body"`
		}
		if err := json.Unmarshal(env.Head, &want); err != nil {
			rt.Fatal(err)
		}
		if err := json.Unmarshal(env.Restricted, &sealed); err != nil {
			rt.Fatal(err)
		}
		want.Key, want.Body = sealed.Key, sealed.Body
		if d := cmp.Diff(want, got); d != "" {
			rt.Fatalf("(-want +got):\n%s", d)
		}
	})
}
