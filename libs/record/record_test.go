package record_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

var now = time.Date(2026, 6, 15, 16, 0, 0, 0, time.UTC)

func codec(t testing.TB) (record.Codec, *seal.Memory) {
	t.Helper()
	master, err := seal.ParseMaster(seal.NewMaster())
	if err != nil {
		t.Fatal(err)
	}
	keys := &seal.Memory{}
	s, err := seal.New(context.Background(), keys, master, seal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return record.Codec{Sealer: s, Company: "acme"}, keys
}

// parts opens an envelope to see what is where.
func parts(t testing.TB, c record.Codec, owner string, e event.Event) seal.Envelope {
	t.Helper()
	env, err := c.Sealer.Open(context.Background(), owner, e.ID()+"|"+e.Type(), e.Data(), seal.Basic, seal.Restricted)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

// hidden fails if a text stands in the clear anywhere in a message.
func hidden(t testing.TB, m record.Message, secrets ...string) {
	t.Helper()
	for _, s := range secrets {
		if bytes.Contains(m.Event.Data(), []byte(s)) || strings.Contains(m.Subject+m.Event.ID()+m.Event.Source(), s) {
			t.Errorf("%s stands in the clear", s)
		}
	}
}

func TestReceived(t *testing.T) {
	c, _ := codec(t)
	body := json.RawMessage("{ \"name\" : \"Zo\\u00eb <&>\",\n \"n\": 1.50e1 }")
	r := connector.Record{Key: "k-117", ID: "evt", Event: "hire", Version: connector.Version{Scale: connector.ScaleSequence, Value: "7"}, Partial: true, Body: body}
	m, err := c.Receive(t.Context(), "ats", r, now)
	if err != nil {
		t.Fatal(err)
	}
	if m.Subject != topology.RawRecord("ats", c.Token("ats", "k-117")) {
		t.Errorf("subject = %s", m.Subject)
	}
	hidden(t, m, "k-117", "Zo", "1.50e1")
	env := parts(t, c, c.Token("ats", "k-117"), m.Event)
	if env.Basic != nil || !bytes.Contains(env.Restricted, body) {
		t.Error("the record is not restricted, or its bytes are not intact")
	}
	got, err := c.OpenReceived(t.Context(), c.Token("ats", "k-117"), m.Event)
	if err != nil {
		t.Fatal(err)
	}
	want := record.Received{Source: "ats", Event: "hire", Version: r.Version, Partial: true, AcceptedAt: now, Key: "k-117", Body: body}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if _, err := c.Receive(t.Context(), "ats", connector.Record{Body: json.RawMessage("Zoltan")}, now); err == nil || strings.Contains(err.Error(), "Zoltan") {
		t.Errorf("no JSON: %v", err)
	}
	empty, err := c.Receive(t.Context(), "ats", connector.Record{Key: "1", Deleted: true}, now)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.OpenReceived(t.Context(), c.Token("ats", "1"), empty.Event); err != nil || !got.Deleted || string(got.Body) != "null" {
		t.Errorf("without a body: %+v, %v", got, err)
	}
}

// The id follows from source, key and the vendor's id of the message, and from
// nothing else; the token from account and key.
func TestIDsAreDerived(t *testing.T) {
	c, _ := codec(t)
	ids := map[string]string{}
	for _, r := range []struct {
		source, key, id, body string
		at                    time.Time
	}{
		{"ats", "1", "a", "{}", now}, {"ats", "1", "a", `{"x":1}`, now.Add(time.Hour)}, // equal
		{"ats", "1", "b", "{}", now}, {"ats", "2", "a", "{}", now}, {"hris", "1", "a", "{}", now},
		{"ats", "1a", "", "{}", now}, {"ats1", "", "a", "{}", now},
	} {
		m, err := c.Receive(t.Context(), r.source, connector.Record{Key: r.key, ID: r.id, Body: json.RawMessage(r.body)}, r.at)
		if err != nil {
			t.Fatal(err)
		}
		name := r.source + "/" + r.key + "/" + r.id
		for other, id := range ids {
			if (other == name) != (id == m.Event.ID()) {
				t.Errorf("%s has %s, %s has %s", name, m.Event.ID(), other, id)
			}
		}
		ids[name] = m.Event.ID()
	}
	if c.Token("ats", "1") == c.Token("hris", "1") {
		t.Error("two accounts share the token of a key")
	}
}

func TestLinked(t *testing.T) {
	c, _ := codec(t)
	l := record.Linked{Source: "hris", Employee: "emp", Target: "hris", AcceptedAt: now, Key: "k-117", Sent: map[string]string{"name.given": "hmac-of-it"}}
	m, err := c.Link(t.Context(), l, "delivery-1")
	if err != nil {
		t.Fatal(err)
	}
	hidden(t, m, "k-117", "hmac-of-it")
	if env := parts(t, c, c.Token("hris", "k-117"), m.Event); env.Restricted != nil {
		t.Error("a link needs a restricted key")
	}
	got, err := c.OpenLinked(t.Context(), c.Token("hris", "k-117"), m.Event)
	if d := cmp.Diff(l, got); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	again, err := c.Link(t.Context(), l, "delivery-1")
	if err != nil || again.Event.ID() != m.Event.ID() {
		t.Errorf("a repeat has another id (%v)", err)
	}
}

func TestHint(t *testing.T) {
	c, _ := codec(t)
	m, err := c.Ask(t.Context(), "hris", connector.Record{Key: "k-117", ID: "e", Event: "changed"}, now)
	if err != nil {
		t.Fatal(err)
	}
	hidden(t, m, "k-117")
	if env := parts(t, c, c.Token("hris", "k-117"), m.Event); env.Restricted != nil {
		t.Error("a hint needs a restricted key")
	}
	got, err := c.OpenHint(t.Context(), c.Token("hris", "k-117"), m.Event)
	if d := cmp.Diff(record.Hint{Account: "hris", Event: "changed", At: now, Key: "k-117"}, got); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
}

func TestStatement(t *testing.T) {
	c, keys := codec(t)
	token := c.Token("ats", "k-117")
	s := record.Statement{
		Source: "ats", Employee: "emp", Status: record.StatusApplied, Version: connector.Version{Scale: connector.ScaleTime, Value: "2026-06-15T16:00:00Z"}, Event: "ev", Word: "hire", Raw: 9,
		AcceptedAt: now, StatedAt: now, Conflicts: []record.Conflict{{Path: "name.given", Rule: "lower_rank", Winner: "hris"}}, Seen: []string{"a"}, Sent: map[string]string{"x": "y"}, Config: "c",
		Key: "k-117", Whole: json.RawMessage(`{ "a" : "<Zoltan>" }`), Partials: []json.RawMessage{json.RawMessage(`{ "b":1 }`), json.RawMessage(`[ ]`)},
	}
	m, err := c.State(t.Context(), token, s)
	if err != nil {
		t.Fatal(err)
	}
	hidden(t, m, "k-117", "Zoltan")
	if env := parts(t, c, token, m.Event); env.Basic != nil || !bytes.Contains(env.Restricted, s.Whole) {
		t.Error("the records are not restricted, or their bytes are not intact")
	}
	got, err := c.OpenStatement(t.Context(), token, m.Event)
	if d := cmp.Diff(s, got); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	// The head needs no key.
	keys.Delete(topology.Key("restricted", token))
	s.Key, s.Whole, s.Partials = "", nil, nil
	got, err = record.StatementHead(m.Event)
	if d := cmp.Diff(s, got); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
}

func TestDeadLetter(t *testing.T) {
	c, _ := codec(t)
	token := c.Token("ats", "k-117")
	d := record.DeadLetter{Stage: topology.StageMap, Source: "ats", Event: "ev", Class: "record", Reason: "mapping", Path: "hired", Rule: "date", At: now, Key: "k-117", Body: json.RawMessage(`{ "a" : "<Zoltan>" }`)}
	m, err := c.Bury(t.Context(), token, d)
	if err != nil {
		t.Fatal(err)
	}
	hidden(t, m, "k-117", "Zoltan")
	if m.Subject != topology.DeadLetter("map", "ats", token, "ev") {
		t.Errorf("subject = %s", m.Subject)
	}
	if env := parts(t, c, token, m.Event); env.Basic != nil || string(env.Restricted) != `{"key":"k-117","body":{ "a" : "<Zoltan>" }}` {
		t.Errorf("restricted = %s", env.Restricted)
	}
	d.At = now.Add(time.Hour)
	if again, err := c.Bury(t.Context(), token, d); err != nil || again.Event.ID() != m.Event.ID() || again.Subject != m.Subject {
		t.Errorf("burying twice is two (%v)", err)
	}
	d.Body = json.RawMessage("no json")
	if m, err = c.Bury(t.Context(), token, d); err != nil || string(parts(t, c, token, m.Event).Restricted) != `{"key":"k-117","body":null}` {
		t.Errorf("foreign bytes: %v", err)
	}
	m, err = c.Bury(t.Context(), "emp", record.DeadLetter{Stage: topology.StageDeliver, Target: "okta", Integration: "to-iam", Employee: "emp", Event: "ev"})
	if err != nil || m.Event.Type() != event.DeliveryRejectedV1 || m.Subject != topology.DeadLetter("deliver", "to-iam", "emp", "ev") {
		t.Errorf("of a delivery: %s %s, %v", m.Event.Type(), m.Subject, err)
	}
}

func TestDelivery(t *testing.T) {
	c, _ := codec(t)
	for _, restricted := range []bool{false, true} {
		d := record.Delivery{Target: "okta", Employee: "emp", Event: "ev", Outcome: record.OutcomeApplied, Attempt: 1, At: now, AcceptedAt: now,
			Refs: map[string]string{"id": "00u-ref"}, Body: map[string]any{"n": json.Number("1.50"), "name": "Zoltan"}}
		m, err := c.Deliver(t.Context(), d, restricted)
		if err != nil {
			t.Fatal(err)
		}
		hidden(t, m, "00u-ref", "Zoltan")
		env := parts(t, c, "emp", m.Event)
		if bytes.Contains(env.Basic, []byte("Zoltan")) == restricted || bytes.Contains(env.Restricted, []byte("Zoltan")) != restricted {
			t.Errorf("restricted %v: the body is in the wrong part", restricted)
		}
		got, err := c.OpenDelivery(t.Context(), "emp", m.Event, restricted)
		if d := cmp.Diff(d, got); d != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, d)
		}
		d.Outcome = record.OutcomeIntended
		if i, err := c.Deliver(t.Context(), d, restricted); err != nil || i.Event.Type() != event.DeliveryIntendedV1 || i.Event.ID() == m.Event.ID() {
			t.Errorf("an intent: %v", err)
		}
	}
}

// What cannot be opened is a fault of the record, except a key that is not there.
func TestWhatDoesNotOpen(t *testing.T) {
	c, _ := codec(t)
	token := c.Token("ats", "1")
	m, err := c.Receive(t.Context(), "ats", connector.Record{Key: "1", ID: "1", Body: json.RawMessage(`{"salary":52000}`)}, now)
	if err != nil {
		t.Fatal(err)
	}
	link, err := c.Link(t.Context(), record.Linked{Source: "ats", Key: "1"}, "")
	if err != nil {
		t.Fatal(err)
	}
	altered := m.Event.Clone()
	altered.DataEncoded = append(bytes.Clone(m.Event.Data()[:len(m.Event.Data())-1]), m.Event.Data()[len(m.Event.Data())-1]^1)
	odd := event.New("odd", "/x", event.RecordReceivedV1, nil)
	if odd.DataEncoded, err = c.Sealer.Seal(t.Context(), token, "odd|"+odd.Type(), seal.Envelope{Head: json.RawMessage(`{}`), Restricted: json.RawMessage(`{"key":52000}`)}); err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]event.Event{
		"no envelope": event.New("x", "/x", event.RecordReceivedV1, []byte("hello")), "altered": altered, "another form": odd, "another type": link.Event,
	} {
		_, err := c.OpenReceived(t.Context(), token, e)
		if f := fault.Of(err); f == nil || f.Class != fault.Record || strings.Contains(err.Error(), "52000") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.OpenReceived(t.Context(), c.Token("ats", "2"), m.Event); !errors.Is(err, seal.ErrNoKey) {
		t.Errorf("under another key: %v", err)
	}
}

// A record whose key was erased says so: it is neither foreign nor late.
func TestErased(t *testing.T) {
	master, err := seal.ParseMaster(seal.NewMaster())
	if err != nil {
		t.Fatal(err)
	}
	keys := &seal.Memory{}
	open := func() record.Codec {
		s, err := seal.New(t.Context(), keys, master, seal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return record.Codec{Sealer: s, Company: "acme"}
	}
	c := open()
	m, err := c.Receive(t.Context(), "ats", connector.Record{Key: "1", ID: "1"}, now)
	if err != nil {
		t.Fatal(err)
	}
	keys.Delete(topology.Key("restricted", c.Token("ats", "1")))
	if _, err := open().OpenReceived(t.Context(), c.Token("ats", "1"), m.Event); !errors.Is(err, seal.ErrNoKey) {
		t.Errorf("error = %v", err)
	}
}

// A value that was stored and read again has the token of the fresh one.
func TestValueToken(t *testing.T) {
	c, _ := codec(t)
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.OneOf(
			rapid.Custom(func(t *rapid.T) any { return rapid.String().Draw(t, "text") }),
			rapid.Custom(func(t *rapid.T) any { return rapid.Bool().Draw(t, "bool") }),
			rapid.Custom(func(t *rapid.T) any { return rapid.IntRange(-1e6, 1e6).Draw(t, "int") }),
			rapid.Custom(func(t *rapid.T) any { return rapid.SliceOf(rapid.StringMatching(`[a-zé<]*`)).Draw(t, "texts") }),
			rapid.Custom(func(t *rapid.T) any {
				return map[string]any{"a": rapid.String().Draw(t, "a"), "n": rapid.Int().Draw(t, "n"), "l": []any{rapid.Bool().Draw(t, "l")}}
			}),
		).Draw(t, "value")
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		var stored any
		if err := d.Decode(&stored); err != nil {
			t.Fatal(err)
		}
		if c.ValueToken("phones[work]", v) != c.ValueToken("phones[mobile]", stored) {
			t.Errorf("a stored %T has another token", v)
		}
		if d := cmp.Diff(record.Normal(v), record.Normal(stored)); d != "" {
			t.Errorf("normal forms differ: %s", d)
		}
	})
	if c.ValueToken("name.given", "A") == c.ValueToken("name.family", "A") || c.ValueToken("name.given", "A") == c.ValueToken("name.given", "B") {
		t.Error("tokens do not tell leaves or values apart")
	}
}

// Foreign bytes open as nothing or as an error, never as a panic, and the error
// repeats none of them.
func FuzzOpen(f *testing.F) {
	master, err := seal.ParseMaster(seal.NewMaster())
	if err != nil {
		f.Fatal(err)
	}
	s, err := seal.New(context.Background(), &seal.Memory{}, master, seal.Options{Off: true}) // plain parts, so that forms are reached
	if err != nil {
		f.Fatal(err)
	}
	c := record.Codec{Sealer: s, Company: "acme"}
	m, err := c.Receive(context.Background(), "ats", connector.Record{Key: "1", ID: "1", Body: json.RawMessage(`{"a":1}`)}, now)
	if err != nil {
		f.Fatal(err)
	}
	st, err := c.State(context.Background(), "t", record.Statement{Source: "ats", Whole: json.RawMessage(`{}`), Partials: []json.RawMessage{json.RawMessage(`1`)}})
	if err != nil {
		f.Fatal(err)
	}
	del, err := c.Deliver(context.Background(), record.Delivery{Refs: map[string]string{"a": "b"}, Body: map[string]any{"x": 1}}, true)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{nil, []byte("x"), {1, 0}, {1, 2, '{', '}', 2 | 0x80, 2, '{', '}'}, m.Event.Data(), st.Event.Data(), del.Event.Data()} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e := event.New("id", "/x", "hr.x.v1", data)
		ctx := context.Background()
		for _, open := range []func() error{
			func() error { _, err := c.OpenReceived(ctx, "t", e); return err },
			func() error { _, err := c.OpenLinked(ctx, "t", e); return err },
			func() error { _, err := c.OpenHint(ctx, "t", e); return err },
			func() error { _, err := c.OpenStatement(ctx, "t", e); return err },
			func() error { _, err := record.StatementHead(e); return err },
			func() error { _, err := c.OpenDelivery(ctx, "t", e, true); return err },
		} {
			err := open()
			if err == nil || errors.Is(err, seal.ErrNoKey) {
				continue
			}
			if f := fault.Of(err); f.Class != fault.Record || f.Reason != "envelope" {
				t.Errorf("%v", err)
			}
		}
	})
}

// TestDigest: it stands for the body as encoding/json writes it, which is what
// records of earlier versions stand for.
func TestDigest(t *testing.T) {
	c, _ := codec(t)
	body := map[string]any{"name": "Ada <&> \u2028", "pay": json.Number("1.50"), "list": []any{nil, true, map[string]any{"b": 1.5, "a": "x"}}, "none": nil}
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Digest("okta", body, "active")
	if want := c.Sealer.Token("digest", "okta", string(text), "active"); err != nil || got != want {
		t.Errorf("%s, want %s (%v)", got, want, err)
	}
	if other, _ := c.Digest("okta", body, "leave"); other == got {
		t.Error("another status has the same")
	}
	if _, err := c.Digest("okta", map[string]any{"bad": func() {}}, "active"); err == nil {
		t.Error("what JSON cannot say has a digest")
	}
}
