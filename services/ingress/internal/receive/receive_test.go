package receive

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// TestAnswersThatStoreNothing is the surface's table: what is refused, and
// what is taken and not kept.
func TestAnswersThatStoreNothing(t *testing.T) {
	w := newWorld(t, bus.Options{})
	one := body(t, sent{Kind: connector.KindRecord, Key: "117", ID: "1", Body: json.RawMessage(`{"a":1}`)})
	large := strings.Repeat("x", bodyLimit+1)
	for _, c := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		code, wants              string // of the error; a header that must be there
	}{
		{"unknown source", "POST", "/webhooks/nobody", one, nil, 404, "unknown_source", ""},
		{"another method", "PUT", "/webhooks/hr", one, nil, 405, "method", "Allow"},
		{"paused", "POST", "/webhooks/paused", one, nil, 503, "paused", "Retry-After"},
		{"paused, whoever calls", "POST", "/webhooks/paused", one, []string{"Authorization", "wrong"}, 503, "paused", "Retry-After"},
		{"not authentic", "POST", "/webhooks/hr", one, []string{"Authorization", "Bearer wrong"}, 401, "not_authentic", "Www-Authenticate"},
		{"too large, before anybody verifies", "POST", "/webhooks/hr", large, []string{"Authorization", "Bearer wrong"}, 413, "too_large", ""},
		{"a ping", "GET", "/webhooks/hr", noBody, nil, 202, "", ""},
		{"the vendor's answer to a ping", "GET", "/webhooks/own", noBody, nil, 200, "", "X-Vendor"},
		{"ping and ignored", "POST", "/webhooks/hr", body(t, sent{Kind: connector.KindPing}, sent{Kind: connector.KindIgnored}), nil, 202, "", ""},
		{"nothing in it", "POST", "/webhooks/hr", body(t), nil, 202, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := w.do(c.method, c.path, c.body, c.header...)
			if got.Code != c.status {
				t.Fatalf("status %d, want %d: %s", got.Code, c.status, got.Body)
			}
			if c.wants != "" && got.Header().Get(c.wants) == "" {
				t.Errorf("no header %s", c.wants)
			}
			if c.code != "" {
				var e struct {
					Error struct{ Code, Message string }
				}
				if err := json.Unmarshal(got.Body.Bytes(), &e); err != nil || e.Error.Code != c.code || e.Error.Message == "" {
					t.Errorf("answer %s, want the code %s (%v)", got.Body, c.code, err)
				}
			}
			if c.code == "" && strings.HasSuffix(c.path, "/hr") && len(said(t, got)) != 0 {
				t.Errorf("ids %s of nothing", got.Body)
			}
		})
	}
	w.empty(t)
	for counted, want := range map[string]int{"- 404": 1, "hr 405": 1, "paused 503": 2, "hr 401": 1, "hr 413": 1, "own 200": 1} {
		if w.counts[counted] != want {
			t.Errorf("%s counted %d times, want %d", counted, w.counts[counted], want)
		}
	}
}

// TestBodyThatBreaksOff is 400: the vendor's client went away, or lied about
// the length.
func TestBodyThatBreaksOff(t *testing.T) {
	w := newWorld(t, bus.Options{})
	for _, announced := range []int64{100, -1} {
		r := httptest.NewRequest("POST", "/webhooks/hr", io.MultiReader(strings.NewReader(`{"rec`), broken{}))
		r.ContentLength = announced
		rec := httptest.NewRecorder()
		w.ServeHTTP(rec, r)
		if rec.Code != http.StatusBadRequest {
			t.Errorf("announced %d: status %d, want 400", announced, rec.Code)
		}
	}
	w.empty(t)
}

// TestAnnouncedLength: memory is taken for what came, not for what somebody says
// will come.
func TestAnnouncedLength(t *testing.T) {
	w := newWorld(t, bus.Options{})
	var most stingy
	r := httptest.NewRequest("POST", "/webhooks/hr", &most)
	r.ContentLength = bodyLimit
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	if rec.Code != http.StatusBadRequest || most == 0 || most > bodyLimit/10 {
		t.Errorf("status %d; room for %d bytes when none had come", rec.Code, most)
	}
}

// stingy sends nothing and keeps how much it might have sent at once.
type stingy int

func (s *stingy) Read(b []byte) (int, error) {
	*s = max(*s, stingy(len(b)))
	return 0, io.ErrUnexpectedEOF
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestStored: records go to RAW with their bytes intact, hints to HINTS, in one
// call; the ids said are the ids stored, and a repeat says the same.
func TestStored(t *testing.T) {
	w := newWorld(t, bus.Options{})
	odd := `{ "name" : "Zo\u0119",` + "\n\t" + `"big":12345678901234567890, "e":"é" , "a":1,"a":2}`
	b := `{"records":[{"kind":"record","key":"117","id":"1","body":` + odd + `},{"kind":"ignored"},{"kind":"hint","key":"118","id":"2"},{"kind":"record","key":"117","id":"3","body":null}]}`
	got := w.post("/webhooks/hr", b)
	if got.Code != http.StatusAccepted || got.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("status %d, %v", got.Code, got.Header())
	}
	ids := said(t, got)
	if len(ids) != 3 {
		t.Fatalf("ids %v, want 3", ids)
	}
	raw, hints := w.stored(t, topology.Raw), w.stored(t, topology.Hints)
	if len(raw) != 2 || len(hints) != 1 {
		t.Fatalf("%d in RAW and %d in HINTS, want 2 and 1", len(raw), len(hints))
	}
	if !slices.Equal([]string{raw[0].Event.ID(), hints[0].Event.ID(), raw[1].Event.ID()}, ids) {
		t.Error("the ids said are not those stored, in the order of the call")
	}
	token := w.Codec.Token("hr", "117")
	if want := topology.RawRecord("hr", token); raw[0].Subject != want || raw[1].Subject != want {
		t.Errorf("subjects %s, %s, want %s", raw[0].Subject, raw[1].Subject, want)
	}
	rec, err := w.Codec.OpenReceived(t.Context(), token, raw[0].Event)
	if err != nil {
		t.Fatal(err)
	}
	if string(rec.Body) != odd || rec.Key != "117" || rec.Source != "hr" || rec.AcceptedAt.IsZero() {
		t.Errorf("record of %s: %s\nwant the bytes\n%s", rec.Key, rec.Body, odd)
	}
	hint, err := w.Codec.OpenHint(t.Context(), topology.Last(hints[0].Subject), hints[0].Event)
	if err != nil || hint.Key != "118" {
		t.Errorf("hint %+v, %v", hint, err)
	}

	again := said(t, w.post("/webhooks/hr", b))
	if !slices.Equal(again, ids) {
		t.Errorf("a repeat says %v, want %v", again, ids)
	}
	if n := len(w.stored(t, topology.Dead)) + len(w.stored(t, topology.Audit)); n != 0 {
		t.Errorf("%d messages elsewhere", n)
	}
}

// TestVendorsOwnAnswer is given only when what came is stored.
func TestVendorsOwnAnswer(t *testing.T) {
	w := newWorld(t, bus.Options{})
	got := w.post("/webhooks/own", body(t, sent{Kind: connector.KindHint, Key: "1", ID: "1"}))
	if got.Code != 200 || got.Body.String() != "[accepted]" || got.Header().Get("X-Vendor") != "yes" || got.Header().Get("Content-Type") != "text/plain" {
		t.Errorf("%d %s %v", got.Code, got.Body, got.Header())
	}
	if len(w.stored(t, topology.Hints)) != 1 {
		t.Error("the hint is not stored")
	}
}

// TestUnreadable: an authentic call that nobody can read is a success for the
// vendor and a dead letter for us, also when it is as large as may be; a repeat
// is the same letter. One that the bus cannot take is told of by its size. A
// record that is no JSON does not take the others along.
func TestUnreadable(t *testing.T) {
	w := newWorld(t, bus.Options{})
	for _, b := range []string{"{zofia", strings.Repeat("\xff", keptLimit), strings.Repeat("\xff", bodyLimit)} {
		first, again := w.post("/webhooks/hr", b), w.post("/webhooks/hr", b)
		if first.Code != http.StatusAccepted || again.Code != http.StatusAccepted {
			t.Fatalf("status %d, %d: %s", first.Code, again.Code, first.Body)
		}
		if ids := said(t, first); len(ids) != 1 || !slices.Equal(ids, said(t, again)) {
			t.Errorf("ids %v, then %v", ids, said(t, again))
		}
	}
	got := w.post("/webhooks/hr", body(t, sent{Kind: connector.KindRecord, Key: "1", ID: "1", Raw: "<zofia/>"}, sent{Kind: connector.KindRecord, Key: "2", ID: "2", Body: json.RawMessage("{}")}))
	if got.Code != http.StatusAccepted || len(said(t, got)) != 2 {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	letters, raw := w.stored(t, topology.Dead), w.stored(t, topology.Raw)
	if len(letters) != 4 || len(raw) != 1 {
		t.Fatalf("%d dead letters, %d records; want 4 and 1", len(letters), len(raw))
	}
	if head, err := seal.Head(letters[2].Event.Data()); err != nil || !bytes.Contains(head, []byte(`"rule":"1000000 bytes, not kept"`)) {
		t.Errorf("head %s, %v", head, err)
	}
	head, err := seal.Head(letters[0].Event.Data())
	if err != nil || !bytes.Contains(head, []byte(`"reason":"json"`)) || !bytes.Contains(head, []byte(`"class":"record"`)) {
		t.Errorf("head %s, %v", head, err)
	}
	owner := topology.Token(letters[0].Subject, 4)
	env, err := w.Codec.Sealer.Open(t.Context(), owner, letters[0].Event.ID()+"|"+letters[0].Event.Type(), letters[0].Event.Data(), seal.Restricted)
	if err != nil || !bytes.Contains(env.Restricted, []byte(base64.StdEncoding.EncodeToString([]byte("{zofia")))) {
		t.Errorf("the call is not in the letter: %s, %v", env.Restricted, err)
	}
}

// TestTooLargeForTheBus: a record that its connector made larger than the call
// it came in would never be stored, however often the vendor sends it: it is a
// dead letter with the call in it.
func TestTooLargeForTheBus(t *testing.T) {
	w := newWorld(t, bus.Options{})
	w.Add("wordy", wordy{}, false)
	first, again := w.post("/webhooks/wordy", "{}"), w.post("/webhooks/wordy", "{}")
	if ids := said(t, first); first.Code != http.StatusAccepted || len(ids) != 2 || !slices.Equal(ids, said(t, again)) {
		t.Fatalf("%d %s, then %s", first.Code, first.Body, again.Body)
	}
	letters := w.stored(t, topology.Dead)
	if len(letters) != 1 || len(w.stored(t, topology.Hints)) == 0 {
		t.Fatalf("%d dead letters and %d hints, want 1 and the other of the call", len(letters), len(w.stored(t, topology.Hints)))
	}
	head, err := seal.Head(letters[0].Event.Data())
	if err != nil || !bytes.Contains(head, []byte(`"reason":"too_large"`)) {
		t.Errorf("head %s, %v", head, err)
	}
}

// TestLargeCall: a call that tells of many people is a message for each, also
// where it is larger than what could be kept of it as a whole.
func TestLargeCall(t *testing.T) {
	w := newWorld(t, bus.Options{})
	many := make([]sent, 850)
	for i := range many {
		many[i] = sent{Kind: connector.KindRecord, Key: fmt.Sprint(i), ID: "1", Body: json.RawMessage(`"` + strings.Repeat("x", 1<<10) + `"`)}
	}
	call := body(t, many...)
	if len(call) <= keptLimit || len(call) > bodyLimit {
		t.Fatalf("%d bytes", len(call))
	}
	first, again := w.post("/webhooks/hr", call), w.post("/webhooks/hr", call)
	if first.Code != http.StatusAccepted || len(said(t, first)) != len(many) || !slices.Equal(said(t, first), said(t, again)) {
		t.Fatalf("status %d, then %d", first.Code, again.Code)
	}
	there := map[string]bool{}
	for _, in := range w.stored(t, topology.Raw) {
		there[in.Event.ID()] = true
	}
	if letters := w.stored(t, topology.Dead); len(there) != len(many) || len(letters) != 0 {
		t.Fatalf("%d records, %d dead letters", len(there), len(letters))
	}
}

// wordy finds a record and a hint in every call.
type wordy struct{}

func (wordy) Open(context.Context, connector.Request) ([]connector.Record, connector.Response, error) {
	long := json.RawMessage(`"` + strings.Repeat("x", record.Limit) + `"`)
	return []connector.Record{{Kind: connector.KindRecord, Key: "1", ID: "1", Body: long}, {Kind: connector.KindHint, Key: "2", ID: "2"}}, connector.Response{}, nil
}

// TestTrace: a call is a trace of its own with one send per message; the
// vendor's traceparent is linked and never adopted, and no span or log line
// holds a value.
func TestTrace(t *testing.T) {
	w := newWorld(t, bus.Options{})
	const theirs = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	one := body(t, sent{Kind: connector.KindRecord, Key: "Zofia-117", ID: "1", Body: json.RawMessage(`{"firstName":"Zofia"}`)}, sent{Kind: connector.KindHint, Key: "Zofia-117", ID: "2"})
	if got := w.post("/webhooks/hr?name=Zofia", one, "Traceparent", theirs); got.Code != 202 {
		t.Fatal(got.Code)
	}
	w.post("/webhooks/hr?name=Zofia", "{Zofia", "Traceparent", "Zofia")
	w.post("/webhooks/hr?name=Zofia", one, "Authorization", "Zofia")

	spans := w.spans.Ended()
	if len(spans) != 4 {
		t.Fatalf("%d spans, want a server span and two sends, and a server span: a call that is refused has none", len(spans))
	}
	var root trace.SpanContext
	for _, s := range spans {
		if s.SpanKind() == trace.SpanKindServer && !root.IsValid() {
			root = s.SpanContext()
			if s.Parent().IsValid() || len(s.Links()) != 1 || s.Links()[0].SpanContext.TraceID().String() != theirs[3:35] || root.TraceID().String() == theirs[3:35] {
				t.Errorf("the root has parent %v and links %v", s.Parent(), s.Links())
			}
		}
	}
	sends := map[string]bool{}
	for _, s := range spans {
		if s.SpanKind() == trace.SpanKindProducer {
			sends[s.Name()] = s.Parent().SpanID() == root.SpanID()
		}
		for _, text := range append([]string{s.Name(), s.Status().Description}, fmt.Sprint(s.Attributes())) {
			if strings.Contains(text, "Zofia") {
				t.Errorf("span %s tells %s", s.Name(), text)
			}
		}
	}
	if !sends["send hr.raw.{source}.{key}"] || !sends["send hr.hint.{account}.{key}"] {
		t.Errorf("sends below the root: %v", sends)
	}
	if in := w.stored(t, topology.Raw); len(in) != 1 || !strings.Contains(in[0].Traceparent, root.TraceID().String()) {
		t.Error("the message does not carry the call's trace")
	}
	if strings.Contains(w.log.String(), "Zofia") || !strings.Contains(w.log.String(), "refused") {
		t.Errorf("log: %s", w.log)
	}
}

// TestBrokerAway: while nothing can be stored the answer is "later", with the
// reason in the span; what was accepted before is still there after.
func TestBrokerAway(t *testing.T) {
	w := newWorld(t, bus.Options{Timeout: 300 * time.Millisecond})
	call := func(id string) *httptest.ResponseRecorder {
		return w.post("/webhooks/hr", body(t, sent{Kind: connector.KindRecord, Key: id, ID: id, Body: json.RawMessage(`{}`)}))
	}
	ids := said(t, call("1"))
	w.srv.Shutdown()
	got := call("2")
	if got.Code != 503 || got.Header().Get("Retry-After") == "" {
		t.Fatalf("without a broker: %d %v", got.Code, got.Header())
	}
	if got := w.post("/webhooks/hr", "{unreadable"); got.Code != 503 {
		t.Fatalf("an unreadable call without a broker: %d", got.Code)
	}
	last := w.spans.Ended()[len(w.spans.Ended())-1]
	if last.Status().Code != codes.Error {
		t.Errorf("span status %v", last.Status())
	}
	if err := w.srv.Restart(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for got = call("3"); got.Code == 503 && time.Now().Before(deadline); got = call("3") {
		_ = w.Bus.Ping(t.Context()) // waits for the broker, at most the timeout of a request
	}
	ids = append(ids, said(t, got)...)
	w.holds(t, ids)
}

// TestQueueFull: more calls than may wait are told to come later, the others
// are stored.
func TestQueueFull(t *testing.T) {
	w := newWorld(t, bus.Options{Queue: 2})
	var many []sent
	for i := range 5 {
		many = append(many, sent{Kind: connector.KindRecord, Key: fmt.Sprint(i), ID: "1", Body: json.RawMessage(`{}`)})
	}
	busy := false
	for range 50 { // the committer may be as fast as one call fills its queue
		got := w.post("/webhooks/hr", body(t, many...))
		if got.Code != 202 && got.Code != 503 {
			t.Fatalf("status %d", got.Code)
		}
		busy = busy || got.Code == 503
	}
	if !busy {
		t.Error("nobody was told to come later")
	}
	got := w.post("/webhooks/hr", body(t, many[0]))
	for got.Code == 503 { // until the queue has emptied
		got = w.post("/webhooks/hr", body(t, many[0]))
	}
	w.holds(t, said(t, got))
}

// holds fails unless every id is stored in RAW.
func (w *world) holds(t *testing.T, ids []string) {
	t.Helper()
	there := map[string]bool{}
	for _, in := range w.stored(t, topology.Raw) {
		there[in.Event.ID()] = true
	}
	for _, id := range ids {
		if !there[id] {
			t.Errorf("%s was accepted and is not in RAW", id)
		}
	}
}
