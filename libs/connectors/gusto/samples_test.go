package gusto

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/secret"
)

// request is a call as Gusto's description shows it.
type request struct {
	Method, Path string
	Status       int
	Body         map[string]any
}

func sample(t testing.TB, name string, into any) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "vendor", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func requestOf(t *testing.T, name, part string) request {
	t.Helper()
	var all map[string]json.RawMessage
	sample(t, name, &all)
	var r request
	if err := json.Unmarshal(all[part], &r); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return r
}

var anyUUID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\{company_uuid\}`)

// TestSamplesAreReproduced: a hire, a raise and an end are exactly the calls of
// the samples, in method, path and body; versions and UUIDs are the fake's.
func TestSamplesAreReproduced(t *testing.T) {
	b := whole()
	person := requestOf(t, "create-employee.json", "request").Body
	delete(person, "self_onboarding") // a setting
	b["employee"] = person
	federal := requestOf(t, "federal-tax.json", "request").Body
	delete(federal, "version")
	delete(federal, "w4_data_type")
	b["federal_tax"] = federal
	w := newWorld(t, nil)
	d := hired(b)
	r := w.apply(t, d)
	same := func(what string, want request, got []sent) {
		t.Helper()
		for _, s := range got {
			if s.method != want.Method || anyUUID.ReplaceAllString(s.path, "*") != anyUUID.ReplaceAllString(want.Path, "*") {
				continue
			}
			if diff := cmp.Diff(shown(want.Body), shown(s.body)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
			return
		}
		t.Errorf("%s: no such call among %v", what, kinds(got))
	}
	calls := w.writes()
	for _, name := range []string{"create-employee", "create-job-and-first-compensation", "update-compensation", "federal-tax", "state-tax", "employee-benefit"} {
		same(name, requestOf(t, name+".json", "request"), calls)
	}
	d = then(d, r, "active", map[string]any{
		"job":          map[string]any{"title": "Senior Field Engineer"},
		"compensation": map[string]any{"rate": "104000.00", "effective_date": "2026-07-01"},
	})
	r = w.apply(t, d)
	same("raise", requestOf(t, "raise-new-effective-dated-compensation.json", "request"), w.writes())
	for _, s := range []struct {
		part string
		day  any
	}{{"request", "2026-05-13"}, {"correct", "2026-05-11"}, {"withdraw", nil}} {
		d = then(d, r, "active", map[string]any{"termination": map[string]any{"effective_date": s.day}})
		r = w.apply(t, d)
		same(s.part, requestOf(t, "terminate.json", s.part), w.writes())
	}
}

// shown is a body whose version and UUIDs are only there or not.
func shown(b map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range b {
		if k == "version" || strings.HasSuffix(k, "_uuid") {
			v = "*"
		}
		out[k] = v
	}
	return out
}

// TestAnswersAreClassified reads the sample of errors.
func TestAnswersAreClassified(t *testing.T) {
	var all []struct {
		Status  int
		Headers map[string]string
		Body    json.RawMessage
	}
	sample(t, "errors.json", &all)
	want := []fault.Error{
		{Class: fault.Record, Reason: reasonStale, Rule: "invalid_resource_version"},
		{Class: fault.Record, Reason: "invalid", Rule: "invalid_attribute_value", Path: "first_name"},
		{Class: fault.Record, Reason: "processed", Rule: "invalid_operation"},
		{Class: fault.Record, Reason: "payroll_blocker", Rule: "payroll_blocker"},
		{Class: fault.Target, Reason: "api_version", Rule: "invalid_api_version"},
		{Class: fault.Throttled, Reason: "rate_limited", After: 41 * time.Second},
	}
	if len(all) != len(want) {
		t.Fatalf("%d samples, want %d", len(all), len(want))
	}
	for i, x := range all {
		h := http.Header{}
		for k, v := range x.Headers {
			h.Set(k, v)
		}
		got := classify(x.Status, h, x.Body, time.Now())
		got = &fault.Error{Class: got.Class, Reason: got.Reason, Path: got.Path, Rule: got.Rule, After: got.After}
		if diff := cmp.Diff(&want[i], got); diff != "" {
			t.Errorf("%d (-want +got):\n%s", i, diff)
		}
	}
}

func TestOtherAnswersAreClassified(t *testing.T) {
	said := func(category string) string {
		return `{"errors":[{"error_key":"base","category":"` + category + `","message":"m"}]}`
	}
	for _, c := range []struct {
		status int
		body   string
		class  fault.Class
		reason string
	}{
		{401, said("invalid_token"), fault.Target, "auth"},
		{403, said("missing_permissions"), fault.Target, "permission"},
		{422, said("missing_permissions"), fault.Target, "permission"},
		{404, said("not_found"), fault.Record, reasonMissing},
		{404, said("deprecated_endpoint"), fault.Target, "api_version"},
		{404, "", fault.Record, reasonMissing},
		{409, said("lock"), fault.Transient, "locked"},
		{422, said("invalid_operation"), fault.Record, reasonRefused},
		{422, said("duplicate_operation"), fault.Record, "invalid"},
		{422, said("missing_parameter"), fault.Record, "invalid"},
		{500, said("invalid_attribute_value"), fault.Transient, "status_500"},
		{502, "<html>bad gateway</html>", fault.Transient, "status_502"},
		{302, "", fault.Target, "redirect"},
	} {
		f := classify(c.status, http.Header{}, []byte(c.body), time.Now())
		if f == nil || f.Class != c.class || f.Reason != c.reason {
			t.Errorf("%d %s is %v, want %s %s", c.status, c.body, f, c.class, c.reason)
		}
	}
	if f := classify(201, http.Header{}, nil, time.Now()); f != nil {
		t.Errorf("201 is %v", f)
	}
}

func TestWaitWithoutRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 2, 14, 20, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		h    http.Header
		want time.Duration
	}{
		"until the window ends": {http.Header{"X-Ratelimit-Reset": {"2026-03-02T14:20:30Z"}}, 30 * time.Second},
		"by their clock":        {http.Header{"X-Ratelimit-Reset": {"2026-03-02T15:00:30Z"}, "Date": {"Mon, 02 Mar 2026 15:00:00 GMT"}}, 30 * time.Second},
		"over already":          {http.Header{"X-Ratelimit-Reset": {"2026-03-02T14:00:00Z"}}, time.Second},
		"nothing said":          {http.Header{}, time.Minute},
		"zero":                  {http.Header{"Retry-After": {"0"}}, time.Second},
	} {
		if got := untilReset(c.h, now); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestCheck(t *testing.T) {
	w := newWorld(t, nil)
	c, err := Type.Check(w.account(nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(t.Context()); err != nil {
		t.Error(err)
	}
	w.do(t, "expire_token", nil)
	if err := c.Check(t.Context()); err == nil || fault.Of(err).Class != fault.Target {
		t.Errorf("a refused token: %v", err)
	}
	for name, spoil := range map[string]func(*connector.Account){
		"no company":   func(a *connector.Account) { a.Settings["company"] = "../x" },
		"no token":     func(a *connector.Account) { a.Secrets = nil },
		"no such zone": func(a *connector.Account) { a.Settings["time_zone"] = "Mars/Olympus" },
	} {
		a := w.account(nil)
		spoil(&a)
		if _, err := Type.Sink(a); err == nil {
			t.Errorf("%s: an account was made", name)
		}
	}
}

// FuzzClassify: whatever a refusal says, its error tells nothing of it but
// documented words.
func FuzzClassify(f *testing.F) {
	f.Add(422, "last_name", "invalid_attribute_value", "Plantedová", "ssn", "2026-03-02T14:21:00Z")
	f.Add(409, "Plantedová", "Plantedová", "Plantedová", "Plantedová", "")
	f.Add(429, "", "", "", "", "9999-12-31T23:59:59Z")
	f.Fuzz(func(t *testing.T, status int, key, category, message, inner, reset string) {
		body, _ := json.Marshal(map[string]any{"errors": []any{map[string]any{
			"error_key": key, "category": category, "message": message,
			"nested_errors": []any{map[string]any{"error_key": inner, "category": category, "message": message}},
		}}})
		h := http.Header{}
		h.Set("X-RateLimit-Reset", reset)
		got := classify(status, h, body, time.Unix(1772461200, 0))
		if (got == nil) != (status < 300) {
			t.Fatalf("%d is %v", status, got)
		}
		if got == nil {
			return
		}
		if got.Class == fault.Throttled && (got.After < time.Second || got.After > time.Hour) {
			t.Errorf("waits %s", got.After)
		}
		if got.Rule != "" && !strings.Contains(strings.Join(categories, " "), got.Rule) {
			t.Errorf("rule %q", got.Rule)
		}
		for part := range strings.SplitSeq(got.Path, ".") {
			if part != "" && !known(part) {
				t.Errorf("path %q", got.Path)
			}
		}
		if text := got.Error(); len(message) > 12 && strings.Contains(text, message) && !strings.Contains("redirects are not followed", message) {
			t.Errorf("%q tells %q", text, message)
		}
	})
}

// FuzzAnswers: whatever Gusto answers to a read, the sink gives a fault or goes
// on, never a panic.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"uuid":"u","version":"v","jobs":[{"uuid":"j","primary":true,"compensations":[]}],"terminations":[{"effective_date":"soon"}]}`))
	f.Add([]byte(`[{"uuid":"u","active":true,"effective_date":"2026-01-01","questions":[{"key":"k","answers":[{"value":1}]}],"state":"OR"}]`))
	f.Add([]byte(`{"jobs":[{"compensations":[{"rate":"1e9"},{"rate":null}]}],"terminations":null}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		a := connector.Account{
			BaseURL: "http://127.0.0.1", Settings: map[string]any{"company": companyID, "send_federal_taxes": true, "send_state_taxes": true},
			Secrets: map[string]secret.Value{"token": secret.New("t")}, Now: func() time.Time { return time.Unix(1772461200, 0) },
			Transport: &alwaysSays{answer},
		}
		sink, err := Type.Sink(a)
		if err != nil {
			t.Fatal(err)
		}
		for _, status := range []string{"active", "terminated", "withdrawn"} {
			d := hired(whole())
			d.Status, d.Refs = status, connector.Refs{refID: "u", refJob: "j", refEnded: "soon"}
			_, _ = sink.Apply(t.Context(), d, nil)
			d.Refs = nil
			_, _ = sink.Apply(t.Context(), d, nil)
		}
	})
}
