package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/service"
	"github.com/muster-hr/muster/libs/testkit"
)

func env(m map[string]string) func(string) string { return func(name string) string { return m[name] } }

func TestLoadSettings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := loadSettings(env(map[string]string{
		"MUSTER_API_TOKEN": "file:" + file, "MUSTER_APPROVER_TOKEN": "the-token-itself", "MUSTER_SERVICES": `{"audit":"http://127.0.0.1:1"}`,
	}))
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.tokens) != 2 || cfg.tokens[0].Actor != "api" || cfg.tokens[0].Value.Reveal() != "from-file" ||
		cfg.tokens[1].Actor != "approver" || cfg.tokens[1].Value.Reveal() != "the-token-itself" || cfg.services["audit"] == "" {
		t.Errorf("%+v", cfg)
	}
	for name, v := range map[string]string{"MUSTER_API_TOKEN": "env:NOT_SET", "MUSTER_CONSOLE_SPANS": "many", "MUSTER_SERVICES": "x"} {
		if _, err := loadSettings(env(map[string]string{name: v})); !errors.Is(err, service.ErrConfig) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: %v", name, v, err)
		}
	}
}

// The console starts on a real broker, says who is missing, becomes ready when
// they are, and stops cleanly.
func TestRun(t *testing.T) {
	srv := testkit.JetStream(t)
	testkit.Bus(t, srv, testkit.SmallCompany())
	other := make(chan int, 1)
	other <- 503
	ingress := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		code := <-other
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(service.Ready{Ready: code == 200, Checks: map[string]string{"store": map[bool]string{true: "ok", false: "starting"}[code == 200]}})
	}))
	defer ingress.Close()

	var out bytes.Buffer
	urls := make(chan string, 1)
	host := service.Host{
		Getenv: env(map[string]string{
			"MUSTER_MASTER_KEY": "env:KEY", "KEY": seal.NewMaster().Reveal(), "MUSTER_API_TOKEN": "token-7f3a", "MUSTER_CONSOLE_ADDR": "127.0.0.1:0",
		}),
		Stdout: &out, Server: srv, Company: &config.Company{Name: "acme", Environment: "sandbox"},
		Listening: func(_, url string) { urls <- url },
		Services:  func() map[string]string { return map[string]string{"ingress": ingress.URL} },
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, host) }()
	var url string
	select {
	case url = <-urls:
	case err := <-done:
		t.Fatal(err)
	}
	get := func(path string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer token-7f3a")
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
	ready := func() service.Ready {
		var r service.Ready
		_, body := get("/readyz")
		if err := json.Unmarshal([]byte(body), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := ready(); r.Ready || r.Checks["ingress"] != "store: starting" || r.Checks["nats"] != "ok" {
		t.Errorf("while ingress starts: %+v", r)
	}
	other <- 200
	if r := ready(); r.Checks["ingress"] != "ok" {
		t.Errorf("when ingress is ready: %+v", r)
	}
	if code, body := get("/api/v1/employees?external=bamboohr:117"); code != 200 || !strings.Contains(body, `"items":[]`) {
		t.Errorf("nobody is there yet: %d %s", code, body)
	}
	if code, body := get("/metrics"); code != 200 || !strings.Contains(body, "muster_console_spans 0") {
		t.Errorf("metrics: %d", code)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("a clean stop: %v", err)
	}
	if strings.Contains(out.String(), "token-7f3a") {
		t.Error("the log holds a token")
	}
}
