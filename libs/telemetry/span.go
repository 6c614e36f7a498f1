package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/muster-hr/muster/libs/fault"
)

// Spans of messages follow the OpenTelemetry messaging conventions, semantic
// conventions v1.43.0. NATS has no registered name there; "nats" is a custom
// value, which they allow.
var messagingSystem = semconv.MessagingSystemKey.String("nats")

// Message names what a span sends or processes. Nothing in it is personal:
// the template stands for the subject.
type Message struct {
	Stream   string // messaging.destination.name: RAW
	Template string // messaging.destination.template: hr.raw.{source}.{key}
	ID       string // messaging.message.id: ce-id
	Consumer string // messaging.consumer.group.name: the durable; only when processed
	Attempt  int    // from 2 on it becomes muster.attempt
}

// StartSend begins the span `send {template}` of one published message. The
// message carries this span's context, see [Traceparent].
func StartSend(ctx context.Context, tracer trace.Tracer, m Message, attrs ...attribute.KeyValue) (context.Context, trace.Span) {
	if leftOut(ctx) {
		return ctx, trace.SpanFromContext(ctx)
	}
	return tracer.Start(ctx, "send "+m.Template, //nolint:spancheck // the caller ends it
		trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(append(m.attributes("send", semconv.MessagingOperationTypeSend), attrs...)...))
}

// StartProcess begins the span `process {template}` of one consumed message.
// The lanes handle single messages, so the sender's span is the parent: ctx
// has it by [Extract]. links lead to earlier attempts.
func StartProcess(ctx context.Context, tracer trace.Tracer, m Message, links []trace.Link, attrs ...attribute.KeyValue) (context.Context, trace.Span) {
	if leftOut(ctx) {
		return ctx, trace.SpanFromContext(ctx)
	}
	return tracer.Start(ctx, "process "+m.Template, //nolint:spancheck // the caller ends it
		trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(append(m.attributes("process", semconv.MessagingOperationTypeProcess), attrs...)...),
		trace.WithLinks(links...))
}

// leftOut tells whether ctx belongs to a trace that is not kept. The sampler of
// [Open] follows the parent, so a child would be left out too: the parent goes
// on in its place, and ending it is nothing. A span that is recorded without
// being sampled is none of these.
func leftOut(ctx context.Context) bool {
	span := trace.SpanFromContext(ctx)
	parent := span.SpanContext()
	return parent.IsValid() && !parent.IsSampled() && !span.IsRecording()
}

func (m Message) attributes(name string, typ attribute.KeyValue) []attribute.KeyValue {
	a := append(make([]attribute.KeyValue, 0, 10), messagingSystem, typ, semconv.MessagingOperationName(name),
		semconv.MessagingDestinationName(m.Stream), semconv.MessagingDestinationTemplate(m.Template))
	if m.ID != "" {
		a = append(a, semconv.MessagingMessageID(m.ID))
	}
	if m.Consumer != "" {
		a = append(a, semconv.MessagingConsumerGroupName(m.Consumer))
	}
	if m.Attempt > 1 {
		a = append(a, attribute.Int("muster.attempt", m.Attempt))
	}
	return a
}

// End closes a span with the result of its work. Of an error only the
// countable reason and the class are kept: its text is for the log.
func End(span trace.Span, err error) {
	if f := fault.Of(err); f != nil && f.Class != fault.Done {
		span.SetStatus(codes.Error, f.Reason)
		span.SetAttributes(ErrorType(f.Reason), attribute.String("muster.fault", f.Class.String()))
	}
	span.End()
}

// Traceparent is the header value for the span in ctx (W3C Trace Context,
// section 3.2); "" without a span.
func Traceparent(ctx context.Context) string {
	var h header
	propagation.TraceContext{}.Inject(ctx, &h)
	return string(h)
}

// Extract puts the span that a message was sent from into ctx. A missing or
// malformed header leaves ctx without one: the work then begins a trace.
func Extract(ctx context.Context, traceparent string) context.Context {
	h := header(traceparent)
	if got := (propagation.TraceContext{}).Extract(ctx, &h); got != ctx {
		return got
	}
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ctx
	}
	return trace.ContextWithSpanContext(ctx, trace.SpanContext{})
}

// header carries the one header of a trace that our messages have.
type header string

// Get reads the header of that name.
func (h *header) Get(name string) string {
	if name == "traceparent" {
		return string(*h)
	}
	return ""
}

// Set keeps the header; others do not travel.
func (h *header) Set(name, value string) {
	if name == "traceparent" {
		*h = header(value)
	}
}

// Keys lists the headers.
func (h *header) Keys() []string { return []string{"traceparent"} }

// Links makes links to the spans that headers name, leaving out what is not a
// traceparent. A vendor's own traceparent is linked like this, never adopted.
func Links(ctx context.Context, traceparents ...string) []trace.Link {
	var out []trace.Link
	for _, tp := range traceparents {
		if sc := trace.SpanContextFromContext(Extract(ctx, tp)); sc.IsValid() {
			out = append(out, trace.Link{SpanContext: sc})
		}
	}
	return out
}
