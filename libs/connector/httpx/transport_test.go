package httpx

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/fault"
)

func TestSpan(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	var parent string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parent = r.Header.Get("Traceparent")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "zofia")
	}))
	defer server.Close()
	rt := Transport(TransportOptions{BaseURL: server.URL, Tracer: tracer})
	defer rt.(*roundTripper).CloseIdleConnections()
	ctx, span := tracer.Tracer("test").Start(t.Context(), "process")
	_, _ = New(Options{BaseURL: server.URL, Transport: rt}).Do(ctx, Call{
		Method: "GET", Path: "/users/zofia@brightfjord.example", Template: "/users/{id}", Query: url.Values{"mail": {"zofia@brightfjord.example"}},
	})
	span.End()
	ended := spans.Ended()
	if len(ended) != 2 {
		t.Fatalf("%d spans, want 2", len(ended))
	}
	got := ended[0]
	if got.Name() != "GET /users/{id}" || got.SpanKind() != trace.SpanKindClient || got.Status().Code != codes.Error {
		t.Errorf("span %q %s %v", got.Name(), got.SpanKind(), got.Status())
	}
	if got.Parent().SpanID() != span.SpanContext().SpanID() {
		t.Error("the span is not a child of its caller's")
	}
	if want := "00-" + got.SpanContext().TraceID().String() + "-" + got.SpanContext().SpanID().String() + "-01"; parent != want {
		t.Errorf("traceparent %q, want %q", parent, want)
	}
	u, _ := url.Parse(server.URL)
	want := map[string]string{
		"http.request.method": "GET", "url.scheme": "http", "server.address": "127.0.0.1", "server.port": u.Port(),
		"url.template": "/users/{id}", "http.response.status_code": "404", "error.type": "404",
	}
	for _, a := range got.Attributes() {
		if want[string(a.Key)] != a.Value.String() {
			t.Errorf("%s = %q, want %q", a.Key, a.Value.String(), want[string(a.Key)])
		}
		delete(want, string(a.Key))
		if strings.Contains(a.Value.String(), "zofia") {
			t.Errorf("%s tells a value", a.Key)
		}
	}
	if len(want) != 0 {
		t.Errorf("missing: %v", want)
	}
}

// TestATraceThatIsNotSampled goes on at the vendor, and the request of a caller
// that is no [Client] is left as it was.
func TestATraceThatIsNotSampled(t *testing.T) {
	var parent string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { parent = r.Header.Get("Traceparent") }))
	defer server.Close()
	rt := Transport(TransportOptions{BaseURL: server.URL, Tracer: sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))})
	defer rt.(*roundTripper).CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), "GET", server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"client": func() error {
			_, err := New(Options{BaseURL: server.URL, Transport: rt}).Do(t.Context(), Call{Method: "GET"})
			return err
		},
		"transport": func() error {
			res, err := rt.RoundTrip(req)
			if err == nil {
				err = res.Body.Close()
			}
			return err
		},
	} {
		parent = ""
		if err := call(); err != nil || len(parent) != 55 || !strings.HasSuffix(parent, "-00") {
			t.Errorf("%s: traceparent %q, %v", name, parent, err)
		}
	}
	if len(req.Header) != 0 {
		t.Errorf("the caller's request has got %v", req.Header)
	}
}

// TestDialGuard tells which addresses a configured URL may lead to.
func TestDialGuard(t *testing.T) {
	for _, c := range []struct {
		base, host, address string
		allow               []string
		ok                  bool
	}{
		{"https://vendor.example", "vendor.example", "93.184.216.34:443", nil, true},
		{"https://vendor.example", "vendor.example", "[2606:2800:220:1::1]:443", nil, true},
		{"https://vendor.example", "vendor.example", "10.1.2.3:443", nil, false},
		{"https://vendor.example", "vendor.example", "10.1.2.3:443", []string{"Vendor.example"}, true},
		{"https://vendor.example", "other.example", "10.1.2.3:443", []string{"vendor.example"}, false},
		{"https://vendor.example", "vendor.example", "10.1.2.3:443", []string{"vendor.example:443"}, true},
		{"https://vendor.example", "vendor.example", "10.1.2.3:443", []string{"vendor.example:8443"}, false},
		{"https://vendor.example", "vendor.example", "10.1.2.3:443", []string{"10.1.2.3"}, true},
		{"https://vendor.example", "vendor.example", "10.1.2.3:443", []string{"10.1.0.0/16"}, true},
		{"https://vendor.example", "vendor.example", "10.2.2.3:443", []string{"10.1.0.0/16"}, false},
		{"https://vendor.example", "vendor.example", "127.0.0.1:443", []string{"0.0.0.0/0"}, false},
		{"https://10.1.2.3", "10.1.2.3", "10.1.2.3:443", nil, true},
		{"https://10.1.2.3", "vendor.example", "10.9.9.9:443", nil, false},
		{"https://[fd00::7]", "fd00::7", "[fd00::7]:443", nil, true},
		{"https://vendor.example", "vendor.example", "169.254.169.254:80", nil, false},
		{"https://169.254.169.254", "169.254.169.254", "169.254.169.254:80", nil, false},
		{"https://meta.example", "meta.example", "169.254.169.254:80", []string{"meta.example"}, true},
		{"https://vendor.example", "vendor.example", "[fd00:ec2::254]:80", nil, false},
		{"https://vendor.example", "vendor.example", "[::ffff:169.254.169.254]:80", nil, false},
		{"https://vendor.example", "vendor.example", "[::ffff:10.0.0.1]:80", nil, false},
		{"https://vendor.example", "vendor.example", "[64:ff9b::a00:1]:80", nil, false},
		{"https://vendor.example", "vendor.example", "[2002:a00:1::]:80", nil, false},
		{"https://vendor.example", "vendor.example", "100.100.100.200:80", nil, false},
		{"https://vendor.example", "vendor.example", "0.0.0.0:80", nil, false},
		{"https://vendor.example", "vendor.example", "[::]:80", nil, false},
		{"https://vendor.example", "vendor.example", "224.0.0.1:80", nil, false},
		{"https://vendor.example", "vendor.example", "127.0.0.1:80", nil, false},
		{"https://vendor.example", "vendor.example", "127.0.0.1:80", []string{"vendor.example"}, false},
		{"https://vendor.example", "localhost", "127.0.0.1:80", nil, false},
		{"http://127.0.0.1:8090/okta", "127.0.0.1", "127.0.0.1:8090", nil, true},
		{"http://localhost:8090", "localhost", "[::1]:8090", nil, true},
		{"http://localhost:8090", "localhost", "10.0.0.1:8090", nil, false},
		{"http://localhost:8090", "localhost", "93.184.216.34:8090", nil, false},
		{"http://localhost:8090", "vendor.example", "127.0.0.1:8090", nil, false},
		{"https://vendor.example", "vendor.example", "nonsense", nil, false},
	} {
		err := newGuard(c.base, c.allow).address(c.host, c.address)
		if (err == nil) != c.ok {
			t.Errorf("%s: %s at %s (allowed %v): %v", c.base, c.host, c.address, c.allow, err)
		}
		if err != nil && (fault.Of(err).Class != fault.Target || fault.Reason(err) != "address_refused") {
			t.Errorf("refused as %v", err)
		}
	}
}

// TestNoPrivateAddressPasses whichever way it is written.
func TestNoPrivateAddressPasses(t *testing.T) {
	private := []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10", "fc00::/7", "fe80::/10"}
	g := newGuard("https://vendor.example", nil)
	rapid.Check(t, func(t *rapid.T) {
		p := netip.MustParsePrefix(rapid.SampledFrom(private).Draw(t, "range"))
		raw := rapid.SliceOfN(rapid.Byte(), p.Addr().BitLen()/8, p.Addr().BitLen()/8).Draw(t, "bytes")
		base := p.Addr().AsSlice()
		for i := range raw { // the prefix's bits, then any
			for bit := range 8 {
				if i*8+bit < p.Bits() {
					mask := byte(0x80) >> bit
					raw[i] = raw[i]&^mask | base[i]&mask
				}
			}
		}
		ip, _ := netip.AddrFromSlice(raw)
		forms := []netip.Addr{ip}
		if ip.Is4() {
			forms = append(forms, netip.AddrFrom16(ip.As16()))
		}
		for _, f := range forms {
			if g.address("vendor.example", netip.AddrPortFrom(f, 443).String()) == nil {
				t.Fatalf("%s passes", f)
			}
		}
	})
}

// TestGuardIsAtTheDial: the name resolves to loopback, which only the dial sees.
func TestGuardIsAtTheDial(t *testing.T) {
	rt := Transport(TransportOptions{BaseURL: "https://vendor.example"})
	_, err := New(Options{BaseURL: "https://127.0.0.1:1", Transport: rt}).Do(t.Context(), Call{Method: "GET"})
	if fault.Reason(err) != "address_refused" {
		t.Errorf("error %v", err)
	}
}

func TestConnectionsAreKept(t *testing.T) {
	var remotes []string
	c := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		remotes = append(remotes, r.RemoteAddr)
		w.WriteHeader(http.StatusInternalServerError) // an error's body is read too
		_, _ = io.WriteString(w, strings.Repeat("x", 100_000))
	})
	for range 3 {
		_, _ = c.Do(t.Context(), Call{Method: "GET"})
	}
	if slices.Sort(remotes); len(slices.Compact(remotes)) != 1 {
		t.Errorf("connections: %v", remotes)
	}
}

// TestPlainHTTP: in containers the sandbox is another machine. Nobody else may
// be called in the clear.
func TestPlainHTTP(t *testing.T) {
	g := newGuard("http://sandbox:8090/okta", []string{"sandbox:8090"})
	for _, c := range []struct {
		sandbox, url string
		ok           bool
	}{
		{"", "http://sandbox:8090/okta/users", false},
		{"sandbox:8090", "http://sandbox:8090/okta/users", true},
		{"sandbox:8090", "http://sandbox:8091/", false},
		{"sandbox:8090", "http://sandbox/", false},
		{"sandbox:8090", "http://acme.okta.com/", false},
		{"sandbox:8090", "http://127.0.0.1:9/", true},
		{"", "https://acme.okta.com/", true},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		g.sandbox = c.sandbox
		if err := g.scheme(u); (err == nil) != c.ok {
			t.Errorf("sandbox %q, %s: %v", c.sandbox, c.url, err)
		}
	}
}
