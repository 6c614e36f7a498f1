// Package scimd starts a real SCIM 2.0 server for a test: SCIMMY behind Express
// on Node.js, in memory, with nobody in it. It is gone with the test.
package scimd

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/testkit/npm"
)

//go:embed server.mjs
var program []byte

//go:embed express4.json
var express4 []byte

//go:embed express5.json
var express5 []byte

// Options of a server. The zero value filters, and its paging works.
type Options struct {
	Express5      bool // with Express 5 startIndex and count are ignored: every page is the first
	IgnoreFilters bool // every list is everybody
}

// Server is a running server.
type Server struct {
	URL   string // with the path, as a product would give it
	Token string // a bearer token that may do everything

	client *http.Client
}

// startup is how long Node.js may take on a busy machine.
const startup = 30 * time.Second

// Start gives a fresh server. Where Node.js is missing the test fails and names
// the command.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	packages := express4
	if o.Express5 {
		packages = express5
	}
	dir, err := npm.Install(t.Context(), "scimd", map[string][]byte{"package.json": packages, "server.mjs": program})
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Token: "token-of-a-test", client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: startup}}
	filters := "filter"
	if o.IgnoreFilters {
		filters = "ignore-filters"
	}
	port, err := run(t, dir, s.Token, filters)
	if err != nil {
		t.Fatalf("start the SCIM server: %v", err)
	}
	s.URL = "http://127.0.0.1:" + strconv.Itoa(port) + "/scim/v2"
	return s
}

// run starts the program and waits for the word that it takes calls. It ends
// when its input does: with the test, or with us, however that comes.
func run(t testing.TB, dir, token, filters string) (int, error) {
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "node", filepath.Join(dir, "server.mjs"), token, filters)
	cmd.Dir = dir
	log := &bytes.Buffer{}
	cmd.Stderr = log
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	lines := make(chan string, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r := bufio.NewReader(out)
		first, _ := r.ReadString('\n')
		lines <- first
		_, _ = io.Copy(io.Discard, r)
		_ = cmd.Wait() // it is told to end, and may say so
	}()
	t.Cleanup(func() {
		_ = in.Close()
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
	})
	select {
	case line := <-lines:
		if port, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "port "))); err == nil {
			return port, nil
		}
		<-ended
		return 0, fmt.Errorf("it ended: %s", log)
	case <-time.After(startup):
		return 0, fmt.Errorf("it does not answer within %s", startup)
	}
}

// Call calls the server as somebody else would; the answer is decoded, nil if
// there is none.
func (s *Server) Call(t testing.TB, method, path string, body any) (status int, answer map[string]any) {
	t.Helper()
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			t.Fatal(err)
		}
	}
	q, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, s.URL+path, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+s.Token)
	q.Header.Set("Content-Type", "application/scim+json")
	a, err := s.client.Do(q)
	if err != nil {
		t.Fatalf("call the SCIM server: %v", err)
	}
	defer func() { _ = a.Body.Close() }()
	_ = json.NewDecoder(a.Body).Decode(&answer) // many answers have no body
	return a.StatusCode, answer
}

// Users are all users by id, as the server lists them.
func (s *Server) Users(t testing.TB) map[string]map[string]any {
	t.Helper()
	status, page := s.Call(t, http.MethodGet, "/Users?count=1000", nil)
	if status != http.StatusOK {
		t.Fatalf("list the users: %d", status)
	}
	out := map[string]map[string]any{}
	rows, _ := page["Resources"].([]any)
	for _, row := range rows {
		if u, ok := row.(map[string]any); ok {
			id, _ := u["id"].(string)
			out[id] = u
		}
	}
	return out
}

// Empty takes out everybody.
func (s *Server) Empty(t testing.TB) {
	t.Helper()
	for id := range s.Users(t) {
		if status, _ := s.Call(t, http.MethodDelete, "/Users/"+id, nil); status != http.StatusNoContent {
			t.Fatalf("empty the server: %d", status)
		}
	}
}
