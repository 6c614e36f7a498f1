package receive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/clock"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/testkit"
	"github.com/muster-hr/muster/libs/topology"
)

// vendor is a webhook whose calls say themselves what is in them.
type vendor struct{ answer connector.Response }

// call is the body of a vendor's call.
type call struct {
	Records []sent `json:"records"`
}

type sent struct {
	Kind connector.Kind  `json:"kind"`
	Key  string          `json:"key"`
	ID   string          `json:"id"`
	Body json.RawMessage `json:"body,omitempty"`
	Raw  string          `json:"raw,omitempty"` // a body that may be no JSON
}

func (v vendor) Open(_ context.Context, r connector.Request) ([]connector.Record, connector.Response, error) {
	if r.Header.Get("Authorization") != "Bearer right" {
		return nil, connector.Response{Header: http.Header{"Www-Authenticate": {"Bearer"}}}, connector.Unauthentic{Reason: "credential"}
	}
	if r.Method == http.MethodGet {
		return []connector.Record{{Kind: connector.KindPing}}, v.answer, nil
	}
	var c call
	if err := json.Unmarshal(r.Body, &c); err != nil {
		return nil, v.answer, &fault.Error{Class: fault.Record, Reason: "json", Err: errors.New("not JSON")}
	}
	var out []connector.Record
	for _, s := range c.Records {
		rec := connector.Record{Kind: s.Kind, Key: s.Key, ID: s.ID, Event: "employee.updated", Body: s.Body}
		if s.Raw != "" {
			rec.Body = json.RawMessage(s.Raw)
		}
		out = append(out, rec)
	}
	return out, v.answer, nil
}

// world is a receiver on a real broker.
type world struct {
	*Receiver
	srv   *bus.Server
	spans *tracetest.SpanRecorder
	log   *bytes.Buffer

	mu     sync.Mutex
	counts map[string]int
}

const noBody = ""

func newWorld(t testing.TB, o bus.Options) *world {
	t.Helper()
	srv := testkit.JetStream(t)
	admin := testkit.Bus(t, srv, bus.Names{Sources: []string{"hr", "own", "paused"}, Targets: []string{"iam"}})
	sealer := newSealer(t)
	if o.Name == "" {
		o.Name = "ingress"
	}
	b := admin
	if o.Queue != 0 || o.Timeout != 0 {
		b = testkit.Connect(t, srv, o)
	}
	w := &world{srv: srv, spans: tracetest.NewSpanRecorder(), log: new(bytes.Buffer), counts: map[string]int{}}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(w.spans))
	w.Receiver = New(Deps{
		Bus: b, Codec: record.Codec{Sealer: sealer, Company: "acme"}, Company: "acme", Config: "c1", Clock: clock.System{},
		Log: slog.New(slog.NewJSONHandler(&locked{w: w.log}, nil)), Tracer: provider.Tracer("test"),
		Count: func(source, code string) { w.mu.Lock(); w.counts[source+" "+code]++; w.mu.Unlock() },
	})
	w.Add("hr", vendor{}, false)
	w.Add("own", vendor{connector.Response{Status: http.StatusOK, Header: http.Header{"X-Vendor": {"yes"}, "Content-Type": {"text/plain"}}, Body: []byte("[accepted]")}}, false)
	w.Add("paused", vendor{}, true)
	return w
}

type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

func newSealer(t testing.TB) *seal.Sealer {
	t.Helper()
	master, err := seal.ParseMaster(seal.NewMaster())
	if err != nil {
		t.Fatal(err)
	}
	s, err := seal.New(t.Context(), &seal.Memory{}, master, seal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// body is a call with records.
func body(t testing.TB, records ...sent) string {
	t.Helper()
	b, err := json.Marshal(call{records})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// post makes an authentic call unless headers say otherwise.
func (w *world) post(path, body string, header ...string) *httptest.ResponseRecorder {
	return w.do(http.MethodPost, path, body, header...)
}

func (w *world) do(method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, bytes.NewReader([]byte(body)))
	r.Header.Set("Authorization", "Bearer right")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	return rec
}

// said reads the ids of an answer.
func said(t testing.TB, r *httptest.ResponseRecorder) []string {
	t.Helper()
	var a struct {
		ID  string   `json:"id"`
		IDs []string `json:"ids"`
	}
	if err := json.Unmarshal(r.Body.Bytes(), &a); err != nil {
		t.Fatalf("answer %d %s: %v", r.Code, r.Body, err)
	}
	if a.IDs == nil || len(a.IDs) > 0 && a.ID != a.IDs[0] {
		t.Fatalf("answer %s", r.Body)
	}
	return a.IDs
}

// stored are all messages of a stream.
func (w *world) stored(t testing.TB, stream string) []bus.In {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
	defer cancel()
	var all []bus.In
	if err := w.Bus.Each(ctx, stream, ">", func(in bus.In) error { all = append(all, in); return nil }); err != nil {
		t.Fatalf("read %s: %v", stream, err)
	}
	return all
}

// empty fails if anything is stored anywhere.
func (w *world) empty(t testing.TB) {
	t.Helper()
	for _, stream := range []string{topology.Raw, topology.Hints, topology.Dead, topology.Audit} {
		if n := len(w.stored(t, stream)); n != 0 {
			t.Errorf("%s holds %d messages, want none", stream, n)
		}
	}
}
