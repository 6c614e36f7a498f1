package httpx

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/muster-hr/muster/libs/telemetry"
)

// BenchmarkDo is a write of a small person to a local server, its connection
// kept, in a trace that is not sampled, as most are not.
func BenchmarkDo(b *testing.B) {
	base := "http://" + thankful(b)
	rt := Transport(TransportOptions{BaseURL: base, Tracer: sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample())))})
	b.Cleanup(rt.(*roundTripper).CloseIdleConnections)
	c := New(Options{BaseURL: base, Transport: rt})
	ctx := telemetry.Extract(b.Context(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")
	body := map[string]any{
		"event_id": "evt-42", "employee_id": "100117", "user_name": "alexandra.montgomery.100117@example.test", "display_name": "Alex Montgomery-100117",
		"given_name": "Alexandra", "family_name": "Montgomery-100117", "active": true, "title": "Senior Software Engineer", "department": "Engineering",
		"division": "EMEA", "location": "Berlin", "start_date": "2019-12-03", "employment_type": "full_time",
	}
	b.ReportAllocs()
	for b.Loop() {
		_, err := c.Do(ctx, Call{
			Method: "POST", Path: "/people/1", Template: "/people/{id}", JSON: body,
			KeyHeader: "Idempotency-Key", Key: "0123456789abcdef0123456789abcdef",
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// thankful is the address of a server that says 200 to each request. It
// allocates nothing for one, so that what is measured is the client's.
func thankful(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan struct{})
	b.Cleanup(func() { _ = l.Close(); <-ended })
	go func() {
		defer close(ended)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		r, answer := bufio.NewReader(conn), []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"ok\":true}")
		for length := 0; ; {
			line, err := r.ReadSlice('\n')
			if err != nil {
				return // the client is gone
			}
			if name, value, ok := bytes.Cut(line, []byte(": ")); ok && string(name) == "Content-Length" {
				for _, digit := range bytes.TrimSpace(value) {
					length = length*10 + int(digit-'0')
				}
			}
			if len(line) > 2 {
				continue
			}
			if _, err := r.Discard(length); err != nil && err != io.EOF {
				return
			}
			if _, err := conn.Write(answer); err != nil {
				return
			}
			length = 0
		}
	}()
	return l.Addr().String()
}
