package telemetry

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i+1 < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestEndpoint(t *testing.T) {
	tests := []struct {
		name    string
		getenv  func(string) string
		console string
		want    string
		err     string
	}{
		{"nothing set exports nothing", env(), "", "", ""},
		{"console", env(), "http://127.0.0.1:8081", "http://127.0.0.1:8081/v1/traces", ""},
		{"collector before console", env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/"), "http://127.0.0.1:8081", "http://collector:4318/v1/traces", ""},
		{"traces endpoint is the whole URL", env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://b/custom"), "", "https://b/custom", ""},
		{"disabled", env("OTEL_SDK_DISABLED", "true"), "http://127.0.0.1:8081", "", ""},
		{"not a URL", env("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"), "", "", "OTEL_EXPORTER_OTLP_ENDPOINT: want a URL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := endpoint(Options{Getenv: tt.getenv, ConsoleOTLP: tt.console})
			if got != tt.want || (err != nil) != (tt.err != "") || (err != nil && !strings.Contains(err.Error(), tt.err)) {
				t.Fatalf("endpoint = %q, %v; want %q, %q", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestSampled(t *testing.T) {
	tests := []struct {
		set    float64
		arg    string
		want   float64
		broken bool
	}{
		{0, "", 1, false},
		{0, "0.25", 0.25, false},
		{0, "0", 0, false},
		{0.5, "0.25", 0.5, false},
		{0, "all", 0, true},
		{0, "1.5", 0, true},
		{0, "NaN", 0, true},
	}
	for _, tt := range tests {
		got, err := sampled(Options{Sample: tt.set, Getenv: env("OTEL_TRACES_SAMPLER_ARG", tt.arg)})
		if got != tt.want || (err != nil) != tt.broken {
			t.Errorf("sampled(%v, %q) = %v, %v", tt.set, tt.arg, got, err)
		}
	}
}

// receiver is an OTLP endpoint that tells the names of services and spans.
func receiver(got chan<- string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var req coltrace.ExportTraceServiceRequest
		if r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &req) != nil {
			http.Error(w, "not OTLP", http.StatusBadRequest)
			return
		}
		for _, rs := range req.ResourceSpans {
			service := rs.Resource.Attributes[0].Value.GetStringValue()
			for _, ss := range rs.ScopeSpans {
				for _, s := range ss.Spans {
					got <- service + " " + s.Name
				}
			}
		}
	})
}

func TestSpansReachTheConsoleWithoutAFlush(t *testing.T) {
	got := make(chan string, 1)
	server := httptest.NewServer(receiver(got))
	defer server.Close()
	tel, err := Open(t.Context(), Options{Service: "delivery-okta", ConsoleOTLP: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer tel.Shutdown(context.WithoutCancel(t.Context()))
	_, span := tel.Tracer().Start(t.Context(), "process hr.employee.{id}")
	span.End()
	select {
	case s := <-got:
		if s != "delivery-okta process hr.employee.{id}" {
			t.Fatalf("received %q", s)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("no span arrived")
	}
}

func TestSpansWaitForAConsoleThatStartsLater(t *testing.T) {
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	tel, err := Open(t.Context(), Options{Service: "ingress", ConsoleOTLP: "http://" + addr})
	if err != nil {
		t.Fatal(err)
	}
	defer tel.Shutdown(context.WithoutCancel(t.Context()))
	_, span := tel.Tracer().Start(t.Context(), "early")
	span.End()
	flushed := make(chan error, 1)
	go func() { flushed <- tel.Flush(t.Context()) }() // tries at once and is refused
	select {
	case err := <-flushed:
		t.Fatalf("the batch was given up at once: %v", err)
	case <-time.After(2 * refusedPause):
	}
	if l, err = lc.Listen(t.Context(), "tcp", addr); err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	server := &http.Server{Handler: receiver(got), ReadHeaderTimeout: time.Second}
	go server.Serve(l)
	defer server.Close()
	select {
	case s := <-got:
		if s != "ingress early" {
			t.Fatalf("received %q", s)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the span was lost")
	}
	if err := <-flushed; err != nil {
		t.Fatal(err)
	}
}

// A process has many services; a global provider would give all of them the
// name of one.
func TestTheGlobalProviderIsUntouched(t *testing.T) {
	before, propagator := otel.GetTracerProvider(), otel.GetTextMapPropagator()
	tel, err := Open(t.Context(), Options{Service: "ingress", Processors: []sdktrace.SpanProcessor{}})
	if err != nil {
		t.Fatal(err)
	}
	defer tel.Shutdown(context.WithoutCancel(t.Context()))
	if otel.GetTracerProvider() != before || otel.GetTextMapPropagator() != propagator {
		t.Fatal("Open replaced a global")
	}
	_, span := otel.Tracer("anybody").Start(t.Context(), "stray")
	if span.IsRecording() || span.SpanContext().IsValid() {
		t.Fatal("a span of the global provider is recorded")
	}
}
