package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// bin is the folder of the programs, built once.
var bin string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "muster-e2e-bin-")
	if err != nil {
		panic(err)
	}
	bin = dir
	build := exec.Command("go", "build", "-o", dir, "github.com/muster-hr/muster/services/muster/cmd/muster")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Printf("build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// root is the top of the repository.
func root(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// addresses is what `muster up` writes.
type addresses struct {
	PID      int    `json:"pid"`
	Ingress  string `json:"ingress"`
	Console  string `json:"console"`
	Sandbox  string `json:"sandbox"`
	Postgres string `json:"postgres"`
	APIToken string `json:"api_token"`
	NATS     struct {
		URL   string            `json:"url"`
		PID   int               `json:"pid"`
		NKeys map[string]string `json:"nkeys"`
	} `json:"nats"`
	Services map[string]struct {
		URL string `json:"url"`
		PID int    `json:"pid"`
	} `json:"services"`
	Sources map[string]struct {
		Webhook string `json:"webhook"`
		Secret  string `json:"secret"`
	} `json:"sources"`
}

// system is a running muster.
type system struct {
	addresses
	t    testing.TB
	data string
	cmd  *exec.Cmd
	out  *lines
	log  *lines
	done chan error
}

// lines collects output and tells who waits for it.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// muster runs one command to its end.
func muster(t testing.TB, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "muster"), args...)
	cmd.Env = append(os.Environ(), env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), out.String(), errs.String()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0, out.String(), errs.String()
}

// start brings a system up and waits until it is ready. It is stopped, and its
// log shown if the test failed, when the test ends.
func start(t testing.TB, data string, env []string, args ...string) *system {
	t.Helper()
	return startWith(t, bin, data, env, args...)
}

// startWith is start with the programs of another folder.
func startWith(t testing.TB, programs, data string, env []string, args ...string) *system {
	t.Helper()
	s := &system{t: t, data: data, out: &lines{}, log: &lines{}, done: make(chan error, 1)}
	s.cmd = exec.Command(filepath.Join(programs, "muster"), append(args, "--data", data)...)
	_, port, _ := net.SplitHostPort(freePort(t)) // not the usual one, which another broker may take while ours is killed
	s.cmd.Env = append(append(os.Environ(), "MUSTER_NATS_PORT="+port, "MUSTER_INGRESS_ADDR=127.0.0.1:0", "MUSTER_CONSOLE_ADDR="+freePort(t), "MUSTER_SANDBOX_ADDR="+freePort(t)), env...)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.done <- s.cmd.Wait() }()
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			t.Logf("log of muster:\n%s", tail(s.logText(), 6000))
		}
	})
	file := filepath.Join(data, "addresses.json")
	s.until("addresses.json", 90*time.Second, func() bool {
		b, err := os.ReadFile(file)
		return err == nil && json.Unmarshal(b, &s.addresses) == nil && s.PID == s.cmd.Process.Pid
	})
	return s
}

func (s *system) logText() string {
	b, _ := os.ReadFile(filepath.Join(s.data, "muster.log")) // only the demo writes it
	return s.log.String() + string(b)
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// stop ends the system as an operator would.
func (s *system) stop() {
	if s.cmd.ProcessState != nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-s.done:
		s.done <- err
		if err != nil {
			s.t.Errorf("muster ended with %v", err)
		}
	case <-time.After(25 * time.Second):
		_ = s.cmd.Process.Kill()
		s.t.Error("muster did not drain within 25 s")
	}
}

// kill ends it as a power cut would.
func (s *system) kill() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

// until waits for something to become true.
func (s *system) until(what string, limit time.Duration, ok func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case err := <-s.done:
			s.done <- err
			s.t.Fatalf("muster ended while waiting for %s: %v\n%s", what, err, tail(s.logText(), 4000))
		case <-tick.C:
			if time.Now().After(deadline) {
				s.t.Fatalf("%s: not seen within %s", what, limit)
			}
		}
	}
}

// call makes a request and decodes its answer.
func (s *system) call(method, url string, header http.Header, in, out any) int {
	s.t.Helper()
	var body io.Reader
	switch in := in.(type) {
	case nil:
	case []byte:
		body = bytes.NewReader(in)
	default:
		b, err := json.Marshal(in)
		if err != nil {
			s.t.Fatal(err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		s.t.Fatal(err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0
	}
	if out != nil && len(bytes.TrimSpace(b)) > 0 {
		if err := json.Unmarshal(b, out); err != nil {
			s.t.Fatalf("%s %s: %v: %s", method, url, err, b)
		}
	}
	return resp.StatusCode
}

// api asks the console.
func (s *system) api(path string, out any) int {
	s.t.Helper()
	return s.call(http.MethodGet, s.Console+"/api/v1"+path, http.Header{"Authorization": {"Bearer " + s.APIToken}}, nil, out)
}

// known finds an employee by a vendor's key.
func (s *system) known(external string) (id string, ok bool) {
	s.t.Helper()
	var found struct{ Items []struct{ ID string } }
	if s.api("/employees?external="+external, &found) != http.StatusOK || len(found.Items) != 1 {
		return "", false
	}
	return found.Items[0].ID, true
}

// vendor is the state of one fake.
type vendor struct {
	People map[string]map[string]any `json:"people"`
	Writes []struct {
		Key         string `json:"key"`
		Op          string `json:"op"`
		Body        any    `json:"body"`
		Traceparent string `json:"traceparent"`
	} `json:"writes"`
}

func (s *system) vendor(name string) vendor {
	s.t.Helper()
	var v vendor
	s.call(http.MethodGet, s.Sandbox+"/_sandbox/"+name+"/state", nil, nil, &v)
	return v
}

func (s *system) do(vendor, verb string, args map[string]any) map[string]any {
	s.t.Helper()
	var out map[string]any
	if code := s.call(http.MethodPost, s.Sandbox+"/_sandbox/"+vendor+"/do/"+verb, nil, args, &out); code != http.StatusOK {
		s.t.Fatalf("%s at %s answered %d: %v", verb, vendor, code, out)
	}
	return out
}

func (s *system) fault(vendor string, f map[string]any) {
	s.t.Helper()
	if code := s.call(http.MethodPost, s.Sandbox+"/_sandbox/"+vendor+"/faults", nil, f, nil); code != http.StatusNoContent {
		s.t.Fatalf("fault at %s answered %d", vendor, code)
	}
}

// copyDir copies a company's folder, so that a test may break it.
func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

func edit(t testing.TB, file, old, new string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), old) {
		t.Fatalf("%s does not hold %q", file, old)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(b), old, new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}
