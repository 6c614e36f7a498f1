package fake

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/connector/fake"
)

// company is a fake with a clock.
type company struct {
	fake.Vendor
	now time.Time
}

func newCompany(settings map[string]string) *company {
	c := &company{now: time.Date(2026, 3, 2, 18, 0, 0, 0, time.UTC)}
	c.Vendor = New(fake.Options{Now: func() time.Time { return c.now }, Settings: settings, Secret: "token"})
	return c
}

// call is a call with its answer read.
func (c *company) call(t *testing.T, method, path string, body any) (int, map[string]any) {
	t.Helper()
	raw := []byte(nil)
	if body != nil {
		raw, _ = json.Marshal(body)
	}
	r := httptest.NewRequest(method, path, strings.NewReader(string(raw)))
	r.Header.Set("Authorization", "Bearer x")
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	var out any
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Fatalf("%s %s: %s", method, path, w.Body)
		}
	}
	m, _ := out.(map[string]any)
	if list, ok := out.([]any); ok {
		m = map[string]any{"list": list}
	}
	return w.Code, m
}

// must is a call that succeeds.
func (c *company) must(t *testing.T, method, path string, body any) map[string]any {
	t.Helper()
	code, out := c.call(t, method, path, body)
	if code >= 300 {
		t.Fatalf("%s %s: %d %v", method, path, code, out)
	}
	return out
}

func text(m map[string]any, name string) string { s, _ := m[name].(string); return s }

// category of the first error.
func category(m map[string]any) string {
	list, _ := m["errors"].([]any)
	if len(list) == 0 {
		return ""
	}
	e, _ := list[0].(map[string]any)
	return text(e, "category")
}

type exchange struct {
	Request struct {
		Method, Path string
		Body         map[string]any
	}
	Response struct {
		Status int
		Body   map[string]any
	}
	Correct, Withdraw struct {
		Method, Path string
		Status       int
		Body         map[string]any
	}
}

func sample(t *testing.T, name string) exchange {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "testdata", "vendor", name))
	if err != nil {
		t.Fatal(err)
	}
	var x exchange
	if err := json.Unmarshal(raw, &x); err != nil {
		t.Fatal(err)
	}
	return x
}

// TestSamples plays the exchanges in order: what the fake answers has every
// field of the sample, with the sample's values where they are not UUIDs or
// versions.
func TestSamples(t *testing.T) {
	c := newCompany(nil)
	answered := func(name string, x exchange, status int, got map[string]any) {
		t.Helper()
		if status != x.Response.Status {
			t.Errorf("%s: %d %v, want %d", name, status, got, x.Response.Status)
		}
		for _, d := range missing("", x.Response.Body, got) {
			t.Errorf("%s: %s", name, d)
		}
	}
	play := func(name, path string, patch map[string]any) map[string]any {
		t.Helper()
		x := sample(t, name)
		for k, v := range patch {
			x.Request.Body[k] = v
		}
		status, got := c.call(t, x.Request.Method, path, x.Request.Body)
		if x.Response.Status != 0 {
			answered(name, x, status, got)
		} else if status >= 300 {
			t.Errorf("%s: %d %v", name, status, got)
		}
		return got
	}
	employee := "/v1/employees/" + text(play("create-employee.json", "/v1/companies/a007e1ab-3595-43c2-ab4b-af7a5af2e365/employees", nil), "uuid")
	job := play("create-job-and-first-compensation.json", employee+"/jobs", nil)
	first, _ := job["compensations"].([]any)[0].(map[string]any) //nolint:forcetypeassert // the sample has one
	play("update-compensation.json", "/v1/compensations/"+text(first, "uuid"), map[string]any{"version": first["version"]})
	play("raise-new-effective-dated-compensation.json", "/v1/jobs/"+text(job, "uuid")+"/compensations", nil)
	play("federal-tax.json", employee+"/federal_taxes", map[string]any{"version": c.must(t, "GET", employee+"/federal_taxes", nil)["version"]})
	c.must(t, "POST", employee+"/home_addresses", map[string]any{"street_1": "1 Elm St", "city": "Portland", "state": "OR", "zip": "97201", "effective_date": "2026-02-16"})
	play("state-tax.json", employee+"/state_taxes", nil)
	offered := c.must(t, "GET", "/v1/companies/x/company_benefits", nil)["list"].([]any)[0].(map[string]any) //nolint:forcetypeassert // it is there
	play("employee-benefit.json", employee+"/employee_benefits", map[string]any{"company_benefit_uuid": offered["uuid"]})
	end := play("terminate.json", employee+"/terminations", nil)
	x := sample(t, "terminate.json")
	x.Correct.Body["version"] = end["version"]
	c.must(t, x.Correct.Method, strings.Replace(employee, "/employees/", "/terminations/", 1), x.Correct.Body)
	if status, _ := c.call(t, x.Withdraw.Method, employee+"/terminations", nil); status != x.Withdraw.Status {
		t.Errorf("withdraw: %d", status)
	}
}

// missing compares an answer with a sample.
func missing(at string, want, got any) []string {
	switch want := want.(type) {
	case map[string]any:
		g, _ := got.(map[string]any)
		var out []string
		for k, v := range want {
			switch x, ok := g[k]; {
			case !ok:
				out = append(out, at+"."+k+" is missing")
			case k == "version" || strings.HasSuffix(k, "uuid"):
			default:
				out = append(out, missing(at+"."+k, v, x)...)
			}
		}
		return out
	case []any:
		g, _ := got.([]any)
		if len(g) != len(want) {
			return []string{at + " is another list"}
		}
		var out []string
		for i := range want {
			out = append(out, missing(at, want[i], g[i])...)
		}
		return out
	}
	if d := cmp.Diff(want, got); d != "" {
		return []string{at + " differs: " + d}
	}
	return nil
}

func (c *company) hire(t *testing.T) (employee, job string) {
	t.Helper()
	employee = "/v1/employees/" + text(c.must(t, "POST", "/v1/companies/x/employees", map[string]any{"first_name": "A", "last_name": "B"}), "uuid")
	return employee, "/v1/jobs/" + text(c.must(t, "POST", employee+"/jobs", map[string]any{"title": "T", "hire_date": "2026-02-16"}), "uuid")
}

// TestSampleErrors: the fake refuses with the samples' statuses and words.
func TestSampleErrors(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "testdata", "vendor", "errors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var samples []struct {
		Status int
		Body   map[string]any
	}
	if err := json.Unmarshal(raw, &samples); err != nil {
		t.Fatal(err)
	}
	c := newCompany(nil)
	employee, job := c.hire(t)
	pay := c.must(t, "GET", job+"/compensations", nil)["list"].([]any)[0].(map[string]any) //nolint:forcetypeassert // it is there
	if _, err := c.Do(t.Context(), "process", map[string]any{"id": strings.TrimPrefix(employee, "/v1/employees/")}); err != nil {
		t.Fatal(err)
	}
	for i, ask := range map[int]struct {
		method, path string
		body         map[string]any
	}{
		0: {"PUT", employee, map[string]any{"version": "old", "last_name": "C"}},
		1: {"POST", "/v1/companies/x/employees", map[string]any{"last_name": "B", "date_of_birth": "1991-02-30"}},
		2: {"PUT", "/v1/compensations/" + text(pay, "uuid"), map[string]any{"version": pay["version"], "rate": "1.00"}},
	} {
		status, got := c.call(t, ask.method, ask.path, ask.body)
		if diff := cmp.Diff(samples[i].Body, got); status != samples[i].Status || diff != "" {
			t.Errorf("%d: %d (-want +got):\n%s", i, status, diff)
		}
	}
}

func TestVersions(t *testing.T) {
	c := newCompany(nil)
	employee, _ := c.hire(t)
	before := c.must(t, "GET", employee, nil)
	if code, got := c.call(t, "PUT", employee, map[string]any{"last_name": "C"}); code != 422 || category(got) != "missing_parameter" {
		t.Errorf("without a version: %d %v", code, got)
	}
	after := c.must(t, "PUT", employee, map[string]any{"version": before["version"], "last_name": "C", "employee_number": "7"})
	if after["version"] == before["version"] || after["employee_number"] != nil {
		t.Errorf("after an update: %v", after)
	}
	if code, got := c.call(t, "PUT", employee, map[string]any{"version": before["version"], "last_name": "D"}); code != 409 || category(got) != "invalid_resource_version" {
		t.Errorf("stale: %d %v", code, got)
	}
	back := c.must(t, "PUT", employee, map[string]any{"version": after["version"], "last_name": "B"})
	if back["version"] != before["version"] {
		t.Error("equal content has another version")
	}
}

func TestRefusals(t *testing.T) {
	c := newCompany(nil)
	employee, job := c.hire(t)
	raise := func(rate, unit, flsa, day string) map[string]any {
		return map[string]any{"rate": rate, "payment_unit": unit, "flsa_status": flsa, "effective_date": day}
	}
	for _, x := range []struct {
		method, path string
		body         map[string]any
		status       int
		category     string
	}{
		{"POST", "/v1/companies/x/employees", map[string]any{"first_name": "A", "last_name": "B", "ssn": "900-12-3401"}, 422, "invalid_attribute_value"},
		{"POST", "/v1/companies/x/employees", map[string]any{"first_name": "A", "last_name": "B", "self_onboarding": true}, 422, "missing_parameter"},
		{"POST", employee + "/jobs", map[string]any{"title": "T", "hire_date": "2026-02-16"}, 422, "invalid_operation"},
		{"POST", job + "/compensations", raise("100", "Year", "Exempt", "2026-07-01"), 422, "invalid_attribute_value"},
		{"POST", job + "/compensations", raise("100.00", "Fortnight", "Exempt", "2026-07-01"), 422, "invalid_attribute_value"},
		{"POST", job + "/compensations", raise("100.00", "Year", "Owner", "2026-07-01"), 422, "invalid_attribute_value"},
		{"POST", job + "/compensations", raise("100.00", "Year", "Exempt", "2026-02-16"), 422, "duplicate_operation"},
		{"POST", job + "/compensations", raise("100.00", "Year", "Exempt", "2026-01-01"), 422, "invalid_attribute_value"},
		{"POST", employee + "/work_addresses", map[string]any{"location_uuid": "nowhere", "effective_date": "2026-02-16"}, 422, "invalid_attribute_value"},
		{"POST", employee + "/home_addresses", map[string]any{"street_1": "1 Elm", "city": "X", "state": "Oregon", "zip": "97201", "effective_date": "2026-02-16"}, 422, "invalid_attribute_value"},
		{"POST", employee + "/terminations", map[string]any{}, 422, "missing_parameter"},
		{"POST", employee + "/rehire", map[string]any{"effective_date": "2026-09-01", "file_new_hire_report": true, "work_location_uuid": "x"}, 422, "invalid_attribute_value"},
		{"POST", employee + "/employee_benefits", map[string]any{"company_benefit_uuid": "x"}, 422, "invalid_attribute_value"},
		{"DELETE", employee + "/terminations", nil, 404, "not_found"},
		{"GET", "/v1/employees/nobody", nil, 404, "not_found"},
		{"GET", "/v1/payrolls", nil, 404, "not_found"},
	} {
		code, got := c.call(t, x.method, x.path, x.body)
		if code != x.status || category(got) != x.category {
			t.Errorf("%s %s %v: %d %v, want %d %s", x.method, x.path, x.body, code, got, x.status, x.category)
		}
	}
}

func TestAccess(t *testing.T) {
	c := newCompany(map[string]string{"token": "right", "company": "ours"})
	get := func(path, auth, version string) int {
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Authorization", auth)
		r.Header.Set("X-Gusto-API-Version", version)
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		return w.Code
	}
	for _, x := range []struct {
		path, auth, version string
		want                int
	}{
		{"/v1/companies/ours/employees", "Bearer right", "2025-06-15", 200},
		{"/v1/companies/ours/employees", "Bearer wrong", "2025-06-15", 401},
		{"/v1/companies/ours/employees", "Basic right", "2025-06-15", 401},
		{"/v1/companies/ours/employees", "", "2025-06-15", 401},
		{"/v1/companies/theirs/employees", "Bearer right", "2025-06-15", 404},
		{"/v1/companies/ours/employees", "Bearer right", "2023", 406},
	} {
		if got := get(x.path, x.auth, x.version); got != x.want {
			t.Errorf("%+v: %d", x, got)
		}
	}
}

// TestLimit is a rolling minute, told by headers.
func TestLimit(t *testing.T) {
	c := newCompany(map[string]string{"limit": "2"})
	get := func() *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/v1/companies/x/employees", nil)
		r.Header.Set("Authorization", "Bearer x")
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		return w
	}
	get()
	c.now = c.now.Add(20 * time.Second)
	if w := get(); w.Code != 200 || w.Header().Get("X-RateLimit-Remaining") != "0" {
		t.Errorf("second: %d %v", w.Code, w.Header())
	}
	if w := get(); w.Code != 429 || w.Header().Get("Retry-After") != "40" {
		t.Errorf("third: %d %v", w.Code, w.Header())
	}
	c.now = c.now.Add(40 * time.Second)
	if w := get(); w.Code != 200 {
		t.Errorf("the first is a minute ago: %d", w.Code)
	}
	if w := get(); w.Code != 429 || w.Header().Get("Retry-After") != "20" {
		t.Errorf("the second is not: %d %v", w.Code, w.Header())
	}
}

// TestTheEndComesAfterTheLastDay: somebody is at work on it.
func TestTheEndComesAfterTheLastDay(t *testing.T) {
	c := newCompany(nil)
	employee, _ := c.hire(t)
	c.must(t, "POST", employee+"/terminations", map[string]any{"effective_date": "2026-03-03", "run_termination_payroll": false})
	for _, want := range []struct{ gone, cancelable bool }{{false, true}, {false, false}, {true, false}} {
		p := c.must(t, "GET", employee, nil)
		end := p["terminations"].([]any)[0].(map[string]any) //nolint:forcetypeassert // it is there
		if p["terminated"] != want.gone || end["cancelable"] != want.cancelable || end["active"] != want.gone {
			t.Errorf("on %s: %v %v", c.now.Format(time.DateOnly), p["terminated"], end)
		}
		c.now = c.now.AddDate(0, 0, 1)
	}
	if code, got := c.call(t, "DELETE", employee+"/terminations", nil); code != 422 || category(got) != "invalid_operation" {
		t.Errorf("withdrawn too late: %d %v", code, got)
	}
	place := c.must(t, "GET", "/v1/companies/x/locations", nil)["list"].([]any)[0].(map[string]any) //nolint:forcetypeassert // it is there
	c.must(t, "POST", employee+"/rehire", map[string]any{"effective_date": "2026-09-01", "file_new_hire_report": false, "work_location_uuid": place["uuid"]})
	if p := c.must(t, "GET", employee, nil); p["terminated"] != true {
		t.Error("a rehire that is ahead lets nobody in")
	}
	c.now = c.now.AddDate(1, 0, 0)
	if p := c.must(t, "GET", employee, nil); p["terminated"] != false {
		t.Error("a rehire does not let in")
	}
	if code, _ := c.call(t, "DELETE", employee+"/rehire", nil); code != 422 {
		t.Errorf("a rehire that is active was deleted: %d", code)
	}
}

// TestSearch knows names, terminated or not, and pages; new people appear late
// where that is asked for.
func TestSearch(t *testing.T) {
	c := newCompany(map[string]string{"stale_for": "1h"})
	c.hire(t)
	count := func(query string) int {
		return len(c.must(t, "GET", "/v1/companies/x/employees?"+query, nil)["list"].([]any)) //nolint:forcetypeassert // it is a list
	}
	if n := count("search_term=b"); n != 0 {
		t.Errorf("found at once: %d", n)
	}
	c.now = c.now.Add(2 * time.Hour)
	for query, want := range map[string]int{"search_term=b": 1, "search_term=x": 0, "page=1&per=1": 1, "page=2&per=1": 0, "terminated=true": 0, "": 1} {
		if n := count(query); n != want {
			t.Errorf("%s: %d, want %d", query, n, want)
		}
	}
}

func TestBenefitWithoutADayBeginsIn1970(t *testing.T) {
	c := newCompany(nil)
	employee, _ := c.hire(t)
	offered := c.must(t, "GET", "/v1/companies/x/company_benefits", nil)["list"].([]any)[0].(map[string]any) //nolint:forcetypeassert // it is there
	got := c.must(t, "POST", employee+"/employee_benefits", map[string]any{"company_benefit_uuid": offered["uuid"]})
	if got["effective_date"] != "1970-01-01" {
		t.Errorf("%v", got)
	}
}

func TestEventsAreSigned(t *testing.T) {
	var came []fake.Hook
	v := New(fake.Options{Secret: "token", Settings: map[string]string{"company": "ours"}, Send: func(_ context.Context, h fake.Hook) { came = append(came, h) }})
	c := &company{Vendor: v}
	c.must(t, "POST", "/v1/companies/ours/employees", map[string]any{"first_name": "A", "last_name": "B"})
	if len(came) != 1 {
		t.Fatalf("%d events", len(came))
	}
	var m map[string]any
	if err := json.Unmarshal(came[0].Body, &m); err != nil {
		t.Fatal(err)
	}
	if m["event_type"] != "employee.created" || m["entity_type"] != "Employee" || m["resource_uuid"] != "ours" {
		t.Errorf("event %v", m)
	}
	if diff := cmp.Diff(Sign("token", came[0].Body), came[0].Header); diff != "" {
		t.Error(diff)
	}
	if code, got := c.call(t, http.MethodPost, "/v1/webhook_subscriptions", map[string]any{"url": "https://localhost/x"}); code != 422 {
		t.Errorf("a private address: %d %v", code, got)
	}
}

// TestState is what the sandbox shows of a person: no number, all pay.
func TestState(t *testing.T) {
	c := newCompany(nil)
	employee, job := c.hire(t)
	c.must(t, "POST", job+"/compensations", map[string]any{"rate": "104000.00", "payment_unit": "Year", "flsa_status": "Exempt", "effective_date": "2026-07-01"})
	now := c.must(t, "GET", employee, nil)
	c.must(t, "PUT", employee, map[string]any{"version": now["version"], "ssn": "900123401"})
	people, writes := c.Log().State()
	p := people[strings.TrimPrefix(employee, "/v1/employees/")]
	if p["title"] != "T" || p["has_ssn"] != true || p["ssn"] != nil || len(p["compensations"].([]any)) != 2 || len(writes) != 4 { //nolint:forcetypeassert // it is a list
		t.Errorf("%v, %d writes", p, len(writes))
	}
	if writes[0].Op != fake.Create || writes[1].Op != fake.Update || writes[0].Key != text(p, "uuid") {
		t.Errorf("writes %+v", writes)
	}
	c.must(t, "DELETE", employee, nil)
	if people, _ := c.Log().State(); len(people) != 0 {
		t.Errorf("after a delete: %v", people)
	}
}

func TestVerbs(t *testing.T) {
	c := newCompany(nil)
	if _, err := c.Do(t.Context(), "hire", nil); !errors.Is(err, fake.ErrUnknownVerb("hire")) {
		t.Errorf("hire: %v", err)
	}
	if _, err := c.Do(t.Context(), "edit", map[string]any{"id": "nobody"}); err == nil {
		t.Error("nobody was edited")
	}
	employee, _ := c.hire(t)
	id := strings.TrimPrefix(employee, "/v1/employees/")
	if _, err := c.Do(t.Context(), "edit", map[string]any{"id": id, "fields": map[string]any{"last_name": ""}}); err == nil {
		t.Error("a name was taken away")
	}
	for verb, args := range map[string]map[string]any{"onboard": {}, "retitle": {"title": "U"}, "terminate": {"last_day": "2026-03-31"}} {
		args["id"] = id
		if _, err := c.Do(t.Context(), verb, args); err != nil {
			t.Errorf("%s: %v", verb, err)
		}
	}
	if p := c.must(t, "GET", employee, nil); p["onboarded"] != true || len(p["terminations"].([]any)) != 1 { //nolint:forcetypeassert // it is a list
		t.Errorf("%v", p)
	}
}
