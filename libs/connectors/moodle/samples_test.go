package moodle

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/secret"
)

// exchange is one request and its answer, as the code of Moodle gives them.
type exchange struct {
	Request struct {
		Method, Path string
		Text         string `json:"body_text"`
	}
	Response struct {
		Status  int
		Headers map[string]string
		Body    json.RawMessage
		Text    string `json:"body_text"`
	}
}

func (x exchange) answer() []byte {
	if x.Response.Text != "" {
		return []byte(x.Response.Text)
	}
	return x.Response.Body
}

func sample(t testing.TB, name string) exchange {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "vendor", name+".exchange.json"))
	if err != nil {
		t.Fatal(err)
	}
	var x exchange
	if err := json.Unmarshal(raw, &x); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return x
}

// replay answers each request with the exchange of the same bytes, lookups that
// no exchange answers with nobody, and keeps what came.
type replay struct {
	answers []exchange

	mu   sync.Mutex
	came []string
}

func (p *replay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(r.Body)
	p.mu.Lock()
	p.came = append(p.came, r.Method+" "+r.URL.RequestURI()+"\n"+string(raw))
	p.mu.Unlock()
	for _, x := range p.answers {
		if x.Request.Method == r.Method && x.Request.Path == r.URL.RequestURI() && x.Request.Text == string(raw) {
			for k, v := range x.Response.Headers {
				w.Header().Set(k, v)
			}
			w.WriteHeader(x.Response.Status)
			_, _ = w.Write(x.answer())
			return
		}
	}
	_, _ = io.WriteString(w, "[]")
}

// against makes a sink with the settings that Type gives, and others.
func against(t *testing.T, h http.Handler, settings map[string]any) *sink {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	all := map[string]any{}
	for name, s := range Type.Settings {
		if s.Default != nil {
			all[name] = s.Default
		}
	}
	for name, v := range settings {
		all[name] = v
	}
	s, err := Type.Sink(connector.Account{BaseURL: server.URL, Settings: all, Now: time.Now, Secrets: map[string]secret.Value{"token": secret.New(token + "\n")}})
	if err != nil {
		t.Fatal(err)
	}
	return s.(*sink)
}

// zofia is the learner of the exchanges.
func zofia() map[string]any {
	return map[string]any{
		"username": "zofia.lukasik-zak@brightfjord.example", "firstname": "Zofia", "lastname": "Łukasik-Żak",
		"email": "zofia.lukasik-zak@brightfjord.example", "idnumber": "E-10417", "department": "Payroll", "lang": "pl",
		"customfields": map[string]any{"costcentre": "CC-4130"},
	}
}

func with(b map[string]any, name string, v any) map[string]any { b[name] = v; return b }

// TestSamplesAreReproduced: what is sent is, byte for byte, what the exchanges
// show, and the answer is read as they mean it.
func TestSamplesAreReproduced(t *testing.T) {
	known := connector.Refs{refID: "4711", refSuspended: "0"}
	for _, c := range []struct {
		sample string
		d      connector.Delivery
		want   connector.Refs
	}{
		{"create", connector.Delivery{Status: "active", Body: zofia()}, known},
		{"suspend", connector.Delivery{Status: "terminated", Refs: known, Before: zofia(), Body: zofia()}, connector.Refs{refID: "4711", refSuspended: "1"}},
		{"cohort-add-already-member", connector.Delivery{Status: "active", Refs: known, Before: zofia(), Body: with(zofia(), "cohorts", []any{"dept-payroll"})},
			connector.Refs{refID: "4711", refSuspended: "0", refCohorts: "dept-payroll"}},
		{"enrol", connector.Delivery{Status: "active", Refs: known, Before: zofia(), Body: with(zofia(), "courses", []any{json.Number("88")})},
			connector.Refs{refID: "4711", refSuspended: "0", refCourses: "88"}},
	} {
		t.Run(c.sample, func(t *testing.T) {
			want := sample(t, c.sample)
			vendor := &replay{answers: []exchange{want}}
			got, err := against(t, vendor, map[string]any{"read_back": false}).Apply(t.Context(), c.d, nil)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got.Refs); d != "" {
				t.Errorf("refs (-want +got):\n%s", d)
			}
			if d := cmp.Diff([]string{"POST " + want.Request.Path + "\n" + want.Request.Text}, vendor.came); d != "" {
				t.Errorf("calls (-want +got):\n%s", d)
			}
		})
	}
}

// TestLookupsOfTheSamples finds by idnumber, and nobody.
func TestLookupsOfTheSamples(t *testing.T) {
	vendor := &replay{answers: []exchange{sample(t, "lookup"), sample(t, "lookup-empty")}}
	s := against(t, vendor, nil)
	found, err := s.Find(t.Context(), connector.Delivery{Match: connector.Match{EmployeeNumber: "E-10417"}})
	if err != nil || len(found) != 1 || !found[0].Sure || found[0].Refs[refID] != "4711" || found[0].Refs[refSuspended] != "0" {
		t.Errorf("found %+v, %v", found, err)
	}
	found, err = s.Find(t.Context(), connector.Delivery{Match: connector.Match{EmployeeNumber: "E-99999"}})
	if err != nil || len(found) != 0 {
		t.Errorf("found %+v, %v, want nobody", found, err)
	}
	for i, name := range []string{"lookup", "lookup-empty"} {
		if want := sample(t, name).Request; vendor.came[i] != "POST "+want.Path+"\n"+want.Text {
			t.Errorf("call %d:\n%s\nwant\n%s", i, vendor.came[i], want.Text)
		}
	}
}

// TestOneOfTwoFailed: the warnings of an update are one learner's, not the call's.
func TestOneOfTwoFailed(t *testing.T) {
	x := sample(t, "update-one-failed")
	vendor := &replay{answers: []exchange{x}}
	s := against(t, vendor, nil)
	two := []*entry{
		{id: "4711", form: form{{"id", "4711"}, {"email", "soren.agard@brightfjord.example"}}},
		{id: "4712", form: form{{"id", "4712"}, {"department", "Drift"}}},
	}
	errs := halve(t.Context(), two, s.updateAll)
	if f := fault.Of(errs[0]); f == nil || f.Class != fault.Record || f.Reason != reasonExists || f.Path != "email" || f.Rule != "useremailduplicate" {
		t.Errorf("the first: %v", errs[0])
	}
	if errs[1] != nil {
		t.Errorf("the second: %v", errs[1])
	}
	if len(vendor.came) != 1 || vendor.came[0] != "POST "+x.Request.Path+"\n"+x.Request.Text {
		t.Errorf("sent\n%s\nwant\n%s", vendor.came, x.Request.Text)
	}
}

// TestAnswersAreClassified reads the error answers of the exchanges, and
// others that the code of Moodle can give.
func TestAnswersAreClassified(t *testing.T) {
	bodies := map[string]string{
		"namespace":            `{"exception":"core\\exception\\required_capability_exception","errorcode":"nopermissions"}`,
		"unknown code":         `{"exception":"core\\exception\\dml_write_exception","errorcode":"somethingnew"}`,
		"nobody knows":         `{"exception":"coding_exception","errorcode":"codingerror"}`,
		"no code":              `{"exception":"Exception","message":"Zofia"}`,
		"maintenance":          `{"exception":"moodle_exception","errorcode":"sitemaintenance"}`,
		"a page":               `<!DOCTYPE html><html><body>Zofia</body></html>`,
		"a list":               `[]`,
		"nothing":              `null`,
		"warnings":             `{"warnings":[]}`,
		"an object cut in two": `{"exception":"moodle_exc`,
	}
	for name, want := range map[string]*fault.Error{
		"access-exception":                {Class: fault.Target, Reason: "permission", Rule: "accessexception"},
		"create-duplicate-username":       {Class: fault.Record, Reason: reasonInvalid, Rule: "invalidparameter"},
		"create-duplicate-username-debug": {Class: fault.Record, Reason: reasonInvalid, Rule: "invalidparameter"},
		"create-uppercase-username":       {Class: fault.Record, Reason: "validation", Path: "username", Rule: "usernamelowercase"},
		"forgot-json-format":              {Class: fault.Target, Reason: "auth", Rule: "invalidtoken"},
		"invalid-token":                   {Class: fault.Target, Reason: "auth", Rule: "invalidtoken"},
		"cohort-add-already-member":       nil,
		"completion-status":               nil,
		"enrol":                           nil,
		"lookup-empty":                    nil,
		"namespace":                       {Class: fault.Target, Reason: "permission", Rule: "nopermissions"},
		"unknown code":                    {Class: fault.Record, Reason: reasonWrite, Rule: "somethingnew"},
		"nobody knows":                    {Class: fault.Transient, Reason: "exception", Rule: "codingerror"},
		"no code":                         {Class: fault.Transient, Reason: "exception"},
		"maintenance":                     {Class: fault.Throttled, Reason: "maintenance", Rule: "sitemaintenance", After: maintenance},
		"a page":                          {Class: fault.Transient, Reason: "answer"},
		"a list":                          nil,
		"nothing":                         nil,
		"warnings":                        nil,
		"an object cut in two":            {Class: fault.Transient, Reason: "answer"},
	} {
		t.Run(name, func(t *testing.T) {
			raw := []byte(bodies[name])
			if len(raw) == 0 {
				raw = sample(t, name).answer()
			}
			got := classify(200, http.Header{}, raw, time.Now())
			if got != nil {
				if strings.Contains(got.Error(), "Zofia") || strings.Contains(got.Error(), "zofia") {
					t.Errorf("tells a value: %v", got)
				}
				got = &fault.Error{Class: got.Class, Reason: got.Reason, Path: got.Path, Rule: got.Rule, After: got.After}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
	for status, want := range map[int]fault.Class{301: fault.Target, 303: fault.Target, 403: fault.Target, 429: fault.Throttled, 502: fault.Transient, 503: fault.Transient} {
		if f := classify(status, http.Header{}, []byte("<html>"), time.Now()); f == nil || f.Class != want {
			t.Errorf("%d is %v, want %s", status, f, want)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		answer string
		want   fault.Class
	}{
		{"[]", -1},
		{`{"exception":"webservice_access_exception","errorcode":"accessexception"}`, fault.Target},
		{`{"exception":"moodle_exception","errorcode":"invalidtoken"}`, fault.Target},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, c.answer) }))
		defer server.Close()
		k, err := Type.Check(connector.Account{BaseURL: server.URL, Secrets: map[string]secret.Value{"token": secret.New(token)}})
		if err != nil {
			t.Fatal(err)
		}
		err = k.Check(t.Context())
		if (c.want < 0) != (err == nil) || (err != nil && fault.Of(err).Class != c.want) {
			t.Errorf("%s gives %v", c.answer, err)
		}
	}
}

// TestTokenIsTold nowhere but in the body: not in the address, not in errors.
func TestTokenIsTold(t *testing.T) {
	for _, broken := range []http.Handler{
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			raw, _ := io.ReadAll(r.Body)
			if strings.Contains(r.URL.String(), token) || !slices.Contains(strings.Split(string(raw), "&"), "wstoken="+token) || !strings.HasPrefix(string(raw), "wstoken=") {
				t.Errorf("called %s with %s", r.URL, raw)
			}
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write(raw)
		}),
	} {
		_, err := against(t, broken, nil).Apply(t.Context(), connector.Delivery{Status: "active", Body: zofia()}, nil)
		for e := err; e != nil; e = errors.Unwrap(e) {
			if strings.Contains(e.Error(), token) || strings.Contains(e.Error(), "Zofia") {
				t.Errorf("the error tells: %v", e)
			}
		}
		if err == nil {
			t.Error("no error")
		}
	}
}
