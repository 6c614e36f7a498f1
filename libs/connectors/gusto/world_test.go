package gusto

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/secret"
)

// world is a fake company with a sink before it and a record of what was asked.
type world struct {
	connector.Sink
	vendor fake.Vendor
	faults *fake.Faults
	url    string
	now    time.Time
	saved  []connector.Refs

	mu    sync.Mutex
	calls []sent
}

// sent is one call as it arrived, and its answer.
type sent struct {
	method, path string
	body         map[string]any
}

func newWorld(t *testing.T, settings map[string]any, company ...string) *world {
	t.Helper()
	w := &world{faults: &fake.Faults{}, now: time.Date(2026, 3, 2, 18, 0, 0, 0, time.UTC)}
	of := map[string]string{"token": "token-1", "company": companyID}
	for i := 0; i+1 < len(company); i += 2 {
		of[company[i]] = company[i+1]
	}
	w.vendor = Type.Fake(fake.Options{Now: func() time.Time { return w.now }, Settings: of, Secret: hookToken})
	server := httptest.NewServer(w.recorded(w.faults.Around(w.vendor)))
	t.Cleanup(server.Close)
	w.url = server.URL
	sink, err := Type.Sink(w.account(settings))
	if err != nil {
		t.Fatal(err)
	}
	w.Sink = sink
	return w
}

func (w *world) account(settings map[string]any) connector.Account {
	all := map[string]any{}
	for name, s := range Type.Settings {
		if s.Default != nil {
			all[name] = s.Default
		}
	}
	all["company"] = companyID
	for name, v := range settings {
		all[name] = v
	}
	return connector.Account{
		Name: "gusto", BaseURL: w.url, Settings: all, Now: func() time.Time { return w.now },
		Secrets: map[string]secret.Value{"token": secret.New("token-1")},
	}
}

// recorded notes what arrives.
func (w *world) recorded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(raw))
		s := sent{method: r.Method, path: r.URL.Path}
		_ = json.Unmarshal(raw, &s.body)
		w.mu.Lock()
		w.calls = append(w.calls, s)
		w.mu.Unlock()
		next.ServeHTTP(rw, r)
	})
}

// call is one by another client.
func (w *world) call(t *testing.T, method, path string, body, out any) int {
	t.Helper()
	raw, _ := json.Marshal(body)
	if body == nil {
		raw = nil
	}
	r := httptest.NewRequest(method, path, bytes.NewReader(raw))
	r.Header.Set("Authorization", "Bearer token-1")
	rec := httptest.NewRecorder()
	w.vendor.ServeHTTP(rec, r)
	if out != nil {
		if err := json.Unmarshal(rec.Body.Bytes(), out); err != nil {
			t.Fatalf("%s %s: %d %s", method, path, rec.Code, rec.Body)
		}
	}
	return rec.Code
}

func (w *world) do(t *testing.T, verb string, args map[string]any) {
	t.Helper()
	if _, err := w.vendor.Do(t.Context(), verb, args); err != nil {
		t.Fatal(err)
	}
}

func (w *world) progress(_ context.Context, refs connector.Refs) error {
	w.saved = append(w.saved, refs)
	return nil
}

// apply must succeed.
func (w *world) apply(t *testing.T, d connector.Delivery) connector.Receipt {
	t.Helper()
	r, err := w.Apply(t.Context(), d, w.progress)
	if err != nil {
		t.Fatalf("apply %s: %v", d.Type, err)
	}
	return r
}

// writes are the writing calls since the last time, by method and path.
func (w *world) writes() []sent {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := slices.DeleteFunc(slices.Clone(w.calls), func(s sent) bool { return s.method == http.MethodGet })
	w.calls = nil
	return out
}

func (w *world) people() map[string]map[string]any {
	people, _ := w.vendor.Log().State()
	return people
}

// only is the one person there is.
func (w *world) only(t *testing.T) (id string, p map[string]any) {
	t.Helper()
	people := w.people()
	if len(people) != 1 {
		t.Fatalf("%d people, want 1", len(people))
	}
	for id, p = range people {
	}
	return id, p
}

func hired(body map[string]any) connector.Delivery {
	return connector.Delivery{
		ID: "emp-1", Event: "evt-1", Type: "hr.employee.hired.v1", Version: 1, Status: "active", Body: body,
	}
}

// then is the next delivery after d, with changes laid over its body.
func then(d connector.Delivery, r connector.Receipt, status string, change map[string]any) connector.Delivery {
	d.Before, d.Refs, d.Status = d.Body, r.Refs, status
	d.Version, d.Event = d.Version+1, d.Event+"+"
	d.Body = over(d.Body, change)
	return d
}

// over is whole with the leaves of part in their place.
func over(whole, part map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range whole {
		out[k] = v
	}
	for k, v := range part {
		inner, nested := v.(map[string]any)
		old, had := out[k].(map[string]any)
		if nested && had {
			v = over(old, inner)
		}
		out[k] = v
	}
	return out
}

// everyLeaf are the texts that the calls of a hire, and of a new title, carry
// beside those of the body: versions, UUIDs and words of the protocol.
func everyLeaf(t *testing.T) []string {
	t.Helper()
	w := newWorld(t, nil)
	var out []string
	collect := func() {
		for _, s := range w.writes() {
			out = append(out, texts(s.body)...)
		}
	}
	b := whole()
	b["employee"] = over(b["employee"].(map[string]any), map[string]any{"first_name": "Nobody", "last_name": "Known"}) //nolint:forcetypeassert // made there
	b["job"] = map[string]any{"title": "Analyst", "hire_date": "2026-02-16"}
	d := hired(b)
	r := w.apply(t, d)
	collect()
	w.apply(t, then(d, r, "active", map[string]any{"job": map[string]any{"title": "Head of Analysis"}}))
	collect()
	return out
}

func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case map[string]any:
		var out []string
		for _, x := range v {
			out = append(out, texts(x)...)
		}
		return out
	case []any:
		var out []string
		for _, x := range v {
			out = append(out, texts(x)...)
		}
		return out
	}
	return nil
}

const hookToken = "Ab3xkQ0vJt1m9Yz7"

// hookedVendor is a vendor with something before its door.
type hookedVendor struct {
	fake.Vendor
	door http.Handler
}

func (h hookedVendor) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.door.ServeHTTP(w, r) }

// rewire puts the vendor, as it is now, behind the server of a new sink.
func (w *world) rewire(t *testing.T) {
	t.Helper()
	server := httptest.NewServer(w.recorded(w.vendor))
	t.Cleanup(server.Close)
	w.url = server.URL
	sink, err := Type.Sink(w.account(nil))
	if err != nil {
		t.Fatal(err)
	}
	w.Sink = sink
}

// alwaysSays answers every call alike.
type alwaysSays struct{ body []byte }

func (s *alwaysSays) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	_, _ = rec.Write(s.body)
	res := rec.Result()
	res.Request = r
	return res, nil
}
