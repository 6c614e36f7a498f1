package muster_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/muster-hr/muster/services/muster"
)

// with is run with an environment.
func with(ctx context.Context, env map[string]string, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = muster.Run(ctx, muster.Env{Args: args, Getenv: func(name string) string { return env[name] }, Stdout: &out, Stderr: &errs})
	return code, out.String(), errs.String()
}

// TestExitCodes: who calls it wrongly is told so, also by the exit code.
func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		says string // on standard error
	}{
		{"", 0, ""}, {"survey", 0, ""}, {"version", 0, ""}, {"validate --help", 0, ""},
		{"validat", 2, "did you mean validate?"}, {"survey lss", 2, `there is no command "lss"`}, {"version now", 2, "too many words"},
		{"validate --nothing", 2, "--nothing"}, {"up x", 2, "too many words"}, {"timeline", 2, "name one person"},
		{"timeline x --data " + t.TempDir(), 3, "no Muster runs"},
	} {
		code, _, errs := with(t.Context(), nil, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(errs, c.says) || (errs == "") != (c.code == 0) {
			t.Errorf("muster %s: exit %d, want %d: %s", c.args, code, c.code, errs)
		}
	}
}

// TestTimelineOfNothing: a list without entries is a list, and the token may be
// named by reference as everywhere.
func TestTimelineOfNothing(t *testing.T) {
	console := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer token" {
			t.Errorf("sent %q", r.Header.Get("Authorization"))
		}
		_, _ = w.Write([]byte(`{"items":[],"next":null}`))
	}))
	defer console.Close()
	file := write(t, "token", "token\n")
	code, out, errs := with(t.Context(), map[string]string{"MUSTER_CONSOLE_URL": console.URL, "MUSTER_API_TOKEN": "file:" + file}, "timeline", "someone", "--json")
	var answer struct{ Result json.RawMessage }
	if err := json.Unmarshal([]byte(out), &answer); err != nil || code != 0 || string(answer.Result) != "[]" {
		t.Errorf("exit %d: %s%s (%v)", code, out, errs, err)
	}
}

// TestToldToStopWhileStarting: it is done, and says nothing that is not so. A
// demo that was not played is not.
func TestToldToStopWhileStarting(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code, out, errs := with(ctx, nil, "up", "--sandbox", "--config", "../../deploy/acme", "--data", t.TempDir()); code != 0 || out+errs != "" {
		t.Errorf("up: exit %d: %s%s", code, out, errs)
	}
	if code, _, errs := with(ctx, nil, "demo", "--config", "../../deploy/acme", "--data", t.TempDir()); code != 1 {
		t.Errorf("demo: exit %d: %s", code, errs)
	}
}

// TestDemoThatFails: the log that its error names is there.
func TestDemoThatFails(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	code, _, errs := with(t.Context(), map[string]string{"MUSTER_NATS_PORT": "wrong", "GOMAXPROCS": "as it is", "GOGC": "as it is"}, "demo", "--config", "../../deploy/acme")
	_, log, ok := strings.Cut(strings.TrimSpace(errs), "the log is ")
	if code != 2 || !ok {
		t.Fatalf("exit %d: %s", code, errs)
	}
	if _, err := os.Stat(log); err != nil || filepath.Base(log) != "muster.log" {
		t.Error(err)
	}
}
