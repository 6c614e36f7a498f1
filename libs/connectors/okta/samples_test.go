package okta

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/secret"
)

// exchange is one request and its answer, as Okta's documentation shows them.
type exchange struct {
	Request struct {
		Method, Path string
		Headers      map[string]string
		Body         any
	}
	Response struct {
		Status  int
		Headers map[string]string
		Body    any
	}
}

func sample(t *testing.T, name string) exchange {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name+".exchange.json"))
	if err != nil {
		t.Fatal(err)
	}
	var x exchange
	if err := json.Unmarshal(raw, &x); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return x
}

// replay answers each request with the sample of the same method and path, and
// keeps what came. What no sample answers is not found.
type replay struct {
	answers []exchange
	came    []exchange
}

func (p *replay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var got exchange
	got.Request.Method, got.Request.Path = r.Method, r.URL.RequestURI()
	raw, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(raw, &got.Request.Body)
	p.came = append(p.came, got)
	for _, x := range p.answers {
		if x.Request.Method == r.Method && x.Request.Path == r.URL.RequestURI() {
			write(w, x)
			return
		}
	}
	if r.URL.Query().Has("search") {
		_, _ = io.WriteString(w, "[]")
		return
	}
	w.WriteHeader(http.StatusNotFound)
	_, _ = io.WriteString(w, `{"errorCode":"E0000007"}`)
}

func write(w http.ResponseWriter, x exchange) {
	for k, v := range x.Response.Headers {
		w.Header().Set(k, v)
	}
	w.WriteHeader(x.Response.Status)
	_ = json.NewEncoder(w).Encode(x.Response.Body)
}

func against(t *testing.T, h http.Handler, settings map[string]any) connector.Sink {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	if settings == nil {
		settings = map[string]any{}
	}
	if settings["terminated_action"] == nil {
		settings["terminated_action"] = "deactivate"
	}
	s, err := Type.Sink(connector.Account{
		BaseURL: server.URL, Settings: settings, Now: time.Now,
		Secrets: map[string]secret.Value{"token": secret.New("00exampleTokenNotReal")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const sampleID = "00u7k2m9qwXr4LbTz5d7"

// TestSamplesAreReproduced: what is written is what Okta's exchanges show, in
// method, path and body, and nothing else is written.
func TestSamplesAreReproduced(t *testing.T) {
	whole := profileOf(t, sample(t, "create-staged"))
	moved := profileOf(t, sample(t, "update-partial"))
	after := map[string]any{}
	for k, v := range whole {
		after[k] = v
	}
	for k, v := range moved {
		after[k] = v
	}
	for _, c := range []struct {
		sample string
		d      connector.Delivery
	}{
		{"create-staged", connector.Delivery{
			Status: "pre_hire", Type: "hr.employee.preboarded.v1", Body: map[string]any{"profile": whole},
		}},
		{"update-partial", connector.Delivery{
			Status: "active", Type: "hr.employee.updated.v1", Refs: connector.Refs{"id": sampleID},
			Before: map[string]any{"profile": whole}, Body: map[string]any{"profile": after}, Previous: 1,
		}},
		{"activate", connector.Delivery{
			Status: "active", Type: "hr.employee.hired.v1", Refs: connector.Refs{"id": sampleID},
			Before: map[string]any{"profile": whole}, Body: map[string]any{"profile": whole}, Previous: 1,
		}},
		{"deactivate", connector.Delivery{
			Status: "terminated", Type: "hr.employee.terminated.v1", Refs: connector.Refs{"id": sampleID},
			Before: map[string]any{"profile": whole}, Body: map[string]any{"profile": whole}, Previous: 1,
		}},
		{"activate-already-active", connector.Delivery{
			Status: "active", Type: "hr.employee.hired.v1", Refs: connector.Refs{"id": sampleID, "status": "STAGED"},
			Before: map[string]any{"profile": whole}, Body: map[string]any{"profile": whole}, Previous: 1,
		}},
	} {
		t.Run(c.sample, func(t *testing.T) {
			want := sample(t, c.sample)
			vendor := &replay{answers: []exchange{want}}
			got, err := against(t, vendor, nil).Apply(t.Context(), c.d, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got.Refs["id"] != sampleID {
				t.Errorf("remembers id %q, want %q", got.Refs["id"], sampleID)
			}
			writes := slices.DeleteFunc(vendor.came, func(x exchange) bool { return x.Request.Method == http.MethodGet })
			if len(writes) != 1 {
				t.Fatalf("%d writes, want 1: %v", len(writes), writes)
			}
			w := writes[0].Request
			if w.Method != want.Request.Method || w.Path != want.Request.Path {
				t.Errorf("wrote %s %s, want %s %s", w.Method, w.Path, want.Request.Method, want.Request.Path)
			}
			if d := cmp.Diff(want.Request.Body, w.Body); d != "" {
				t.Errorf("body (-want +got):\n%s", d)
			}
		})
	}
}

func profileOf(t *testing.T, x exchange) map[string]any {
	t.Helper()
	b, _ := x.Request.Body.(map[string]any)
	p, _ := b["profile"].(map[string]any)
	if p == nil {
		t.Fatal("the sample has no profile")
	}
	return p
}

// TestAnswersAreClassified reads the error answers of the samples.
func TestAnswersAreClassified(t *testing.T) {
	for name, want := range map[string]fault.Error{
		"create-duplicate-login":     {Class: fault.Record, Reason: "exists", Path: "profile.login", Rule: "E0000001"},
		"create-name-too-long":       {Class: fault.Record, Reason: "validation", Path: "profile.lastName", Rule: "E0000001"},
		"activate-already-active":    {Class: fault.Done, Reason: "already_active", Rule: "E0000016"},
		"get-by-login-missing":       {Class: fault.Record, Reason: "not_found", Rule: "E0000007"},
		"profile-mastered-elsewhere": {Class: fault.Record, Reason: "mastered_elsewhere", Rule: "E0000023"},
		"rate-limited":               {Class: fault.Throttled, Reason: "rate_limited", Rule: "E0000047", After: 41 * time.Second},
		"status-not-allowed":         {Class: fault.Record, Reason: "status", Rule: "E0000038"},
		"suspend-wrong-state":        {Class: fault.Record, Reason: "status", Rule: "E0000001"},
	} {
		t.Run(name, func(t *testing.T) {
			x := sample(t, name)
			raw, _ := json.Marshal(x.Response.Body)
			h := http.Header{}
			for k, v := range x.Response.Headers {
				h.Set(k, v)
			}
			got := classify(x.Response.Status, h, raw, time.Now())
			if got == nil {
				t.Fatal("no fault")
			}
			got = &fault.Error{Class: got.Class, Reason: got.Reason, Path: got.Path, Rule: got.Rule, After: got.After}
			if d := cmp.Diff(&want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
	for code, want := range map[string]fault.Class{
		"E0000004": fault.Target, "E0000005": fault.Target, "E0000006": fault.Target, "E0000008": fault.Target, "E0000011": fault.Target,
		"E0000009": fault.Transient, "E0000010": fault.Transient,
		"E0000003": fault.Record, "E0000022": fault.Record,
	} {
		if f := classify(403, http.Header{}, []byte(`{"errorCode":"`+code+`"}`), time.Now()); f.Class != want {
			t.Errorf("%s is %s, want %s", code, f.Class, want)
		}
	}
	if f := classify(502, http.Header{}, []byte("<html>bad gateway</html>"), time.Now()); f.Class != fault.Transient {
		t.Errorf("a proxy's 502 is %s", f.Class)
	}
}

// TestSearchOfTheSample finds by employee number.
func TestSearchOfTheSample(t *testing.T) {
	x := sample(t, "search-by-employee-number")
	vendor := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/users" && r.URL.Query().Get("search") == `profile.employeeNumber eq "E-10417"` {
			write(w, x)
			return
		}
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"errorCode":"E0000007"}`)
	})
	found, err := against(t, vendor, nil).Find(t.Context(), connector.Delivery{Match: connector.Match{EmployeeNumber: "E-10417"}})
	if err != nil || len(found) != 1 || !found[0].Sure || found[0].Refs["id"] != sampleID {
		t.Errorf("found %+v, %v", found, err)
	}
}

func TestCheck(t *testing.T) {
	for status, want := range map[int]fault.Class{200: -1, 401: fault.Target} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "[]")
		}))
		defer server.Close()
		c, err := Type.Check(connector.Account{BaseURL: server.URL, Secrets: map[string]secret.Value{"token": secret.New("x")}})
		if err != nil {
			t.Fatal(err)
		}
		err = c.Check(context.Background())
		if (want < 0) != (err == nil) || (err != nil && fault.Of(err).Class != want) {
			t.Errorf("%d gives %v", status, err)
		}
	}
}
