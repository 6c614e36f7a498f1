package httpx

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/fault"
)

// TestStream: the pieces come as they are sent, a cut answer does not end
// well, and an answer that is no success is told before anything is read.
func TestStream(t *testing.T) {
	go1, told := make(chan struct{}), make(chan struct{}, 1)
	c := serve(t, Options{Timeout: time.Nanosecond, MaxBody: 1}, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/long":
			_, _ = io.WriteString(w, "first")
			_ = http.NewResponseController(w).Flush()
			<-go1
			_, _ = io.WriteString(w, " last")
		case "/cut":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
		case "/stuck":
			_, _ = io.WriteString(w, "x")
			_ = http.NewResponseController(w).Flush()
			told <- struct{}{}
			<-r.Context().Done()
		default:
			w.Header().Set("Retry-After", "3")
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
		}
	})
	long, err := c.Open(t.Context(), Call{Method: "GET", Path: "/long"})
	if err != nil {
		t.Fatal(err)
	}
	defer long.Body.Close()
	b := make([]byte, 5)
	if _, err := io.ReadFull(long.Body, b); err != nil || string(b) != "first" {
		t.Errorf("%q, %v", b, err)
	}
	close(go1)
	if rest, err := io.ReadAll(long.Body); err != nil || string(rest) != " last" {
		t.Errorf("%q, %v", rest, err)
	}
	cut, err := c.Open(t.Context(), Call{Method: "GET", Path: "/cut"})
	if err != nil {
		t.Fatal(err)
	}
	defer cut.Body.Close()
	if _, err := io.ReadAll(cut.Body); fault.Reason(err) != "reset" {
		t.Errorf("a cut answer: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stuck, err := c.Open(ctx, Call{Method: "GET", Path: "/stuck"})
	if err != nil {
		t.Fatal(err)
	}
	defer stuck.Body.Close()
	<-told
	cancel()
	if _, err := io.ReadAll(stuck.Body); fault.Reason(err) != "canceled" || !errors.Is(err, context.Canceled) {
		t.Errorf("the caller's end: %v", err)
	}
	if _, err := c.Open(t.Context(), Call{Method: "GET", Path: "/no"}); fault.Of(err).Class != fault.Throttled || fault.Of(err).After != 3*time.Second {
		t.Errorf("a refusal: %v", err)
	}
}
