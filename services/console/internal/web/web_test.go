package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/ledger"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/secret"
	"github.com/muster-hr/muster/libs/telemetry"
	"github.com/muster-hr/muster/libs/topology"
	"github.com/muster-hr/muster/services/console/internal/people"
	"github.com/muster-hr/muster/services/console/internal/traces"
)

const id = "aaaabbbbccccddddeeeeffff22"

var at = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

// log is a bus that has one message a subject.
type log map[string]event.Event

func (l log) Last(_ context.Context, stream, subject string) (bus.In, error) {
	if subject == topology.Employee("broken") {
		return bus.In{}, bus.ErrUnavailable
	}
	e, ok := l[subject]
	if !ok {
		return bus.In{}, bus.ErrNotFound
	}
	return bus.In{Stream: stream, Subject: subject, Event: e}, nil
}

// book is a ledger with n entries and a cursor that counts.
type book struct{ n int }

func (b book) Timeline(_ context.Context, employee string, limit int, after string) ([]ledger.Entry, string, error) {
	from := 0
	if after != "" {
		if _, err := fmt.Sscanf(after, "c%d", &from); err != nil {
			return nil, "", fmt.Errorf("read: %w", ledger.ErrCursor)
		}
	}
	var out []ledger.Entry
	for i := from; i < b.n && len(out) < limit; i++ {
		out = append(out, ledger.Entry{At: at, Kind: "delivery", Event: fmt.Sprint("ev", i), Type: "hr.employee.hired.v1", Target: "okta",
			Fields: []string{"name.given"}, Outcome: "applied", TraceID: "0af7651916cd43dd8448eb211c80319c"})
	}
	if from+len(out) < b.n {
		return out, fmt.Sprint("c", from+len(out)), nil
	}
	return out, "", nil
}

func (b book) Dead(context.Context, int, string) ([]ledger.DeadLetter, string, error) {
	if b.n == 0 {
		return nil, "", errors.New("the database is down, password wrong")
	}
	return []ledger.DeadLetter{{ID: "d1", Stage: "map", Reason: "schema", Path: "positions[].fte", At: at}}, "", nil
}

func (b book) Surveys(_ context.Context, w ledger.Which, _ int, _ string) ([]ledger.Response, string, error) {
	if w != (ledger.Which{}) && w != (ledger.Which{Survey: "f1", Status: "unlinked", Employee: "e"}) {
		return nil, "", nil
	}
	r, _ := b.Survey(context.Background(), "r1")
	return []ledger.Response{r}, "c1", nil
}

func (b book) Survey(_ context.Context, id string) (ledger.Response, error) {
	if id != "r1" {
		return ledger.Response{}, ledger.ErrNotFound
	}
	return ledger.Response{ID: "r1", Survey: "f1", Status: "unlinked", SubmittedAt: at, Answers: []ledger.Fact{
		{Question: "shirt", Kind: "choice", Value: "Plantedanswer"}, {Question: "why", Kind: "text"},
	}}, nil
}

func console(t *testing.T, entries int) (*Server, *httptest.Server) {
	t.Helper()
	master, err := seal.ParseMaster(seal.NewMaster())
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.New(t.Context(), &seal.Memory{}, master, seal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	token := sealer.Token("key", "bamboohr", "117")
	said, err := record.Codec{Sealer: sealer, Company: "acme"}.State(t.Context(), token,
		record.Statement{Source: "bamboohr", Employee: id, Status: record.StatusApplied, Event: "ev", AcceptedAt: at, Key: "117"})
	if err != nil {
		t.Fatal(err)
	}
	st := employee.State{
		Head: employee.Head{ID: id, Version: 2, Status: "active", Contains: map[string]uint64{"bamboohr." + token: 1}},
		Fields: employee.Flat{"name.given": "Plantedname", "employment.status": "active",
			"compensation": map[string]any{"amount": "71234.00", "currency": "USD"}},
	}
	head, basic, restricted, err := st.Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := sealer.Seal(t.Context(), id, "c1|"+event.EmployeeHiredV1, seal.Envelope{Head: head, Basic: basic, Restricted: restricted})
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{
		People: &people.Directory{
			Log:    log{said.Subject: said.Event, topology.Employee(id): event.New("c1", "/muster/acme/transform", event.EmployeeHiredV1, data)},
			Sealer: sealer, Company: "acme",
		},
		Ledger: book{entries}, Traces: traces.NewStore(traces.Limits{}),
		Tokens: []Token{{"api", secret.New("first-token")}, {"approver", secret.New("second-token")}},
		Now:    time.Now, Log: slog.New(slog.DiscardHandler),
	}
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	return s, server
}

func call(t *testing.T, method, url string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestWhoMayUseTheAPI(t *testing.T) {
	_, server := console(t, 1)
	tests := []struct {
		header string
		want   int
	}{
		{"", 401}, {"first-token", 401}, {"Bearer", 401}, {"Bearer ", 401}, {"Bearer wrong", 401}, {"Bearer first-toke", 401},
		{"Bearer first-token2", 401}, {"Basic first-token", 401}, {"Bearer first-token second-token", 401},
		{"Bearer first-token", 200}, {"bearer second-token", 200},
	}
	for _, tt := range tests {
		for _, path := range []string{"/api/v1/employees/" + id, "/api/v1/dead", "/api/v1/employees/" + id + "/timeline"} {
			if res, body := call(t, "GET", server.URL+path, "Authorization", tt.header); res.StatusCode != tt.want {
				t.Errorf("%s with %q: %d, want %d: %s", path, tt.header, res.StatusCode, tt.want, body)
			}
		}
	}
	if res, _ := call(t, "GET", server.URL+"/api/v1/nothing"); res.StatusCode != 401 {
		t.Errorf("an unknown path tells strangers more than 401: %d", res.StatusCode)
	}
	if res, _ := call(t, "GET", server.URL+"/api/v1/openapi.json"); res.StatusCode != 200 {
		t.Errorf("openapi.json: %d", res.StatusCode)
	}
}

// A console without tokens refuses everybody, also who sends an empty one.
func TestNoTokenMeansNobody(t *testing.T) {
	for _, tokens := range [][]Token{nil, {{"api", secret.Value{}}}} {
		s, _ := console(t, 1)
		s.Tokens = tokens
		h := s.Handler()
		for _, header := range []string{"Bearer", "Bearer ", ""} {
			r := httptest.NewRequest("GET", "/api/v1/dead", nil)
			r.Header.Set("Authorization", header)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != 401 {
				t.Errorf("%q: %d", header, w.Code)
			}
		}
	}
}

func TestAPI(t *testing.T) {
	_, server := console(t, 3)
	tests := []struct {
		path string
		code int
		want string // part of the body
	}{
		{"/employees?external=bamboohr:117", 200, `{"items":[{"id":"` + id + `","status":"active","version":2,"external":{"bamboohr":["117"]},"masked":true}],"next":null}`},
		{"/employees?external=bamboohr:118", 200, `{"items":[],"next":null}`},
		{"/employees?external=bamboohr", 400, `"code":"bad_external"`},
		{"/employees?q=" + id, 200, `"id":"` + id + `"`},
		{"/employees?q=nobody@acme.example", 200, `"items":[]`},
		{"/employees", 400, `"code":"bad_query"`},
		{"/employees?q=a&external=b:c", 400, `"code":"bad_query"`},
		{"/employees/" + id, 200, `"name":{"given":"***"}`},
		{"/employees/" + id + "?show=1", 200, `"name":{"given":"Plantedname"}`},
		{"/employees/bamboohr:117", 200, `"version":2`},
		{"/employees/bamboohr:118", 404, `{"error":{"code":"unknown_employee"`},
		{"/employees/nobody", 404, `"ok":false`},
		{"/employees/broken", 503, `"code":"unavailable"`},
		{"/employees/" + id + "/timeline", 200, `"kind":"delivery"`},
		{"/employees/" + id + "/timeline?limit=2", 200, `"next":"c2"`},
		{"/employees/" + id + "/timeline?limit=2&after=c2", 200, `"next":null`},
		{"/employees/" + id + "/timeline?limit=0", 400, `"code":"bad_limit"`},
		{"/employees/" + id + "/timeline?limit=1001", 400, `"path":"limit"`},
		{"/employees/" + id + "/timeline?after=x", 400, `"code":"bad_cursor"`},
		{"/employees/%00/timeline", 400, `"code":"bad_text"`},
		{"/surveys?survey=%ff", 400, `"code":"bad_text"`},
		{"/dead", 200, `"path":"positions[].fte"`},
		{"/traces/0af7651916cd43dd8448eb211c80319c", 404, `"code":"unknown_trace"`},
		{"/surveys", 200, `"answers":[{"question":"shirt","kind":"choice","value":"***","min":null,"max":null},{"question":"why","kind":"text","value":null,`},
		{"/surveys", 200, `"next":"c1"`},
		{"/surveys?show=1", 200, `"value":"Plantedanswer"`},
		{"/surveys?survey=f1&status=unlinked&employee=e", 200, `"id":"r1"`},
		{"/surveys?survey=f2", 200, `"items":[]`},
		{"/surveys?status=open", 400, `"code":"bad_status"`},
		{"/surveys?limit=0", 400, `"code":"bad_limit"`},
		{"/surveys/r1", 200, `"value":"***"`},
		{"/surveys/r1?show=1", 200, `"value":"Plantedanswer"`},
		{"/surveys/r2", 404, `"code":"unknown_response"`},
		{"/traces/garbage", 404, `"code":"unknown_trace"`},
		{"/elsewhere", 404, `"code":"unknown_path"`},
	}
	for _, tt := range tests {
		res, body := call(t, "GET", server.URL+"/api/v1"+tt.path, "Authorization", "Bearer first-token")
		if res.StatusCode != tt.code || !strings.Contains(body, tt.want) {
			t.Errorf("%s: %d %s\nwant %d with %s", tt.path, res.StatusCode, body, tt.code, tt.want)
		}
		if res.Header.Get("Content-Type") != "application/json" || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", tt.path, res.Header)
		}
	}
	if res, body := call(t, "POST", server.URL+"/api/v1/dead", "Authorization", "Bearer first-token"); res.StatusCode != 404 || !strings.Contains(body, "unknown_path") {
		t.Errorf("POST: %d %s", res.StatusCode, body)
	}
}

// A name that is written wrong is not somebody to whom nothing happened.
func TestTimelineOfNobody(t *testing.T) {
	_, server := console(t, 0)
	for path, want := range map[string]string{"nobody": `"code":"unknown_employee"`, "a.b": `"code":"unknown_employee"`, id: `{"items":[],"next":null}`, "broken": `"code":"unavailable"`} {
		if _, body := call(t, "GET", server.URL+"/api/v1/employees/"+path+"/timeline", "Authorization", "Bearer first-token"); !strings.Contains(body, want) {
			t.Errorf("%s: %s, want %s", path, body, want)
		}
	}
}

// What the database says may hold anything; it goes to the log, not out.
func TestAnErrorDoesNotLeaveTheHouse(t *testing.T) {
	_, server := console(t, 0)
	res, body := call(t, "GET", server.URL+"/api/v1/dead", "Authorization", "Bearer first-token")
	if res.StatusCode != 503 || strings.Contains(body, "password") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

// Every path and property of the description exists, and every answer has the
// properties that it promises.
func TestOpenAPIDescribesTheAnswers(t *testing.T) {
	var doc struct {
		Paths      map[string]map[string]any
		Components struct {
			Schemas map[string]struct {
				Required   []string
				Properties map[string]any
			}
		}
	}
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	s, server := console(t, 1)
	span := exported(t, s)
	examples := map[string]struct{ path, schema string }{
		"/api/v1/employees":               {"/api/v1/employees?q=" + id, "EmployeeSummary"},
		"/api/v1/employees/{id}":          {"/api/v1/employees/" + id, "Employee"},
		"/api/v1/employees/{id}/timeline": {"/api/v1/employees/" + id + "/timeline", "Entry"},
		"/api/v1/traces/{id}":             {"/api/v1/traces/" + span, "Trace"},
		"/api/v1/dead":                    {"/api/v1/dead", "DeadLetter"},
		"/api/v1/surveys":                 {"/api/v1/surveys", "Response"},
		"/api/v1/surveys/{id}":            {"/api/v1/surveys/r1", "Response"},
	}
	for path := range doc.Paths {
		ex, ok := examples[path]
		if !ok {
			t.Errorf("%s is described and not tried here", path)
			continue
		}
		_, body := call(t, "GET", server.URL+ex.path, "Authorization", "Bearer first-token")
		var got map[string]any
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		if items, ok := got["items"].([]any); ok {
			got = items[0].(map[string]any)
		}
		schema := doc.Components.Schemas[ex.schema]
		for name := range got {
			if _, ok := schema.Properties[name]; !ok {
				t.Errorf("%s: %s is not described", path, name)
			}
		}
		for _, name := range schema.Required {
			if _, ok := got[name]; !ok {
				t.Errorf("%s: %s is missing in %s", path, name, body)
			}
		}
	}
	if len(doc.Paths) != len(examples) {
		t.Errorf("%d paths are described, %d exist", len(doc.Paths), len(examples))
	}
}

// exported sends a trace with a hostile name and gives its id.
func exported(t *testing.T, s *Server) (traceID string) {
	t.Helper()
	otlp := httptest.NewServer(s.Handler())
	defer otlp.Close()
	tel, err := telemetry.Open(t.Context(), telemetry.Options{Service: "delivery-okta", ConsoleOTLP: otlp.URL})
	if err != nil {
		t.Fatal(err)
	}
	ctx, root := tel.Tracer().Start(t.Context(), "<script>alert(1)</script>")
	_, child := tel.Tracer().Start(ctx, "process hr.employee.{id}")
	child.End()
	root.End()
	if err := tel.Shutdown(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	return root.SpanContext().TraceID().String()
}

func TestPages(t *testing.T) {
	s, server := console(t, 1)
	traceID := exported(t, s)
	for path, want := range map[string]string{
		"/traces":            traceID,
		"/traces/" + traceID: "process hr.employee.{id}",
		"/traces/0af7651916cd43dd8448eb211c80319c": "No span of this trace",
		"/login?to=/traces":                        `name="token"`,
	} {
		res, body := call(t, "GET", server.URL+path)
		if !strings.Contains(body, want) || !strings.Contains(res.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %d, %q is missing in\n%s", path, res.StatusCode, want, body)
		}
		if strings.Contains(body, "<script>") {
			t.Errorf("%s: a span's name became markup", path)
		}
		// From elsewhere the trace pages need a session too.
		if res, _ := call(t, "GET", server.URL+path, "Host", "console.acme.example"); !strings.HasPrefix(path, "/login") && res.StatusCode != 303 {
			t.Errorf("%s for another host's name: %d", path, res.StatusCode)
		}
	}
	if res, _ := call(t, "GET", server.URL+"/employees/"+id); res.StatusCode != 303 || !strings.HasPrefix(res.Header.Get("Location"), "/login") {
		t.Errorf("an employee's page without a session: %d", res.StatusCode)
	}
}

func TestLogin(t *testing.T) {
	s, server := console(t, 1)
	login := func(token, to string) *http.Response {
		form := url.Values{"token": {token}, "to": {to}}
		req, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/login", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		res, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res
	}
	if res := login("wrong", "/traces"); res.StatusCode != 401 || len(res.Cookies()) != 0 {
		t.Fatalf("a wrong token: %d %v", res.StatusCode, res.Cookies())
	}
	for to, want := range map[string]string{
		"/employees/x": "/employees/x", "//evil.example": "/traces", "https://evil.example/": "/traces", `/\evil.example`: "/traces", "": "/traces",
	} {
		if got := login("first-token", to).Header.Get("Location"); got != want {
			t.Errorf("back to %q leads to %q", to, got)
		}
	}
	c := login("second-token", "/")
	good := c.Cookies()[0]
	if !good.HttpOnly || good.SameSite != http.SameSiteStrictMode {
		t.Errorf("cookie %+v", good)
	}
	res, body := call(t, "GET", server.URL+"/employees/bamboohr:117", "Cookie", good.String())
	if res.StatusCode != 200 || !strings.Contains(body, "hr.employee.hired.v1") || !strings.Contains(body, "approver") {
		t.Errorf("the page: %d %s", res.StatusCode, body)
	}
	if strings.Contains(body, "Plantedname") || strings.Contains(body, "71234") {
		t.Errorf("the page shows a value of the person")
	}
	for _, bad := range []string{"api" + strings.TrimPrefix(good.Value, "approver"), good.Value + "0", "", "approver.99999999999.", "approver"} {
		if res, _ := call(t, "GET", server.URL+"/employees/"+id, "Cookie", cookie+"="+bad); res.StatusCode != 303 {
			t.Errorf("cookie %q: %d", bad, res.StatusCode)
		}
	}
	s.guard.now = func() time.Time { return time.Now().Add(sessionLength + time.Minute) }
	if res, _ := call(t, "GET", server.URL+"/employees/"+id, "Cookie", good.String()); res.StatusCode != 303 {
		t.Errorf("an old session: %d", res.StatusCode)
	}
	if res, _ := call(t, "GET", server.URL+"/api/v1/dead", "Cookie", good.String()); res.StatusCode != 401 {
		t.Errorf("a cookie opens the API, so another site could: %d", res.StatusCode)
	}
}

func TestAtThisMachine(t *testing.T) {
	tests := []struct {
		peer, host, forwarded string
		want                  bool
	}{
		{"127.0.0.1:5000", "127.0.0.1:8081", "", true},
		{"127.0.0.1:5000", "localhost:8081", "", true},
		{"[::1]:5000", "[::1]:8081", "", true},
		{"[::ffff:127.0.0.1]:5000", "localhost", "", true},
		{"127.0.0.1:5000", "rebound.example:8081", "", false},
		{"127.0.0.1:5000", "127.0.0.1.example", "", false},
		{"10.0.0.7:5000", "localhost:8081", "", false},
		{"127.0.0.1:5000", "localhost:8081", "203.0.113.9", false},
		{"garbage", "localhost", "", false},
	}
	for _, tt := range tests {
		r := httptest.NewRequest("GET", "/traces", nil)
		r.RemoteAddr, r.Host = tt.peer, tt.host
		if tt.forwarded != "" {
			r.Header.Set("X-Forwarded-For", tt.forwarded)
		}
		if got := atThisMachine(r); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

func TestRefuseHasTheFormOfAllErrors(t *testing.T) {
	var out bytes.Buffer
	w := httptest.NewRecorder()
	w.Body = &out
	refuse(w, problem{418, "code", "message", "path", "fix"})
	if got := strings.TrimSpace(out.String()); got != `{"error":{"code":"code","message":"message","path":"path","fix":"fix"},"ok":false}` || w.Code != 418 {
		t.Errorf("%d %s", w.Code, got)
	}
}
