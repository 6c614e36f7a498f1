package service

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAskReady(t *testing.T) {
	status := http.StatusOK
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(status)
	}))
	defer s.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "http://"), ":")
	at := map[string]string{"MUSTER_DELIVERY_ADDR": "0.0.0.0:" + port, "MUSTER_INGRESS_ADDR": "127.0.0.1:0"}
	getenv := func(name string) string { return at[name] }
	if err := askReady("delivery-okta", getenv); err != nil {
		t.Errorf("a ready one: %v", err)
	}
	six, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("this machine has no IPv6: ", err)
	}
	other := &httptest.Server{Listener: six, Config: &http.Server{Handler: s.Config.Handler, ReadHeaderTimeout: time.Second}}
	other.Start()
	defer other.Close()
	at["MUSTER_AUDIT_ADDR"] = six.Addr().String() // it listens there and nowhere else
	if err := askReady("audit", getenv); err != nil {
		t.Errorf("one at an address of its own: %v", err)
	}
	delete(at, "MUSTER_AUDIT_ADDR")
	status = http.StatusServiceUnavailable
	if err := askReady("delivery-okta", getenv); ExitCode(err) != ExitFailed {
		t.Errorf("one that is not ready: %v", err)
	}
	for _, name := range []string{"ingress", "audit"} {
		if err := askReady(name, getenv); !errors.Is(err, ErrConfig) {
			t.Errorf("%s has no port to ask at: %v", name, err)
		}
	}
}

// TestClockOfTheSandbox: the clock in a file is for fakes only.
func TestClockOfTheSandbox(t *testing.T) {
	file := filepath.Join(t.TempDir(), "clock")
	if err := os.WriteFile(file, []byte("24h0m0s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"MUSTER_CLOCK": file}
	host := Host{Getenv: func(name string) string { return env[name] }}
	if _, err := OpenBare(t.Context(), host, "test"); !errors.Is(err, ErrConfig) {
		t.Errorf("without the sandbox: %v", err)
	}
	env["MUSTER_SANDBOX"] = "http://127.0.0.1:8090"
	s, err := OpenBare(t.Context(), host, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if d := time.Until(s.Clock.Now()); d < 23*time.Hour || d > 25*time.Hour {
		t.Errorf("the clock is %s ahead, want a day", d)
	}
}
