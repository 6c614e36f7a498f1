package httpx

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

// TransportOptions of one account's [Transport]. The zero value works.
type TransportOptions struct {
	BaseURL      string                        // names the host that may be a loopback or private address, see [Transport]
	InFlight     int                           // calls at the same time, default 8: so many idle connections are kept
	AllowPrivate []string                      // hosts, HOST:PORT, addresses or networks that may be called although private
	Sandbox      string                        // HOST:PORT of the sandbox, if the account is pointed at it: plain http may go there
	Timeout      time.Duration                 // of one call with its answer, unless a Client says its own; default 30 s
	RootCAs      *x509.CertPool                // default: the system's
	Tracer       trace.TracerProvider          // default: no spans
	Propagator   propagation.TextMapPropagator // default: W3C traceparent
}

// Transport is the RoundTripper of one account: connections of its own, a
// client span per request, a traceparent on it, and the dial guard.
//
// The guard looks at the address that is really dialled, after name
// resolution. It refuses loopback, private, link-local (cloud metadata),
// multicast and unspecified addresses, except: loopback when the base URL names
// a loopback host; a private address when the base URL is written with it, or
// when AllowPrivate has the host or the address. Plain http goes to loopback and the sandbox only. There is
// no proxy from the environment, since the guard could not see behind it.
func Transport(o TransportOptions) http.RoundTripper {
	if o.InFlight <= 0 {
		o.InFlight = 8
	}
	if o.Tracer == nil {
		o.Tracer = noop.NewTracerProvider()
	}
	if o.Propagator == nil {
		o.Propagator = propagation.TraceContext{}
	}
	g := newGuard(o.BaseURL, o.AllowPrivate)
	g.sandbox = o.Sandbox
	return &roundTripper{
		guard:      g,
		timeout:    o.Timeout,
		tracer:     o.Tracer.Tracer("github.com/muster-hr/muster/libs/connector/httpx"),
		propagator: o.Propagator,
		base: &http.Transport{
			DialContext:            g.dial,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
			TLSHandshakeTimeout:    10 * time.Second,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           o.InFlight,
			MaxIdleConnsPerHost:    o.InFlight,
			IdleConnTimeout:        90 * time.Second,
			DisableCompression:     true, // answers are small; a compressed bomb is not unpacked
			MaxResponseHeaderBytes: 64 << 10,
			ReadBufferSize:         4 << 10,
			WriteBufferSize:        4 << 10,
		},
	}
}

// roundTripper makes the span itself: otelhttp would write url.full, and the
// paths and queries of vendors hold logins, e-mails and names.
type roundTripper struct {
	guard      *guard
	timeout    time.Duration
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	base       *http.Transport
}

// RoundTrip sends a copy: a RoundTripper must not change the request it got.
func (t *roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.WithContext(r.Context())
	r.Header = r.Header.Clone()
	return t.send(r, "")
}

// send puts the traceparent on a request and sends it. The span follows the
// OpenTelemetry conventions for HTTP clients, with url.template instead of
// url.full. Few traces are sampled, so attributes are made for those only.
func (t *roundTripper) send(r *http.Request, template string) (*http.Response, error) {
	name := r.Method
	if template != "" {
		name += " " + template
	}
	ctx, span := t.tracer.Start(r.Context(), name, asClient)
	defer span.End()
	if span.IsRecording() {
		span.SetAttributes(described(r, template)...)
	}
	if err := t.guard.scheme(r.URL); err != nil {
		return nil, spanError(ctx, span, err)
	}
	t.propagator.Inject(ctx, propagation.HeaderCarrier(r.Header))
	res, err := t.base.RoundTrip(r)
	if err != nil {
		return nil, spanError(ctx, span, err)
	}
	if span.IsRecording() {
		span.SetAttributes(attribute.Int("http.response.status_code", res.StatusCode))
	}
	if res.StatusCode >= 400 {
		span.SetAttributes(attribute.String("error.type", strconv.Itoa(res.StatusCode)))
		span.SetStatus(codes.Error, "")
	}
	return res, nil
}

var asClient = trace.WithSpanKind(trace.SpanKindClient)

// described are the attributes of a request's span.
func described(r *http.Request, template string) []attribute.KeyValue {
	attrs := []attribute.KeyValue{
		attribute.String("http.request.method", r.Method),
		attribute.String("url.scheme", r.URL.Scheme),
		attribute.String("server.address", r.URL.Hostname()),
		attribute.Int("server.port", port(r)),
	}
	if template != "" {
		attrs = append(attrs, attribute.String("url.template", template))
	}
	return attrs
}

// CloseIdleConnections lets go of kept connections.
func (t *roundTripper) CloseIdleConnections() { t.base.CloseIdleConnections() }

func spanError(ctx context.Context, span trace.Span, err error) error {
	span.SetAttributes(attribute.String("error.type", fault.Reason(network(ctx, err))))
	span.SetStatus(codes.Error, "")
	return err
}

func port(r *http.Request) int {
	if n, err := strconv.Atoi(r.URL.Port()); err == nil {
		return n
	}
	if r.URL.Scheme == "http" {
		return 80
	}
	return 443
}

// Dial is the guard alone, for connectors that do not speak HTTP. Base is the
// account's address with any scheme (`ldaps://…`, `sftp://…`); the rules are
// those of [Transport].
func Dial(base string, allowPrivate []string) connector.Dial {
	return newGuard(base, allowPrivate).dial
}

// dial connects to an allowed address.
func (g *guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{
		Timeout:   10 * time.Second,
		KeepAlive: 30 * time.Second,
		// Control sees each address after resolution, so a name cannot be
		// rebound between the check and the connection.
		Control: func(_, address string, _ syscall.RawConn) error { return g.address(host, address) },
	}
	return d.DialContext(ctx, network, address)
}
