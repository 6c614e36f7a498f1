package traces

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	wire "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/telemetry"
)

func text(key, v string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: v}}}
}

// request is what one service exports: spans of the given trace numbers.
func request(service string, traces ...int) *collector.ExportTraceServiceRequest {
	var spans []*wire.Span
	for i, n := range traces {
		spans = append(spans, &wire.Span{
			TraceId: fmt.Appendf(nil, "%016d", n), SpanId: fmt.Appendf(nil, "%08d", i+1), Name: "work",
			StartTimeUnixNano: uint64(1000 + i), EndTimeUnixNano: uint64(2000 + i), Kind: wire.Span_SPAN_KIND_CONSUMER,
		})
	}
	return &collector.ExportTraceServiceRequest{ResourceSpans: []*wire.ResourceSpans{{
		Resource:   &resource.Resource{Attributes: []*common.KeyValue{text("service.name", service)}},
		ScopeSpans: []*wire.ScopeSpans{{Spans: spans}},
	}}}
}

type fataler interface{ Fatal(args ...any) }

func encode(t fataler, m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func post(s *Store, body []byte, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/v1/traces", bytes.NewReader(body))
	r.Header.Set("Content-Type", protobuf)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// Real services with real exporters: one trace over two of them arrives whole.
func TestAChangeIsOneTrace(t *testing.T) {
	store := NewStore(Limits{})
	server := httptest.NewServer(store)
	defer server.Close()
	open := func(name string) *telemetry.Telemetry {
		tel, err := telemetry.Open(t.Context(), telemetry.Options{Service: name, ConsoleOTLP: server.URL})
		if err != nil {
			t.Fatal(err)
		}
		return tel
	}
	ingress, delivery := open("ingress"), open("delivery-okta")
	ctx, root := ingress.Tracer().Start(t.Context(), "POST /webhooks/{source}", trace.WithSpanKind(trace.SpanKindServer))
	sending, send := telemetry.StartSend(ctx, ingress.Tracer(), telemetry.Message{Stream: "RAW", Template: "hr.raw.{source}.{key}", ID: "ev"})
	earlier := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	_, process := telemetry.StartProcess(telemetry.Extract(t.Context(), telemetry.Traceparent(sending)), delivery.Tracer(),
		telemetry.Message{Stream: "PEOPLE", Template: "hr.employee.{id}", ID: "ev2"}, telemetry.Links(t.Context(), earlier),
		attribute.Int("n", 7), attribute.StringSlice("fields", []string{"name.given"}))
	telemetry.End(process, fault.New(fault.Throttled, "rate_limited", "slow down"))
	telemetry.End(send, nil)
	telemetry.End(root, nil)
	for _, tel := range []*telemetry.Telemetry{ingress, delivery} {
		if err := tel.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Fatal(err)
		}
	}

	got, ok := store.Get(root.SpanContext().TraceID().String())
	if !ok || len(got.Spans) != 3 {
		t.Fatalf("trace: %v %+v", ok, got)
	}
	want := []struct{ name, kind, service, parent, status string }{
		{"POST /webhooks/{source}", "server", "ingress", "", "unset"},
		{"send hr.raw.{source}.{key}", "producer", "ingress", root.SpanContext().SpanID().String(), "unset"},
		{"process hr.employee.{id}", "consumer", "delivery-okta", send.SpanContext().SpanID().String(), "error"},
	}
	for i, w := range want {
		s := got.Spans[i]
		if s.Name != w.name || s.Kind != w.kind || s.Service != w.service || s.ParentID != w.parent || s.Status != w.status || s.Attributes["service.name"] != w.service {
			t.Errorf("span %d: %+v\nwant %+v", i, s, w)
		}
		if s.Start.IsZero() || s.End.Before(s.Start) {
			t.Errorf("span %d: from %v to %v", i, s.Start, s.End)
		}
	}
	last := got.Spans[2]
	if last.Reason != "rate_limited" || last.Attributes["messaging.destination.name"] != "PEOPLE" || last.Attributes["messaging.operation.type"] != "process" ||
		last.Attributes["n"] != 7.0 || fmt.Sprint(last.Attributes["fields"]) != "[name.given]" {
		t.Errorf("attributes: %+v", last)
	}
	if len(last.Links) != 1 || last.Links[0] != (Link{"0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"}) {
		t.Errorf("links: %v", last.Links)
	}
	recent := store.Recent(10)
	if len(recent) != 1 || recent[0].Name != "POST /webhooks/{source}" || fmt.Sprint(recent[0].Services) != "[delivery-okta ingress]" || !recent[0].Failed {
		t.Errorf("recent: %+v", recent)
	}
}

func TestServeHTTPRefuses(t *testing.T) {
	good := encode(t, request("ingress", 1))
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(good)
	_ = z.Close()
	var bomb bytes.Buffer
	z = gzip.NewWriter(&bomb)
	_, _ = z.Write(make([]byte, maxBody+1))
	_ = z.Close()
	tests := []struct {
		name   string
		body   []byte
		header []string
		want   int
	}{
		{"good", good, nil, 200},
		{"good with parameters", good, []string{"Content-Type", protobuf + "; charset=utf-8"}, 200},
		{"empty", nil, nil, 200},
		{"gzip", zipped.Bytes(), []string{"Content-Encoding", "gzip"}, 200},
		{"not gzip", good, []string{"Content-Encoding", "gzip"}, 400},
		{"gzip cut short", zipped.Bytes()[:zipped.Len()-6], []string{"Content-Encoding", "gzip"}, 400},
		{"gzip that grows", bomb.Bytes(), []string{"Content-Encoding", "gzip"}, 413},
		{"unknown coding", good, []string{"Content-Encoding", "br"}, 415},
		{"garbage", []byte("\xff\xff\xff garbage"), nil, 400},
		{"json", []byte("{}"), []string{"Content-Type", "application/json"}, 415},
		{"no type", good, []string{"Content-Type", ""}, 415},
		{"too large", make([]byte, maxBody+1), nil, 413},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := post(NewStore(Limits{}), tt.body, tt.header...).Code; got != tt.want {
				t.Errorf("answered %d, want %d", got, tt.want)
			}
		})
	}
}

func TestSpansWithoutIdsAreCountedAsRejected(t *testing.T) {
	req := request("ingress", 1, 1, 1, 1)
	spans := req.ResourceSpans[0].ScopeSpans[0].Spans
	spans[0].TraceId = nil
	spans[1].SpanId = make([]byte, 8)
	spans[2].SpanId = []byte("long-span-id")
	s := NewStore(Limits{})
	w := post(s, encode(t, req))
	var answer collector.ExportTraceServiceResponse
	if err := proto.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	if got := answer.GetPartialSuccess().GetRejectedSpans(); got != 3 {
		t.Errorf("rejected %d, want 3", got)
	}
	if _, n := s.Len(); n != 1 {
		t.Errorf("kept %d, want 1", n)
	}
}

func TestOddValuesBecomeJSON(t *testing.T) {
	req := request("ingress", 1)
	span := req.ResourceSpans[0].ScopeSpans[0].Spans[0]
	span.StartTimeUnixNano, span.EndTimeUnixNano = math.MaxUint64, math.MaxUint64
	span.Kind, span.Status = 99, &wire.Status{Code: 77}
	list := &common.AnyValue{}
	for range 10 { // deeper than any of ours
		list = &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: []*common.AnyValue{list}}}}
	}
	span.Attributes = []*common.KeyValue{
		{Key: "nan", Value: &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: math.NaN()}}},
		{Key: "list", Value: list}, {Key: "none"}, text("long", strings.Repeat("é", 5000)),
	}
	s := NewStore(Limits{})
	if w := post(s, encode(t, req)); w.Code != 200 {
		t.Fatalf("answered %d", w.Code)
	}
	got, _ := s.Get(fmt.Sprintf("%x", fmt.Sprintf("%016d", 1)))
	if len(got.Spans) != 1 {
		t.Fatalf("kept %+v", got)
	}
	if _, err := json.Marshal(got); err != nil {
		t.Fatal(err)
	}
	if sp := got.Spans[0]; sp.Attributes["nan"] != "NaN" || len(sp.Attributes["long"].(string)) > maxText+4 || sp.Kind != "internal" || sp.Status != "unset" {
		t.Errorf("span %+v", sp)
	}
}

// Whatever is added, the store stays within its limits and gives whole traces,
// the newest ones.
func TestTheStoreIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Limits{
			Traces: rapid.IntRange(1, 6).Draw(t, "traces"), Spans: rapid.IntRange(1, 20).Draw(t, "spans"),
			PerTrace: rapid.IntRange(1, 5).Draw(t, "per trace"), Bytes: rapid.IntRange(300, 8000).Draw(t, "bytes"),
		}
		s := NewStore(l)
		for _, n := range rapid.SliceOfN(rapid.IntRange(1, 12), 0, 80).Draw(t, "spans of traces") {
			spans, _, err := decode(encode(t, request("x", n)))
			if err != nil {
				t.Fatal(err)
			}
			s.add(spans)
			if len(s.traces) > l.Traces || s.spans > l.Spans || s.bytes > l.Bytes {
				t.Fatalf("%d traces, %d spans, %d bytes: above %+v", len(s.traces), s.spans, s.bytes, l)
			}
			spanCount, byteCount := 0, 0
			for _, kept := range s.traces {
				spanCount += len(kept)
				for i := range kept {
					byteCount += kept[i].size()
				}
				if len(kept) > l.PerTrace {
					t.Fatalf("%d spans of one trace", len(kept))
				}
			}
			if spanCount != s.spans || byteCount != s.bytes || len(s.order)-s.head != len(s.traces) {
				t.Fatalf("the books are wrong: %d/%d spans, %d/%d bytes, %d/%d traces", s.spans, spanCount, s.bytes, byteCount, len(s.order)-s.head, len(s.traces))
			}
		}
		if got := s.Recent(100); len(got) != len(s.traces) {
			t.Fatalf("%d of %d traces are listed", len(got), len(s.traces))
		}
	})
}

// The oldest trace goes first, and with it all its spans.
func TestTheOldestTraceGoesWhole(t *testing.T) {
	s := NewStore(Limits{Traces: 2})
	for _, n := range []int{1, 2, 1, 3} {
		post(s, encode(t, request("x", n)))
	}
	if _, ok := s.Get(fmt.Sprintf("%x", fmt.Sprintf("%016d", 1))); ok {
		t.Error("the oldest trace is still there")
	}
	for _, n := range []int{2, 3} {
		if _, ok := s.Get(fmt.Sprintf("%x", fmt.Sprintf("%016d", n))); !ok {
			t.Errorf("trace %d is gone", n)
		}
	}
	for _, bad := range []string{"", "xyz", strings.Repeat("g", 32), strings.Repeat("0", 33)} {
		if _, ok := s.Get(bad); ok {
			t.Errorf("Get(%q) found something", bad)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	s := NewStore(Limits{Traces: 50, Spans: 300})
	var wg sync.WaitGroup
	for g := range 8 {
		body := make([][]byte, 40)
		for i := range body {
			body[i] = encode(t, request(fmt.Sprint("s", g), i, i+1, i+2))
		}
		wg.Go(func() {
			for i, b := range body {
				if w := post(s, b); w.Code != 200 {
					t.Errorf("answered %d", w.Code)
				}
				s.Get(fmt.Sprintf("%x", fmt.Sprintf("%016d", i)))
				s.Recent(5)
				s.Len()
			}
		})
	}
	wg.Wait()
	if traces, spans := s.Len(); traces == 0 || traces > 50 || spans > 300 {
		t.Fatalf("%d traces, %d spans", traces, spans)
	}
}

// FuzzReceive: whatever arrives is answered 200 or refused, never a panic, and
// what is kept can be shown.
func FuzzReceive(f *testing.F) {
	f.Add(encode(f, request("ingress", 1, 2)), false)
	f.Add([]byte("\x0a\x02\x0a\x00"), true)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, body []byte, zipped bool) {
		s := NewStore(Limits{Traces: 4, Spans: 16})
		var header []string
		if zipped {
			header = []string{"Content-Encoding", "gzip"}
		}
		if code := post(s, body, header...).Code; code != 200 && code != 400 && code != 413 {
			t.Fatalf("answered %d", code)
		}
		for _, sum := range s.Recent(10) {
			tr, ok := s.Get(sum.TraceID)
			if !ok {
				t.Fatalf("a listed trace is not there: %s", sum.TraceID)
			}
			if _, err := json.Marshal(tr); err != nil {
				t.Fatal(err)
			}
			for _, span := range tr.Spans {
				if span.Start.Before(time.Unix(0, 0)) {
					t.Fatalf("a span before 1970: %v", span.Start)
				}
			}
		}
	})
}

// A few kilobytes must not fill the memory of a process that the whole hub may
// run in: a body of empty spans is the cheapest to send.
func TestEmptySpansTakeLittle(t *testing.T) {
	const spans = 2 << 20
	scope := bytes.Repeat([]byte{spansField<<3 | 2, 0}, spans)
	inner := protowire.AppendBytes([]byte{scopeSpans<<3 | 2}, scope)
	var body bytes.Buffer
	z := gzip.NewWriter(&body)
	if _, err := z.Write(protowire.AppendBytes([]byte{resourceSpans<<3 | 2}, inner)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	s := NewStore(Limits{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	w := post(s, body.Bytes(), "Content-Encoding", "gzip")
	runtime.ReadMemStats(&after)
	if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 100 {
		t.Errorf("%d bytes took %d MiB", body.Len(), took)
	}
	var answer collector.ExportTraceServiceResponse
	if err := proto.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.GetPartialSuccess().GetRejectedSpans() != spans {
		t.Errorf("%d rejected (%v)", answer.GetPartialSuccess().GetRejectedSpans(), err)
	}
	large := request("ingress", 1)
	large.ResourceSpans[0].ScopeSpans[0].Spans[0].Name = strings.Repeat("x", maxSpan)
	if w := post(s, encode(t, large)); w.Code != http.StatusOK {
		t.Errorf("a span that is too large: %d", w.Code)
	}
	if traces, _ := s.Len(); traces != 0 {
		t.Errorf("%d traces were kept", traces)
	}
}
