package fake_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connectors/bamboohr"
	"github.com/muster-hr/muster/libs/secret"
)

const key = "0f3d7be1c9aa4e529b1c0f7d2f5ab1e8"

// world is a fake with a clock, and the webhooks that it sent.
type world struct {
	fake.Vendor
	t     *testing.T
	now   time.Time
	hooks []fake.Hook
	sent  func() // called with each webhook
}

func newWorld(t *testing.T, settings map[string]string) *world {
	w := &world{t: t, now: time.Date(2026, 2, 1, 10, 0, 0, 0, time.UTC)}
	w.Vendor = bamboohr.Type.Fake(fake.Options{
		Secret: key, Settings: settings,
		Now: func() time.Time { return w.now },
		Send: func(_ context.Context, h fake.Hook) {
			w.hooks = append(w.hooks, h)
			if w.sent != nil {
				w.sent()
			}
		},
	})
	return w
}

func (w *world) call(method, path, body string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.SetBasicAuth("k", "x")
	r.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	return rec
}

func (w *world) do(verb string, args map[string]any) string {
	w.t.Helper()
	out, err := w.Do(w.t.Context(), verb, args)
	if err != nil {
		w.t.Fatal(err)
	}
	id, _ := out["id"].(string)
	return id
}

func (w *world) field(id, name string) any {
	w.t.Helper()
	res := w.call("GET", "/api/v1/employees/"+id+"?fields="+name, "")
	var m map[string]any
	if err := json.Unmarshal(res.Body.Bytes(), &m); err != nil {
		w.t.Fatal(err)
	}
	return m[name]
}

// kinds are the events of the webhooks sent so far, opened by the connector.
func (w *world) kinds() (events []string) {
	w.t.Helper()
	hook, err := bamboohr.Type.Webhook(connector.Account{Secrets: map[string]secret.Value{"webhook": secret.New(key)}})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, h := range w.hooks {
		recs, res, err := hook.Open(w.t.Context(), connector.Request{Header: h.Header, Body: h.Body, Now: w.now})
		if err != nil || res.Status != 200 || len(recs) != 1 {
			w.t.Fatalf("the connector refused a webhook of its own fake: %d %v", res.Status, err)
		}
		events = append(events, string(recs[0].Kind)+" "+recs[0].Event+" "+recs[0].Key)
	}
	return events
}

// The documented exchanges, word for word.
func TestDocumentedExchanges(t *testing.T) {
	for _, name := range []string{"create-employee-exchange.json", "webhook-registration-exchange.json"} {
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(filepath.Join("..", "testdata", "vendor", name))
			if err != nil {
				t.Fatal(err)
			}
			var x struct {
				Request struct {
					Method, Path string
					Headers      map[string]string
					Body         json.RawMessage
				}
				Response struct {
					Status  int
					Headers map[string]string
					Body    any
				}
			}
			if err := json.Unmarshal(raw, &x); err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, map[string]string{"company_url": "https://northlight.bamboohr.com"})
			got := w.call(x.Request.Method, x.Request.Path, string(x.Request.Body))
			if got.Code != x.Response.Status {
				t.Errorf("status %d, want %d", got.Code, x.Response.Status)
			}
			for h, want := range x.Response.Headers {
				if got.Header().Get(h) != want {
					t.Errorf("%s: %q, want %q", h, got.Header().Get(h), want)
				}
			}
			body, err := io.ReadAll(got.Body)
			if err != nil {
				t.Fatal(err)
			}
			var have any = string(body)
			if _, isText := x.Response.Body.(string); !isText {
				if err := json.Unmarshal(body, &have); err != nil {
					t.Fatal(err)
				}
			}
			if !reflect.DeepEqual(have, x.Response.Body) {
				t.Errorf("body\n%v\nwant\n%v", have, x.Response.Body)
			}
		})
	}
}

func TestWhatIsWritten(t *testing.T) {
	w := newWorld(t, nil)
	w.call("POST", "/api/v1/employees", `{"firstName":"Ola","lastName":"Lis","jobTitle":"Analyst","hireDate":"2026-01-05"}`)
	w.call("POST", "/api/v1/employees/4132", `{"jobTitle":"Head"}`)
	w.call("POST", "/api/v1/employees/4132", `{"jobTitle":"Head"}`) // as it is
	w.call("POST", "/api/v1_1/employees/4132/tables/employmentStatus", `{"date":"2026-03-31","employmentStatus":"Terminated"}`)
	w.call("POST", "/api/v1_1/employees/4132/tables/employmentStatus", `{"date":"2026-04-30","employmentStatus":"Full-Time"}`)
	w.call("POST", "/api/v1_1/employees/4132/tables/compensation", `{"startDate":"2026-02-01","rate":{"value":"9","currency":"EUR"},"nonsense":1}`)
	_, writes := w.Log().State()
	var ops []fake.Op
	for _, x := range writes {
		ops = append(ops, x.Op)
		if x.Key != "4132" || !strings.HasPrefix(x.Traceparent, "00-4bf9") || x.At != w.now {
			t.Errorf("write %+v", x)
		}
	}
	if want := []fake.Op{fake.Create, fake.Update, fake.Disable, fake.Enable, fake.Update}; !slices.Equal(ops, want) {
		t.Errorf("writes %v, want %v", ops, want)
	}
	want := []string{"hint employee.created 4132", "hint employee.updated 4132", "hint employee.updated 4132", "hint employee.updated 4132"}
	if got := w.kinds(); !slices.Equal(got, want) {
		t.Errorf("webhooks %v, want %v: planned rows are told on their day", got, want)
	}
	if got := w.field("4132", "payRate"); got != "9 EUR" {
		t.Errorf("pay %v", got)
	}
}

// What a person does in the screens is no write of ours.
func TestDoIsNotAWrite(t *testing.T) {
	w := newWorld(t, nil)
	id := w.do("hire", map[string]any{"given": "Ola", "family": "Lis", "salary": 72000.0, "currency": "EUR", "department": "Risk", "start": "2026-01-05"})
	w.do("raise", map[string]any{"id": id, "amount": "75000", "effective": "2026-02-01"})
	w.do("move", map[string]any{"id": id, "department": "Pricing"})
	people, writes := w.Log().State()
	if p := people[id]; len(writes) != 0 || p["payRate"] != "75000.00 EUR" || p["department"] != "Pricing" || p["employeeNumber"] != "01001" || p["workEmail"] != "ola.lis@northlight.example" {
		t.Errorf("person %v, writes %v", p, writes)
	}
	if got := len(w.hooks); got != 4 {
		t.Errorf("%d webhooks, want created, updated, updated, updated", got)
	}
	if second := w.do("hire", map[string]any{"given": "Ola", "family": "Lis"}); w.field(second, "workEmail") != "ola.lis2@northlight.example" {
		t.Errorf("second mail %v", w.field(second, "workEmail"))
	}
}

func TestInactiveOnceTheDayHasPassed(t *testing.T) {
	w := newWorld(t, nil)
	id := w.do("hire", map[string]any{"given": "Ola", "family": "Lis", "start": "2026-01-05"})
	w.do("terminate", map[string]any{"id": id, "last_day": "2026-02-03"})
	w.hooks = nil
	for _, c := range []struct{ day, status, label string }{
		{"2026-02-02", "Active", "Full-Time"}, {"2026-02-03", "Active", "Terminated"}, {"2026-02-04", "Inactive", "Terminated"},
	} {
		day, err := time.Parse(time.DateOnly, c.day)
		if err != nil {
			t.Fatal(err)
		}
		w.now = day
		if s, l := w.field(id, "status"), w.field(id, "employmentHistoryStatus"); s != c.status || l != c.label {
			t.Errorf("on %s %v and %v, want %s and %s", c.day, s, l, c.status, c.label)
		}
	}
	if got := len(w.hooks); got != 2 {
		t.Errorf("%d webhooks, want one on the last day and one after it", got)
	}
	w.do("rehire", map[string]any{"id": id, "start": "2026-02-04"})
	for name, want := range map[string]any{"status": "Active", "hireDate": "2026-02-04", "originalHireDate": "2026-01-05", "terminationDate": "0000-00-00"} {
		if got := w.field(id, name); got != want {
			t.Errorf("after the rehire %s is %v, want %v", name, got, want)
		}
	}
}

func TestEmptyValues(t *testing.T) {
	w := newWorld(t, map[string]string{"hidden_fields": "ssn"})
	id := w.do("hire", map[string]any{"given": "Ola", "family": "Lis"})
	for name, want := range map[string]any{"originalHireDate": "0000-00-00", "payRate": " USD", "address2": "", "middleName": nil} {
		if got := w.field(id, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	var m map[string]any
	if err := json.Unmarshal(w.call("GET", "/api/v1/employees/"+id+"?fields=ssn,middleName,nonsense,customX", "").Body.Bytes(), &m); err != nil {
		t.Fatal(err)
	}
	if _, has := m["ssn"]; has || len(m) != 3 {
		t.Errorf("%v: hidden and unknown fields are left out, empty ones are there", m)
	}
	if err := json.Unmarshal(w.call("GET", "/api/v1/employees/"+id, "").Body.Bytes(), &m); err != nil || w.call("GET", "/api/v1/employees/"+id, "").Body.String() != `{"id":"4132"}`+"\n" {
		t.Errorf("without fields only the id is given: %v", m)
	}
}

func TestErrors(t *testing.T) {
	w := newWorld(t, map[string]string{"forbidden_employees": "9", "api_key": "k"})
	w.do("hire", map[string]any{"given": "Ola", "family": "Lis", "work_email": "ola@x.example"})
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/api/v1/employees", `{"firstName":"X"}`, 400},
		{"POST", "/api/v1/employees", `{`, 400},
		{"POST", "/api/v1/employees", `{"firstName":"X","lastName":"Y","workEmail":"OLA@x.example"}`, 409},
		{"POST", "/api/v1/employees", `{"firstName":"X","lastName":"Y","hireDate":"5 Jan"}`, 409},
		{"POST", "/api/v1/employees/4132", `[]`, 400},
		{"POST", "/api/v1/employees/77", `{}`, 404},
		{"GET", "/api/v1/employees/77?fields=a", "", 404},
		{"GET", "/api/v1/employees/9", "", 403},
		{"GET", "/api/v1/employees/changed?since=yesterday", "", 400},
		{"GET", "/api/v1/employees/4132/tables/nonsense", "", 404},
		{"POST", "/api/v1_1/employees/4132/tables/nonsense", `{"date":"2026-01-01"}`, 406},
		{"POST", "/api/v1_1/employees/4132/tables/jobInfo", `{"jobTitle":"x"}`, 412},
		{"POST", "/api/v1_1/employees/4132/tables/jobInfo/1", `{"jobTitle":"x"}`, 404},
		{"POST", "/api/v1/webhooks", `{"name":"x","url":"http://plain.example"}`, 400},
		{"POST", "/api/v1/webhooks", `{"name":"x","url":"https://x.example","events":["employee.updated"]}`, 400},
		{"GET", "/api/v1/webhooks/1", "", 404},
		{"GET", "/api/v2/employees", "", 404},
	} {
		res := w.call(c.method, c.path, c.body)
		if res.Code != c.status || res.Header().Get("X-BambooHR-Error-Message") == "" || res.Body.Len() != 0 {
			t.Errorf("%s %s: %d %q, want %d with the explanation in the header only", c.method, c.path, res.Code, res.Body, c.status)
		}
	}
	r := httptest.NewRequest("GET", "/api/v1/employees/4132", nil)
	r.SetBasicAuth("other", "x")
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	if rec.Code != http.StatusUnauthorized {
		t.Errorf("another key: %d", rec.Code)
	}
	if _, err := w.Do(t.Context(), "promote", nil); !isUnknown(err) {
		t.Errorf("promote: %v", err)
	}
	if _, err := w.Do(t.Context(), "move", map[string]any{"id": "77"}); err == nil || isUnknown(err) {
		t.Errorf("move of nobody: %v", err)
	}
}

func isUnknown(err error) bool {
	_, ok := errors.AsType[fake.ErrUnknownVerb](err)
	return ok
}

func TestRateLimit(t *testing.T) {
	w := newWorld(t, map[string]string{"rate_per_minute": "2"})
	for i, want := range []int{200, 200, 429, 429} {
		w.now = w.now.Add(10 * time.Second)
		res := w.call("GET", "/api/v1/employees", "")
		if res.Code != want {
			t.Errorf("call %d: %d, want %d", i, res.Code, want)
		}
		if after := res.Header().Get("Retry-After"); i == 2 && after != "40" {
			t.Errorf("Retry-After %q, want 40", after)
		}
	}
	w.now = w.now.Add(time.Minute)
	if res := w.call("GET", "/api/v1/employees", ""); res.Code != 200 {
		t.Errorf("in the next minute: %d", res.Code)
	}
}

// The echo of a create may arrive before its answer does.
func TestWebhookBeforeTheAnswer(t *testing.T) {
	for setting, early := range map[string]bool{"": true, "false": false} {
		w := newWorld(t, map[string]string{"hook_before_answer": setting})
		srv := httptest.NewServer(w)
		t.Cleanup(srv.Close)
		hooked := make(chan struct{}, 2)
		answered := make(chan struct{})
		w.sent = func() {
			if !early {
				<-answered // would wait for ever if the answer waited for it
			}
			hooked <- struct{}{}
		}
		r, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL+"/api/v1/employees", strings.NewReader(`{"firstName":"A","lastName":"B"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("k", "x")
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got := len(hooked); early && got != 2 {
			t.Errorf("%d webhooks before the answer, want 2", got)
		}
		close(answered)
		<-hooked
		<-hooked
	}
}

func TestPolls(t *testing.T) {
	w := newWorld(t, nil)
	a := w.do("hire", map[string]any{"given": "A", "family": "B", "department": "Risk"})
	mark := w.now
	w.now = w.now.Add(time.Hour)
	b := w.do("hire", map[string]any{"given": "C", "family": "D"})
	w.now = w.now.Add(time.Hour)
	w.do("delete", map[string]any{"id": a})
	get := func(path string) (m struct {
		Latest    string
		Employees map[string]struct {
			Action string
			Rows   []map[string]any
		}
	}) {
		t.Helper()
		if err := json.Unmarshal(w.call("GET", path, "").Body.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	got := get("/api/v1/employees/changed?since=" + mark.Add(time.Minute).Format(time.RFC3339))
	if got.Latest != "2026-02-01T12:00:00+00:00" || got.Employees[a].Action != "Deleted" || got.Employees[b].Action != "Inserted" {
		t.Errorf("changed %+v", got)
	}
	if got := get("/api/v1/employees/changed?type=inserted&since=2026-01-01T00:00:00Z"); len(got.Employees) != 1 {
		t.Errorf("inserted %+v", got)
	}
	if got := get("/api/v1/employees/changed/tables/employmentStatus?since=2026-01-01T00:00:00Z"); len(got.Employees[b].Rows) != 1 || got.Employees[b].Rows[0]["id"] != nil {
		t.Errorf("table %+v", got)
	}
	if body := w.call("GET", "/api/v1/employees/changed?since=2027-01-01T00:00:00Z", "").Body.String(); !strings.Contains(body, `"employees":[]`) {
		t.Errorf("an empty map prints as a list: %s", body)
	}
	if res := w.call("GET", "/api/v1/employees/all/tables/employmentStatus", ""); strings.Count(res.Body.String(), "employeeId") != 1 {
		t.Errorf("rows of all: %s", res.Body)
	}
	if res := w.call("GET", "/api/v1/employees/directory?onlyCurrent=false", ""); res.Code != 200 || !strings.Contains(res.Body.String(), `"id":"`+b+`"`) {
		t.Errorf("directory: %d %s", res.Code, res.Body)
	}
}

func TestFieldBasedWebhooks(t *testing.T) {
	w := newWorld(t, map[string]string{"hooks": "fields"})
	id := w.do("hire", map[string]any{"given": "Ola", "family": "Lis"})
	w.do("delete", map[string]any{"id": id})
	want := []string{"hint employee.created " + id, "record employee.updated " + id, "hint employee.deleted " + id}
	if got := w.kinds(); !slices.Equal(got, want) {
		t.Errorf("webhooks %v, want %v", got, want)
	}
	if body := string(w.hooks[1].Body); !strings.Contains(body, `"First Name":"Ola"`) {
		t.Errorf("body %s", body)
	}
}

func TestWebhookRegistry(t *testing.T) {
	w := newWorld(t, nil)
	if res := w.call("POST", "/api/v1/webhooks", `{"name":"x","url":"https://x.example"}`); res.Code != 201 {
		t.Fatal(res.Code)
	}
	for _, path := range []string{"/api/v1/webhooks", "/api/v1/webhooks/311"} {
		if res := w.call("GET", path, ""); res.Code != 200 || strings.Contains(res.Body.String(), key) || !strings.Contains(res.Body.String(), "x.example") {
			t.Errorf("%s: %d %s: the key is shown once only", path, res.Code, res.Body)
		}
	}
	w.call("DELETE", "/api/v1/webhooks/311", "")
	if res := w.call("GET", "/api/v1/webhooks/311", ""); res.Code != 404 {
		t.Errorf("deleted: %d", res.Code)
	}
}
