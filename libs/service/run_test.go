package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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

// started runs a bare service and gives its address, the way to stop it and
// what Run returned.
func started(t *testing.T, s *Service, handler http.Handler, parts ...func(context.Context) error) (url string, stop func() error) {
	t.Helper()
	addr := make(chan string, 1)
	s.host.Listening = func(name, url string) {
		if name != s.Name {
			t.Errorf("told about %q, want %q", name, s.Name)
		}
		addr <- url
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, "MUSTER_TEST_ADDR", handler, parts...) }()
	select {
	case url = <-addr:
	case err := <-done:
		t.Fatal(err)
	}
	var once error
	stopped := false
	stop = func() error {
		if !stopped {
			cancel()
			once, stopped = <-done, true
		}
		return once
	}
	t.Cleanup(func() { _ = stop(); s.Close() })
	return url, stop
}

func bare(t *testing.T, host Host) *Service {
	t.Helper()
	s, err := OpenBare(t.Context(), host, "ingress")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestHealthReadinessAndMetrics(t *testing.T) {
	s := bare(t, Host{})
	var broken error
	s.Check("nats", func(context.Context) error { return nil })
	s.Check("store", func(context.Context) error { return broken })
	s.Counter("muster_ingress_requests_total", "Webhook calls.", "source", "code").WithLabelValues("bamboohr", "202").Inc()
	url, stop := started(t, s, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))

	if code, _ := get(t, url+"/healthz"); code != 200 {
		t.Errorf("/healthz: %d", code)
	}
	tests := []struct {
		err  error
		code int
		want Ready
	}{
		{nil, 200, Ready{true, map[string]string{"nats": "ok", "store": "ok"}}},
		{NotReady("starting"), 503, Ready{false, map[string]string{"nats": "ok", "store": "starting"}}},
		{errors.New("dial tcp 10.1.2.3: password wrong"), 503, Ready{false, map[string]string{"nats": "ok", "store": "unclassified"}}},
	}
	for _, tt := range tests {
		broken = tt.err
		code, body := get(t, url+"/readyz")
		var got Ready
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		if code != tt.code || got.Ready != tt.want.Ready || len(got.Checks) != 2 || got.Checks["store"] != tt.want.Checks["store"] || got.Checks["nats"] != "ok" {
			t.Errorf("/readyz with %v: %d %v", tt.err, code, got)
		}
	}
	if _, body := get(t, url+"/metrics"); !strings.Contains(body, `muster_ingress_requests_total{code="202",source="bamboohr"} 1`) || !strings.Contains(body, "go_goroutines") {
		t.Errorf("/metrics: %s", body)
	}
	if code, _ := get(t, url+"/webhooks/x"); code != http.StatusTeapot {
		t.Errorf("the service's own handler is not mounted: %d", code)
	}
	if err := stop(); err != nil {
		t.Fatalf("a clean stop: %v", err)
	}
}

// A request that is being answered when the stop comes is answered to the end.
func TestStopAnswersRequestsInFlight(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	partStopped := make(chan struct{})
	s := bare(t, Host{})
	url, stop := started(t, s, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-release
		_, _ = w.Write([]byte("stored"))
	}), func(ctx context.Context) error {
		<-ctx.Done()
		close(partStopped)
		return ctx.Err()
	})
	answer := make(chan string, 1)
	go func() {
		_, body := get(t, url+"/webhooks/bamboohr")
		answer <- body
	}()
	<-begun
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	<-partStopped
	close(release)
	if body := <-answer; body != "stored" {
		t.Errorf("answer %q", body)
	}
	if err := <-stopped; err != nil {
		t.Errorf("a clean stop: %v", err)
	}
}

func TestAFailingPartStopsTheService(t *testing.T) {
	want := errors.New("the stream is gone")
	var other bool
	s := bare(t, Host{})
	defer s.Close()
	err := s.Run(t.Context(), "MUSTER_TEST_ADDR", nil,
		func(context.Context) error { return nil }, // done early: fine
		func(context.Context) error { return want },
		func(ctx context.Context) error { <-ctx.Done(); other = true; return nil })
	if !errors.Is(err, want) || !other {
		t.Fatalf("Run = %v, the other part was stopped: %v", err, other)
	}
	if ExitCode(err) != ExitFailed {
		t.Errorf("exit code %d", ExitCode(err))
	}
}

func TestATakenPortIsAnEnvironmentError(t *testing.T) {
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := bare(t, Host{Getenv: env("MUSTER_INGRESS_ADDR", l.Addr().String())})
	defer s.Close()
	err = s.Run(t.Context(), "MUSTER_INGRESS_ADDR", nil)
	if ExitCode(err) != ExitEnvironment || !strings.Contains(err.Error(), "MUSTER_INGRESS_ADDR") {
		t.Fatalf("Run = %v, exit code %d", err, ExitCode(err))
	}
}

// net/http quotes panics, and a panic may hold what the request held.
func TestAPanicDoesNotLogWhatItHolds(t *testing.T) {
	var out bytes.Buffer
	s := bare(t, Host{Stdout: &out})
	url, stop := started(t, s, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("Ada Planted") }))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := http.DefaultClient.Do(req); err == nil {
		res.Body.Close()
		t.Fatalf("answered %d", res.StatusCode)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "Planted") || !strings.Contains(out.String(), "http server complained") {
		t.Fatalf("log:\n%s", out.String())
	}
}

func TestExitCodes(t *testing.T) {
	if ExitCode(nil) != 0 || ExitCode(errors.New("x")) != 1 || ExitCode(NewEnvErr()) != 2 {
		t.Fatal("wrong exit codes")
	}
}

// NewEnvErr is an error of Env.
func NewEnvErr() error {
	e := NewEnv(nil)
	e.Required("MUSTER_CONFIG", "name the folder")
	return e.Err()
}

func TestEnv(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := NewEnv(env("A", "x", "D", "90s", "I", "7", "B", "off", "S1", "env:HIDDEN", "HIDDEN", "from-env", "S2", "file:"+file))
	if e.String("A", "y") != "x" || e.String("NONE", "y") != "y" || e.String("A", "", "x", "z") != "x" ||
		e.Duration("D", 0) != 90*time.Second || e.Duration("NONE", time.Hour) != time.Hour ||
		e.Int("I", 0) != 7 || e.Bool("B", true) || !e.Bool("NONE", true) ||
		e.Secret("S1").Reveal() != "from-env" || e.Secret("S2").Reveal() != "from-file" || !e.Secret("NONE").Empty() {
		t.Error("a value was read wrong")
	}
	if err := e.Err(); err != nil {
		t.Fatal(err)
	}
}

func TestEnvTellsEveryProblemAtOnce(t *testing.T) {
	e := NewEnv(env("D", "soon", "I", "seven", "B", "maybe", "S", "hunter2-inline", "W", "ever", "N", "-3s"))
	e.Duration("D", 0)
	e.Duration("N", 0)
	e.Int("I", 0)
	e.Bool("B", false)
	e.Secret("S")
	e.String("W", "fsync", "fsync", "os")
	e.Required("R", "name it")
	err := e.Err()
	if !errors.Is(err, ErrConfig) {
		t.Fatalf("not an ErrConfig: %v", err)
	}
	for _, name := range []string{"D: want", "N: want", "I: want", "B: want", "S: a secret is written", "W: want fsync, os", "R: is not set"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%q is not told in:\n%v", name, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error repeats an inline secret: %v", err)
	}
}
