// Package telemetry gives a service its traces and its log.
//
// One change about one person is one trace: the span context travels in the
// message header `traceparent` (W3C Trace Context) from the vendor's webhook
// to the last target. Many services may share one process, so each has a
// tracer provider of its own and is handed it; nothing here touches
// OpenTelemetry's globals.
//
//	ingress ─► send RAW ─► process transform ─► send PEOPLE ─► process delivery ─► HTTP client
//
// Spans and log lines name streams, ids, outcomes and reasons, never a value
// of a person.
package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// scope is the instrumentation scope of our own spans.
const scope = "github.com/muster-hr/muster"

// How spans wait for export. The short delay lets somebody who just saw a hire
// arrive open its trace; the queue holds several seconds of full load, beyond
// it spans are dropped, never work.
const (
	exportDelay   = 200 * time.Millisecond
	exportBatch   = 1024
	exportQueue   = 32 * 1024
	exportTimeout = 10 * time.Second
)

// Options of Open. The zero value traces everything and exports nothing.
type Options struct {
	Service     string // resource attribute service.name: "ingress", "delivery-okta"
	Getenv      func(string) string
	ConsoleOTLP string       // OTLP/HTTP base URL used when no OTEL_EXPORTER_OTLP_ENDPOINT is set; "" exports nothing
	Sample      float64      // share of traces kept; 0 means OTEL_TRACES_SAMPLER_ARG, else 1
	Log         *slog.Logger // told once when export fails and when it works again

	// Processors see every finished span besides the exporter: tests record
	// spans with them.
	Processors []sdktrace.SpanProcessor
}

// Telemetry is one service's tracing.
type Telemetry struct {
	TracerProvider *sdktrace.TracerProvider
	Propagator     propagation.TextMapPropagator
}

// Open makes the tracing of one service. It does not wait for the receiver of
// the spans. The only errors are unreadable settings.
func Open(ctx context.Context, o Options) (*Telemetry, error) {
	if o.Getenv == nil {
		o.Getenv = func(string) string { return "" }
	}
	share, err := sampled(o)
	if err != nil {
		return nil, err
	}
	options := []sdktrace.TracerProviderOption{
		sdktrace.WithResource(resource.NewSchemaless(semconv.ServiceName(o.Service))),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(share))),
	}
	for _, p := range o.Processors {
		options = append(options, sdktrace.WithSpanProcessor(p))
	}
	endpoint, err := endpoint(o)
	if err != nil {
		return nil, err
	}
	if endpoint != "" {
		exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint), otlptracehttp.WithTimeout(exportTimeout))
		if err != nil {
			return nil, fmt.Errorf("trace exporter: %w", err)
		}
		options = append(options, sdktrace.WithSpanProcessor(sdktrace.NewBatchSpanProcessor(
			&patient{next: exporter, log: o.Log},
			sdktrace.WithBatchTimeout(exportDelay),
			sdktrace.WithMaxExportBatchSize(exportBatch),
			sdktrace.WithMaxQueueSize(exportQueue),
		)))
	}
	return &Telemetry{
		TracerProvider: sdktrace.NewTracerProvider(options...),
		Propagator:     propagation.TraceContext{},
	}, nil
}

// Tracer is the tracer of the service's own spans.
func (t *Telemetry) Tracer() trace.Tracer { return t.TracerProvider.Tracer(scope) }

// Shutdown exports what is waiting and stops, until ctx ends.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	if err := t.TracerProvider.Shutdown(ctx); err != nil {
		return fmt.Errorf("stop tracing: %w", err)
	}
	return nil
}

// Flush exports what is waiting, until ctx ends.
func (t *Telemetry) Flush(ctx context.Context) error {
	return t.TracerProvider.ForceFlush(ctx)
}

func sampled(o Options) (float64, error) {
	if o.Sample != 0 {
		return o.Sample, nil
	}
	v := o.Getenv("OTEL_TRACES_SAMPLER_ARG")
	if v == "" {
		return 1, nil
	}
	f, err := strconv.ParseFloat(v, 64)
	if err != nil || !(f >= 0 && f <= 1) { // refuses NaN too
		return 0, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG: want the share of traces to keep, 0 to 1")
	}
	return f, nil
}

// endpoint follows the OpenTelemetry specification (protocol/exporter): the
// variable for traces is the whole URL, the general one a base URL.
func endpoint(o Options) (string, error) {
	if o.Getenv("OTEL_SDK_DISABLED") == "true" || o.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return "", nil
	}
	for _, c := range []struct{ name, value, path string }{
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", o.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), ""},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", o.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"), "/v1/traces"},
		{"the console's OTLP address", o.ConsoleOTLP, "/v1/traces"},
	} {
		if c.value == "" {
			continue
		}
		u, err := url.Parse(c.value)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return "", fmt.Errorf("%s: want a URL, http://host:4318", c.name)
		}
		return strings.TrimSuffix(c.value, "/") + c.path, nil
	}
	return "", nil
}

// ErrorType is the attribute error.type with a countable reason.
func ErrorType(reason string) attribute.KeyValue { return semconv.ErrorTypeKey.String(reason) }
