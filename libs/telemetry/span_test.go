package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/fault"
)

func recorded(t *testing.T, service string) (*Telemetry, *tracetest.SpanRecorder) {
	t.Helper()
	rec := tracetest.NewSpanRecorder()
	tel, err := Open(t.Context(), Options{Service: service, Processors: []sdktrace.SpanProcessor{rec}})
	if err != nil {
		t.Fatal(err)
	}
	return tel, rec
}

// Two services of one process, each with its provider: the message carries the
// trace from one to the other.
func TestOneTraceAcrossTwoServices(t *testing.T) {
	ingress, sent := recorded(t, "ingress")
	transform, processed := recorded(t, "transform")

	m := Message{Stream: "RAW", Template: "hr.raw.{source}.{key}", ID: "ev-1"}
	ctx, send := StartSend(t.Context(), ingress.Tracer(), m)
	header := Traceparent(ctx)
	End(send, nil)

	earlier := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	m.Consumer, m.Attempt = "transform", 2
	_, process := StartProcess(Extract(t.Context(), header), transform.Tracer(), m, Links(t.Context(), earlier, "garbage"))
	End(process, nil)

	s, p := sent.Ended()[0], processed.Ended()[0]
	if p.SpanContext().TraceID() != s.SpanContext().TraceID() || p.Parent().SpanID() != s.SpanContext().SpanID() || !p.Parent().IsRemote() {
		t.Fatalf("process is not the child of send: parent %v, send %v", p.Parent(), s.SpanContext())
	}
	if s.Name() != "send hr.raw.{source}.{key}" || s.SpanKind() != trace.SpanKindProducer ||
		p.Name() != "process hr.raw.{source}.{key}" || p.SpanKind() != trace.SpanKindConsumer {
		t.Errorf("names and kinds: %s %s, %s %s", s.Name(), s.SpanKind(), p.Name(), p.SpanKind())
	}
	if len(p.Links()) != 1 || p.Links()[0].SpanContext.SpanID().String() != "b7ad6b7169203331" {
		t.Errorf("links: %v", p.Links())
	}
	for span, service := range map[sdktrace.ReadOnlySpan]string{s: "ingress", p: "transform"} {
		if v, _ := span.Resource().Set().Value("service.name"); v.AsString() != service {
			t.Errorf("service.name %q, want %q", v.AsString(), service)
		}
	}
	want := map[attribute.Key]string{
		"messaging.system": "nats", "messaging.operation.type": "process", "messaging.operation.name": "process",
		"messaging.destination.name": "RAW", "messaging.destination.template": "hr.raw.{source}.{key}",
		"messaging.message.id": "ev-1", "messaging.consumer.group.name": "transform", "muster.attempt": "2",
	}
	got := map[attribute.Key]string{}
	for _, a := range p.Attributes() {
		got[a.Key] = a.Value.String()
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("attributes\n got %v\nwant %v", got, want)
	}
}

// A trace that is not kept goes on from service to service as it came, costs no
// span, and stays one trace.
func TestATraceThatIsLeftOut(t *testing.T) {
	tel, rec := recorded(t, "transform")
	const header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	m := Message{Stream: "RAW", Template: "hr.raw.{source}.{key}", ID: "ev-1"}
	ctx, process := StartProcess(Extract(t.Context(), header), tel.Tracer(), m, nil)
	sending, send := StartSend(ctx, tel.Tracer(), m)
	if got := Traceparent(sending); got != header {
		t.Errorf("sent on as %q, want %q", got, header)
	}
	_, call := tel.Tracer().Start(sending, "call")
	if sc := call.SpanContext(); sc.IsSampled() || sc.TraceID().String() != header[3:35] {
		t.Errorf("a span below it: %v", sc)
	}
	call.End()
	End(send, errors.New("x"))
	End(process, nil)
	if n := len(rec.Started()); n != 0 {
		t.Errorf("%d spans were recorded", n)
	}
}

func TestEndKeepsTheReasonAndNotTheText(t *testing.T) {
	tests := []struct {
		err    error
		code   codes.Code
		reason string
	}{
		{nil, codes.Unset, ""},
		{fault.New(fault.Done, "exists", "Ada Planted exists"), codes.Unset, ""},
		{fmt.Errorf("create: %w", fault.New(fault.Record, "schema", "salary Ada Planted is not a number")), codes.Error, "schema"},
		{errors.New("Ada Planted"), codes.Error, "unclassified"},
	}
	for _, tt := range tests {
		tel, rec := recorded(t, "x")
		_, span := tel.Tracer().Start(t.Context(), "work")
		End(span, tt.err)
		got := rec.Ended()[0]
		if got.Status().Code != tt.code || got.Status().Description != tt.reason {
			t.Errorf("End(%v): status %v", tt.err, got.Status())
		}
		if dump := fmt.Sprintf("%+v", tracetest.SpanStubFromReadOnlySpan(got)); strings.Contains(dump, "Planted") {
			t.Errorf("the span holds the error's text: %s", dump)
		}
	}
}

// Whatever stands in the header, Extract gives a valid span context or none,
// and never the one that was in the context before.
func TestExtractAnything(t *testing.T) {
	tel, _ := recorded(t, "x")
	before, span := tel.Tracer().Start(t.Context(), "other work")
	defer span.End()
	rapid.Check(t, func(t *rapid.T) {
		header := rapid.OneOf(rapid.String(), rapid.StringMatching(`0[0-1]-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]`)).Draw(t, "header")
		got := trace.SpanContextFromContext(Extract(before, header))
		if got.SpanID() == span.SpanContext().SpanID() {
			t.Fatal("the context kept the other work's span")
		}
		want := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(t.Context(), propagation.MapCarrier{"traceparent": header}))
		if !got.Equal(want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		if got.IsValid() != (len(Links(before, header)) == 1) {
			t.Fatal("Links and Extract disagree")
		}
		if got.IsValid() && !strings.Contains(header, got.TraceID().String()) {
			t.Fatalf("trace id %s is not the header's", got.TraceID())
		}
	})
}

func TestLogLinesNameTheirSpan(t *testing.T) {
	var out bytes.Buffer
	log := NewLog(&out, "audit", slog.LevelInfo).With("stream", "RAW")
	tel, _ := recorded(t, "audit")
	ctx, span := tel.Tracer().Start(t.Context(), "work")
	defer span.End()
	log.InfoContext(ctx, "copied", "rows", 3)
	log.DebugContext(ctx, "too fine")
	log.InfoContext(context.WithoutCancel(t.Context()), "no span")

	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("want 2 lines, got %d:\n%s", len(lines), out.String())
	}
	var first, second map[string]any
	if err := errors.Join(json.Unmarshal([]byte(lines[0]), &first), json.Unmarshal([]byte(lines[1]), &second)); err != nil {
		t.Fatal(err)
	}
	sc := span.SpanContext()
	if first["trace_id"] != sc.TraceID().String() || first["span_id"] != sc.SpanID().String() || first["service"] != "audit" || first["stream"] != "RAW" {
		t.Errorf("first line: %v", first)
	}
	if _, ok := second["trace_id"]; ok {
		t.Errorf("a line without a span has a trace id: %v", second)
	}
}

func TestLevel(t *testing.T) {
	for word, want := range map[string]slog.Level{"": slog.LevelInfo, "debug": slog.LevelDebug, "WARN": slog.LevelWarn, "error": slog.LevelError} {
		if got, err := Level(word); err != nil || got != want {
			t.Errorf("Level(%q) = %v, %v", word, got, err)
		}
	}
	if _, err := Level("loud"); err == nil {
		t.Error("Level(loud) is accepted")
	}
}
