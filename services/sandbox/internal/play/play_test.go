package play

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/muster-hr/muster/libs/clock"
	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connectors"
	"github.com/muster-hr/muster/libs/secret"
	"github.com/muster-hr/muster/libs/testkit"
)

// company has an HR system that is both source and target, a payroll with a
// token, and a target that asks for none.
var company = map[string]string{
	"muster.yaml":          "company: acme\nenvironment: sandbox\nzone: Europe/Berlin\n",
	"authority.yaml":       "default: hr\n",
	"sources/hr.yaml":      "connector: bamboohr\nbase_url: https://acme.bamboohr.com\nsecrets: {webhook: env:W, api_key: env:A}\n",
	"targets/hr.yaml":      "connector: bamboohr\nbase_url: https://acme.bamboohr.com\nsecrets: {api_key: env:A}\n",
	"targets/payroll.yaml": "connector: http\nbase_url: https://payroll.example\nsecrets: {api: env:P}\nsettings: {auth: bearer, method: PUT, path: \"/people/{id}\", body: fields}\n",
	"targets/people.yaml":  "connector: ldap\nbase_url: ldaps://dir.example\nsecrets: {password: env:D}\nsettings: {bind_dn: cn=hub, base_dn: dc=x, people_dn: \"ou=people,dc=x\"}\n",
	"targets/open.yaml":    "connector: http\nbase_url: https://open.example\nsettings: {method: PUT, path: \"/people/{id}\", body: fields}\n",
}

func load(t *testing.T) *config.Company {
	t.Helper()
	dir := t.TempDir()
	for name, text := range company {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, problems := config.Load(dir, connectors.All)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return c
}

// ingress stands for ours: it verifies and remembers calls, and answers as it
// is told.
type ingress struct {
	mu     sync.Mutex
	calls  []string // source and what the call says
	answer []int    // statuses of the next calls, then 200
	came   chan struct{}
}

func (i *ingress) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	source := strings.TrimPrefix(r.URL.Path, "/webhooks/")
	hook, err := connectors.All["bamboohr"].Webhook(connector.Account{Settings: map[string]any{"max_age": time.Duration(0)}, Secrets: sandboxSecrets})
	said := "cannot verify"
	if err == nil {
		records, _, err := hook.Open(r.Context(), connector.Request{Method: r.Method, Header: r.Header, Body: body, Now: time.Now()})
		said = "refused"
		if err == nil && len(records) > 0 {
			said = records[0].Key
		}
	}
	i.mu.Lock()
	i.calls = append(i.calls, source+" "+said)
	status := http.StatusOK
	if len(i.answer) > 0 {
		status, i.answer = i.answer[0], i.answer[1:]
	}
	i.mu.Unlock()
	w.WriteHeader(status)
	i.came <- struct{}{}
}

func (i *ingress) take() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	calls := i.calls
	i.calls = nil
	return calls
}

// world is a stage, with an ingress before it and a clock that can be moved.
type world struct {
	*Stage
	in    *ingress
	clock *clock.Movable
}

var sandboxSecrets = map[string]secret.Value{"webhook": config.SandboxSecret("hr", "webhook")}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{in: &ingress{came: make(chan struct{}, 1000)}, clock: new(clock.Movable)}
	server := httptest.NewServer(w.in)
	t.Cleanup(server.Close)
	w.Stage = New(load(t), Options{Now: w.clock.Now, SetClock: w.clock.Set, Ingress: func() string { return server.URL }, Log: testkit.Log(t)})
	w.pause = time.Millisecond
	w.actors["hr"].sources = append(w.actors["hr"].sources, "hr-eu") // a second that listens to the same account
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) call(method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	return rec
}

// ask makes a call that must be answered with status, and reads the answer.
func (w *world) ask(t *testing.T, status int, method, path, body string) (out map[string]any) {
	t.Helper()
	got := w.call(method, path, body)
	if got.Code != status {
		t.Fatalf("%s %s: %d %s, want %d", method, path, got.Code, got.Body, status)
	}
	if got.Body.Len() > 0 {
		if err := json.Unmarshal(got.Body.Bytes(), &out); err != nil {
			t.Fatalf("%s %s: %s: %v", method, path, got.Body, err)
		}
	}
	return out
}

const hire = `{"given":"Ada","family":"Byron","start":"2020-01-01","title":"Engineer","department":"R&D","salary":100,"currency":"EUR"}`

// TestRefusals of the orders under /_sandbox.
func TestRefusals(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"GET", "/_sandbox/nobody/state", "", 404, "unknown_vendor"},
		{"GET", "/_sandbox/nobody/requests", "", 404, "unknown_vendor"},
		{"POST", "/_sandbox/nobody/faults", "{}", 404, "unknown_vendor"},
		{"DELETE", "/_sandbox/nobody/faults", "", 404, "unknown_vendor"},
		{"POST", "/_sandbox/nobody/do/hire", "{}", 404, "unknown_vendor"},
		{"POST", "/_sandbox/hr/do/promote", "{}", 404, "unknown_verb"},
		{"POST", "/_sandbox/payroll/do/hire", "{}", 404, "unknown_verb"},
		{"POST", "/_sandbox/hr/do/raise", `{"id":"1"}`, 400, "do"},
		{"POST", "/_sandbox/hr/do/hire", `[]`, 400, "body"},
		{"POST", "/_sandbox/hr/faults", `{"stats":503}`, 400, "body"},
		{"POST", "/_sandbox/hr/faults", `{"rate":2}`, 400, "fault"},
		{"POST", "/_sandbox/hr/faults", `{"when":"never"}`, 400, "fault"},
		{"POST", "/_sandbox/clock", `{}`, 400, "clock"},
		{"POST", "/_sandbox/clock", `{"now":"soon"}`, 400, "body"},
		{"POST", "/_sandbox/clock", `{"now":"2001-01-01T00:00:00Z"}`, 409, "clock"},
	} {
		got := w.call(c.method, c.path, c.body)
		var e struct {
			Error struct{ Code, Message string }
		}
		if err := json.Unmarshal(got.Body.Bytes(), &e); err != nil || got.Code != c.status || e.Error.Code != c.code || e.Error.Message == "" {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.path, got.Code, got.Body, c.status, c.code)
		}
	}
}

// TestStateAndRequests: an act shows in people, a call in requests, a write of
// ours in writes with its trace; empty lists are lists.
func TestStateAndRequests(t *testing.T) {
	w := newWorld(t)
	if got := w.call("GET", "/_sandbox/payroll/state", "").Body.String(); !strings.Contains(got, `"writes":[]`) || !strings.Contains(got, `"people":{}`) {
		t.Errorf("empty state %s", got)
	}
	if got := w.call("GET", "/_sandbox/payroll/requests", "").Body.String(); !strings.Contains(got, `"requests":[]`) {
		t.Errorf("no requests %s", got)
	}
	id, _ := w.ask(t, 200, "POST", "/_sandbox/hr/do/hire", hire)["id"].(string)
	people, _ := w.ask(t, 200, "GET", "/_sandbox/hr/state", "")["people"].(map[string]any)
	if person, _ := people[id].(map[string]any); person["firstName"] != "Ada" {
		t.Errorf("person %q of %v", id, people)
	}
	w.call("PUT", "/payroll/people/1?a=b", `{"given":"Ada"}`, "Authorization", "Bearer sandbox-payroll-api", "Traceparent", "00-1-2-01")
	state := w.ask(t, 200, "GET", "/_sandbox/payroll/state", "")
	writes, _ := state["writes"].([]any)
	if len(writes) != 1 {
		t.Fatalf("writes %v", writes)
	}
	write, _ := writes[0].(map[string]any)
	if write["key"] != "1" || write["op"] != "create" || write["traceparent"] != "00-1-2-01" || write["at"] == nil || write["body"] == nil {
		t.Errorf("write %v", write)
	}
	seen, _ := w.ask(t, 200, "GET", "/_sandbox/payroll/requests", "")["requests"].([]any)
	if len(seen) != 1 {
		t.Fatalf("requests %v", seen)
	}
	call, _ := seen[0].(map[string]any)
	if call["method"] != "PUT" || call["path"] != "/people/1" || call["status"] != 201.0 || call["traceparent"] != "00-1-2-01" {
		t.Errorf("request %v", call)
	}
}

// TestCredentials: a fake takes the sandbox's secret for its account and no
// other; a target without a credential needs none.
func TestCredentials(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		path, authorization string
		status              int
	}{
		{"/payroll/people/1", "Bearer sandbox-payroll-api", 201},
		{"/payroll/people/1", "Bearer wrong", 401},
		{"/payroll/people/1", "", 401},
		{"/open/people/1", "", 201},
	} {
		if got := w.call("PUT", c.path, `{}`, "Authorization", c.authorization); got.Code != c.status {
			t.Errorf("%s with %q: %d, want %d", c.path, c.authorization, got.Code, c.status)
		}
	}
	r := httptest.NewRequest("GET", "/hr/api/v1/employees/1", nil)
	r.SetBasicAuth("wrong", "x")
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	if rec.Code != 401 {
		t.Errorf("the HR system with a wrong key: %d", rec.Code)
	}
}

// TestFaults: before the effect nothing happens, after it only the answer is
// lost; a fault ends with its times, or when it is taken back.
func TestFaults(t *testing.T) {
	w := newWorld(t)
	server := httptest.NewServer(w.Stage)
	defer server.Close()
	put := func(id string) int {
		req, err := http.NewRequestWithContext(t.Context(), "PUT", server.URL+"/open/people/"+id, bytes.NewReader([]byte(`{}`)))
		if err != nil {
			t.Fatal(err)
		}
		res, err := server.Client().Do(req)
		if err != nil {
			return 0 // cut
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	there := func(id string) bool {
		people, _ := w.ask(t, 200, "GET", "/_sandbox/open/state", "")["people"].(map[string]any)
		return people[id] != nil
	}
	w.ask(t, 204, "POST", "/_sandbox/open/faults", `{"status":503,"times":1,"match":{"method":"PUT","path":"/people/*"}}`)
	if got := put("1"); got != 503 || there("1") {
		t.Errorf("before: %d, there %t", got, there("1"))
	}
	if got := put("1"); got != 201 {
		t.Errorf("after its times: %d", got)
	}
	w.ask(t, 204, "POST", "/_sandbox/open/faults", `{"when":"after_effect"}`)
	if got := put("2"); got != 0 || !there("2") {
		t.Errorf("after the effect: %d, there %t", got, there("2"))
	}
	w.ask(t, 204, "DELETE", "/_sandbox/open/faults", "")
	if got := put("3"); got != 201 {
		t.Errorf("taken back: %d", got)
	}
	var statuses []float64
	requests, _ := w.ask(t, 200, "GET", "/_sandbox/open/requests", "")["requests"].([]any)
	for _, r := range requests {
		s, _ := r.(map[string]any)["status"].(float64)
		statuses = append(statuses, s)
	}
	if len(statuses) < 4 || statuses[0] != 503 || !slices.Contains(statuses, 0) {
		t.Errorf("requests say %v", statuses)
	}
	if got := w.call("PUT", "/payroll/people/1", `{}`, "Authorization", "Bearer sandbox-payroll-api").Code; got != 201 {
		t.Errorf("another fake: %d", got)
	}
}

// TestHeldAnswers: the effect is there while the answer waits, and who went
// away meanwhile is counted.
func TestHeldAnswers(t *testing.T) {
	w := newWorld(t)
	server := httptest.NewServer(w.Stage)
	defer server.Close()
	held := func() map[string]any {
		h, _ := w.ask(t, 200, "GET", "/_sandbox/open/faults", "")["held"].(map[string]any)
		return h
	}
	w.ask(t, 204, "POST", "/_sandbox/open/faults", `{"when":"after_effect","hold":true,"times":1}`)
	ctx, leave := context.WithCancel(t.Context())
	answered := make(chan error, 1)
	go func() {
		r, _ := http.NewRequestWithContext(ctx, "PUT", server.URL+"/open/people/1", strings.NewReader(`{}`))
		_, err := server.Client().Do(r)
		answered <- err
	}()
	until := func(now, cut float64) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); held()["now"] != now || held()["cut"] != cut; {
			if time.Now().After(end) {
				t.Fatalf("held %v, want %v now and %v cut", held(), now, cut)
			}
		}
	}
	until(1, 0)
	people, _ := w.ask(t, 200, "GET", "/_sandbox/open/state", "")["people"].(map[string]any)
	if people["1"] == nil {
		t.Error("no effect while the answer is held")
	}
	leave()
	if <-answered == nil {
		t.Error("who left was answered")
	}
	until(0, 1)
}

// TestSettings that no account knows reach the fake.
func TestSettings(t *testing.T) {
	s := New(load(t), Options{Now: time.Now, Settings: "open.stale_for=1h nobody.x=y payroll.authorization=only-this"})
	call := func(method, path, authorization string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(`{"number":"1"}`))
		r.Header.Set("Authorization", authorization)
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, r)
		return rec
	}
	call("PUT", "/open/people/1", "")
	if got := call("GET", "/open/people?number=1", "").Body.String(); strings.Contains(got, "number") {
		t.Errorf("the search does not lag: %s", got)
	}
	if got := call("PUT", "/payroll/people/1", "only-this").Code; got != 201 {
		t.Errorf("the setting of another fake: %d", got)
	}
}

// TestHooks: what a person does is told to every source that listens to the
// account, signed, before the act is answered.
func TestHooks(t *testing.T) {
	w := newWorld(t)
	id, _ := w.ask(t, 200, "POST", "/_sandbox/hr/do/hire", hire)["id"].(string)
	calls := w.in.take()
	slices.Sort(calls)
	if want := []string{"hr " + id, "hr-eu " + id}; !slices.Equal(slices.Compact(calls), want) {
		t.Errorf("calls before the answer: %v, want %v", calls, want)
	}
	for _, act := range []struct{ verb, body string }{
		{"raise", `{"id":"` + id + `","amount":200,"effective":"2021-01-01"}`}, {"move", `{"id":"` + id + `","department":"Ops"}`},
		{"terminate", `{"id":"` + id + `","last_day":"2022-01-01"}`}, {"rehire", `{"id":"` + id + `","start":"2023-01-01"}`},
	} {
		w.ask(t, 200, "POST", "/_sandbox/hr/do/"+act.verb, act.body)
		if calls := w.in.take(); !slices.Contains(calls, "hr "+id) {
			t.Errorf("%s: calls %v", act.verb, calls)
		}
	}
}

// TestHooksAreSentAgain after a 503 or no answer, beside the act; a 4xx is final.
func TestHooksAreSentAgain(t *testing.T) {
	w := newWorld(t)
	id, _ := w.ask(t, 200, "POST", "/_sandbox/hr/do/hire", hire)["id"].(string)
	for range w.in.take() {
		<-w.in.came
	}
	for _, c := range []struct {
		name    string
		answers []int // hr, hr-eu, then what is sent again
		calls   int
	}{
		{"later", []int{503, 200, 503, 500, 200}, 5},
		{"never", []int{401, 200}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.in.mu.Lock()
			w.in.answer = slices.Clone(c.answers)
			w.in.mu.Unlock()
			w.ask(t, 200, "POST", "/_sandbox/hr/do/move", `{"id":"`+id+`","department":"`+c.name+`"}`)
			for range c.calls {
				select {
				case <-w.in.came:
				case <-time.After(10 * time.Second):
					t.Fatalf("calls %v", w.in.take())
				}
			}
			quiet := time.NewTimer(30 * w.pause) // nothing can signal that nothing comes
			select {
			case <-w.in.came:
				t.Errorf("one call too many: %v", w.in.take())
			case <-quiet.C:
			}
			if calls := w.in.take(); len(calls) != c.calls {
				t.Errorf("%d calls, want %d: %v", len(calls), c.calls, calls)
			}
		})
	}
}

// TestStopEndsHooks: a webhook that nobody takes does not hold up the end.
func TestStopEndsHooks(t *testing.T) {
	s := New(load(t), Options{Now: time.Now, Ingress: func() string { return "http://127.0.0.1:1" }, Log: testkit.Log(t)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, httptest.NewRequest("POST", "/_sandbox/hr/do/hire", strings.NewReader(hire)))
	if rec.Code != 200 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it did not end")
	}
	rec = httptest.NewRecorder()
	s.ServeHTTP(rec, httptest.NewRequest("POST", "/_sandbox/clock", strings.NewReader(`{"now":"2090-01-01T00:00:00Z"}`)))
	if rec.Code != http.StatusConflict {
		t.Errorf("a clock that nobody can move: %d", rec.Code)
	}
}

// TestClock moves all time forward and never back, and what was planned for a
// day that has come is told before the answer.
func TestClock(t *testing.T) {
	w := newWorld(t)
	id, _ := w.ask(t, 200, "POST", "/_sandbox/hr/do/hire", hire)["id"].(string)
	w.ask(t, 200, "POST", "/_sandbox/hr/do/raise", `{"id":"`+id+`","amount":200,"effective":"2080-02-01"}`)
	w.in.take()
	now := w.ask(t, 200, "POST", "/_sandbox/clock", `{"now":"2080-01-31T09:00:00Z"}`)["now"]
	if text, _ := now.(string); !strings.HasPrefix(text, "2080-01-31T09:00:0") {
		t.Errorf("now %v", now)
	}
	if calls := w.in.take(); len(calls) != 0 {
		t.Errorf("a day early: %v", calls)
	}
	w.ask(t, 200, "POST", "/_sandbox/clock", `{"now":"2080-02-01T09:00:00Z"}`)
	if calls := w.in.take(); !slices.Contains(calls, "hr "+id) {
		t.Errorf("the day has come and nobody was told: %v", calls)
	}
	w.ask(t, 409, "POST", "/_sandbox/clock", `{"now":"2080-01-31T09:00:00Z"}`)
	if got := w.clock.Now(); got.Before(time.Date(2080, 2, 1, 9, 0, 0, 0, time.UTC)) {
		t.Errorf("moved back to %s", got)
	}
}

// TestStopEndsDelays: a call that is held back on purpose holds up no stop.
func TestStopEndsDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(load(t), Options{Now: time.Now, Log: testkit.Log(t)})
		if err := s.actors["hr"].faults.Add(fake.Fault{LatencyMS: 3_600_000}); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ran, answered, begin := make(chan error, 1), make(chan bool, 1), time.Now()
		go func() { ran <- s.Run(ctx) }()
		go func() {
			s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/hr/v1/employees", nil))
			answered <- true
		}()
		synctest.Wait()
		stop()
		<-answered
		if err := <-ran; err != nil || time.Since(begin) > 0 {
			t.Errorf("it ended after %s, %v", time.Since(begin), err)
		}
	})
}
