package scim

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/secret"
)

// exchange is one request and its answer, as observed or documented.
type exchange struct {
	Request struct {
		Method, Path string
		Headers      map[string]string
		Body         map[string]any
	}
	Response struct {
		Status  int
		Headers map[string]string
		Body    map[string]any
	}
}

func sample(t *testing.T, name string) exchange {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "exchanges", name+".exchange.json"))
	if err != nil {
		t.Fatal(err)
	}
	var x exchange
	if err := json.Unmarshal(raw, &x); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return x
}

// replay answers a request with the sample of its method and path, and keeps
// what came.
type replay struct {
	answers []exchange
	came    []exchange
}

func (p *replay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var got exchange
	got.Request.Method, got.Request.Path = r.Method, r.URL.RequestURI()
	got.Request.Headers = map[string]string{}
	for k := range r.Header {
		got.Request.Headers[k] = r.Header.Get(k)
	}
	raw, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(raw, &got.Request.Body)
	p.came = append(p.came, got)
	for _, x := range p.answers {
		if x.Request.Method == r.Method && x.Request.Path == r.URL.RequestURI() {
			for k, v := range x.Response.Headers {
				w.Header().Set(k, v)
			}
			w.WriteHeader(x.Response.Status)
			if x.Response.Body != nil {
				_ = json.NewEncoder(w).Encode(x.Response.Body)
			}
			return
		}
	}
	w.WriteHeader(http.StatusNotFound)
}

func against(t *testing.T, h http.Handler, settings map[string]any) connector.Sink {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	w := &world{url: server.URL + "/scim/v2", token: "scim-token-example"}
	return w.sink(t, settings)
}

const sampleID = "2819c223-7f76-453a-919d-413861904646"

// sampleUser is the body that stands behind the samples.
func sampleUser(t *testing.T) map[string]any {
	t.Helper()
	b := sample(t, "create").Request.Body
	b["enterprise"] = b[schemaEnterprise]
	for _, k := range []string{schemaEnterprise, "schemas", "externalId", "active"} {
		delete(b, k)
	}
	return b
}

func reader(t *testing.T) exchange {
	t.Helper()
	var x exchange
	x.Request.Method, x.Request.Path = http.MethodGet, "/scim/v2/Users/"+sampleID
	x.Response.Status, x.Response.Body = 200, sample(t, "create").Response.Body
	return x
}

// TestSamplesAreReproduced: what is written is what the exchanges show, in
// method, path, media type and body, and nothing else is written.
func TestSamplesAreReproduced(t *testing.T) {
	moved := sampleUser(t)
	moved["title"] = "Kierowniczka płac"
	moved["userName"] = "zofia.zak@brightfjord.example"
	moved["enterprise"].(map[string]any)["department"] = "Płace i kadry"
	moved["emails"].([]any)[0].(map[string]any)["value"] = "zofia.zak@brightfjord.example"
	known := connector.Refs{"id": sampleID}
	for name, c := range map[string]struct {
		d        connector.Delivery
		settings map[string]any
	}{
		"create":                     {d: connector.Delivery{Status: "active", Body: sampleUser(t)}},
		"patch-mover":                {d: connector.Delivery{Status: "active", Body: moved, Before: sampleUser(t), Refs: known}},
		"patch-deactivate-with-path": {d: connector.Delivery{Status: "terminated", Body: sampleUser(t), Before: sampleUser(t), Refs: known}},
		"patch-deactivate-pathless":  {d: connector.Delivery{Status: "terminated", Body: sampleUser(t), Before: sampleUser(t), Refs: known}, settings: map[string]any{"patch_style": stylePathless}},
	} {
		t.Run(name, func(t *testing.T) {
			want := sample(t, name)
			vendor := &replay{answers: []exchange{want, sample(t, "service-provider-config"), reader(t)}}
			c.d.ID = "E-10417"
			r, err := against(t, vendor, c.settings).Apply(t.Context(), c.d, nil)
			if err != nil {
				t.Fatal(err)
			}
			if r.Refs["id"] != sampleID {
				t.Errorf("remembers %q, want %q", r.Refs["id"], sampleID)
			}
			writes := slices.DeleteFunc(vendor.came, func(x exchange) bool { return x.Request.Method == http.MethodGet })
			if len(writes) != 1 {
				t.Fatalf("%d writes, want 1", len(writes))
			}
			got := writes[0].Request
			if got.Method != want.Request.Method || got.Path != want.Request.Path {
				t.Errorf("wrote %s %s, want %s %s", got.Method, got.Path, want.Request.Method, want.Request.Path)
			}
			for _, h := range []string{"Authorization", "Content-Type"} {
				if got.Headers[h] != want.Request.Headers[h] {
					t.Errorf("%s is %q, want %q", h, got.Headers[h], want.Request.Headers[h])
				}
			}
			if d := cmp.Diff(unordered(want.Request.Body), unordered(got.Body)); d != "" {
				t.Errorf("body (-want +got):\n%s", d)
			}
		})
	}
}

// unordered puts operations in the order of their paths: they touch different
// attributes.
func unordered(b map[string]any) map[string]any {
	ops, _ := b["Operations"].([]any)
	slices.SortFunc(ops, func(x, y any) int {
		a, _ := x.(map[string]any)["path"].(string)
		b, _ := y.(map[string]any)["path"].(string)
		return strings.Compare(a, b)
	})
	return b
}

// TestAnswersAreClassified reads the error answers of the samples.
func TestAnswersAreClassified(t *testing.T) {
	for name, want := range map[string]fault.Error{
		"create-conflict":       {Class: fault.Record, Reason: "exists", Rule: "uniqueness"},
		"delete-gone":           {Class: fault.Record, Reason: "not_found"},
		"patch-no-target":       {Class: fault.Record, Reason: "no_target", Rule: "noTarget"},
		"patch-not-implemented": {Class: fault.Target, Reason: "unsupported"},
		"patch-string-boolean":  {Class: fault.Record, Reason: "invalid_value", Rule: "invalidValue", Path: "active"},
		"put-stale-version":     {Class: fault.Transient, Reason: "stale"},
		"rate-limited":          {Class: fault.Throttled, Reason: "rate_limited", After: 30 * time.Second},
	} {
		x := sample(t, name)
		raw, _ := json.Marshal(x.Response.Body)
		h := http.Header{}
		for k, v := range x.Response.Headers {
			h.Set(k, v)
		}
		got := classify(x.Response.Status, h, raw, time.Now())
		if got == nil {
			t.Errorf("%s: no fault", name)
			continue
		}
		got = &fault.Error{Class: got.Class, Reason: got.Reason, Path: got.Path, Rule: got.Rule, After: got.After}
		if d := cmp.Diff(&want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

// TestLookupOfTheSamples: the person is found by the second key, and the
// filters are those of the samples.
func TestLookupOfTheSamples(t *testing.T) {
	empty, found := sample(t, "lookup-empty"), sample(t, "lookup-found")
	filter := func(x exchange) string {
		u, err := url.Parse(x.Request.Path)
		if err != nil {
			t.Fatal(err)
		}
		return u.Query().Get("filter")
	}
	for _, rows := range []string{"[]", "null", ""} {
		var asked []string
		vendor := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch f := r.URL.Query().Get("filter"); {
			case f == "":
				w.WriteHeader(http.StatusNotFound)
			case f == filter(found):
				asked = append(asked, f)
				b := found.Response.Body
				if rows == "" { // as some servers write it
					b = map[string]any{"resources": b["Resources"]}
				}
				_ = json.NewEncoder(w).Encode(b)
			default:
				asked = append(asked, f)
				if _, err := io.WriteString(w, strings.Replace(`{"totalResults":0,"Resources":ROWS}`, `,"Resources":ROWS`, map[bool]string{true: "", false: `,"Resources":` + rows}[rows == ""], 1)); err != nil {
					t.Error(err)
				}
			}
		})
		got, err := against(t, vendor, nil).Find(t.Context(), connector.Delivery{ID: "E-10417", Match: connector.Match{WorkEmail: "zofia.lukasik-zak@brightfjord.example"}})
		if err != nil || len(got) != 1 || !got[0].Sure || got[0].Refs["id"] != sampleID {
			t.Errorf("%q: found %+v, %v", rows, got, err)
		}
		if !slices.Equal(asked, []string{filter(empty), filter(found)}) {
			t.Errorf("asked %q", asked)
		}
	}
}

// TestAbilities are read from the sample, and assumed where nothing is said.
func TestAbilities(t *testing.T) {
	config, _ := json.Marshal(sample(t, "service-provider-config").Response.Body)
	for name, c := range map[string]struct {
		status int
		body   string
		want   abilities
	}{
		"sample":       {200, string(config), abilities{patch: true, filter: true}},
		"other case":   {200, `{"Patch":{"Supported":"False"},"etag":{"supported":true},"filter":7}`, abilities{filter: true, etag: true}},
		"missing":      {404, "", assumed},
		"no JSON":      {200, "<html>", assumed},
		"in trouble":   {503, "", assumed},
		"not let":      {403, "", assumed},
		"a bare array": {200, "[]", assumed},
	} {
		calls := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			calls++
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		}))
		a := (&world{url: server.URL, token: "x"}).account(nil)
		client, err := newAPI(a)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		v := &discovery{api: client, now: func() time.Time { return now }}
		for range 2 {
			got, err := v.abilities(t.Context())
			if err != nil || got != c.want {
				t.Errorf("%s: %+v, %v, want %+v", name, got, err, c.want)
			}
		}
		if calls != 1 {
			t.Errorf("%s: asked %d times", name, calls)
		}
		now = now.Add(25 * time.Hour)
		if _, err := v.abilities(t.Context()); err != nil || calls != 2 {
			t.Errorf("%s: the next day: %d calls, %v", name, calls, err)
		}
		server.Close()
	}
}

// TestCheck: a refused token, an address that is none, and a server that
// answers.
func TestCheck(t *testing.T) {
	for status, want := range map[int]string{200: "ok", 401: "auth", 404: "path", 501: "ok"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{}`)
		}))
		c, err := Type.Check((&world{url: server.URL, token: "x"}).account(nil))
		if err != nil {
			t.Fatal(err)
		}
		if err = c.Check(t.Context()); fault.Reason(err) != want || err != nil && fault.Of(err).Class != fault.Target {
			t.Errorf("%d gives %v, want %s", status, err, want)
		}
		server.Close()
	}
	for _, a := range []connector.Account{{BaseURL: "https://x.example"}, {Secrets: map[string]secret.Value{"token": secret.New("x")}}} {
		if _, err := Type.Sink(a); err == nil {
			t.Error("an account without address or token is taken")
		}
	}
}

// TestLimitOfTheFake: who is too fast is told how long to wait.
func TestLimitOfTheFake(t *testing.T) {
	w := &world{vendor: Type.Fake(fake.Options{Settings: map[string]string{"limit": "1"}}), faults: &fake.Faults{}, token: "any"}
	w.serve(t, w.vendor)
	_, err := w.sink(t, nil).Apply(t.Context(), delivery("active", "hr.employee.hired.v1"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.sink(t, nil).Find(t.Context(), delivery("active", "hr.employee.hired.v1"))
	if f := fault.Of(err); f == nil || f.Class != fault.Throttled || f.After <= 0 || f.After > 62*time.Second {
		t.Errorf("error %v", err)
	}
}
