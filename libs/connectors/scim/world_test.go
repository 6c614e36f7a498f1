package scim

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connector/httpx"
	"github.com/muster-hr/muster/libs/connector/sinktest"
	"github.com/muster-hr/muster/libs/secret"
	"github.com/muster-hr/muster/libs/testkit/scimd"
)

// call is one request as the server got it.
type call struct {
	method, path string
	body         map[string]any
}

// world is a server, the fake or a real one, behind faults, that notes what
// comes.
type world struct {
	real   *scimd.Server // nil for the fake
	vendor fake.Vendor   // nil for a real server
	faults *fake.Faults
	url    string
	token  string
	saw    func(method, path string, body []byte)

	mu     sync.Mutex
	calls  []call
	writes []fake.Write
}

// before stands before a real server, which is emptied.
func before(t *testing.T, s *scimd.Server, faults *fake.Faults) *world {
	t.Helper()
	s.Empty(t)
	at, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	w := &world{real: s, faults: faults, token: s.Token}
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(at) },
		ModifyResponse: func(a *http.Response) error {
			// 204 of a PATCH means that nothing changed.
			effect := a.StatusCode < 300 && a.Request.Method != http.MethodGet && (a.StatusCode != http.StatusNoContent || a.Request.Method == http.MethodDelete)
			if effect {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.writes = append(w.writes, fake.Write{At: time.Now(), Key: a.Request.URL.Path, Op: fake.Other, Traceparent: a.Request.Header.Get("Traceparent")})
			}
			return nil
		},
	}
	w.serve(t, proxy)
	return w
}

// faked is a fake of some kind.
func faked(t *testing.T, settings map[string]string) *world {
	t.Helper()
	w := &world{vendor: Type.Fake(fake.Options{Settings: settings}), faults: &fake.Faults{}, token: "any"}
	w.serve(t, w.vendor)
	return w
}

func (w *world) serve(t *testing.T, h http.Handler) {
	t.Helper()
	disturbed := w.faults.Around(h)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, q *http.Request) {
		raw, _ := io.ReadAll(q.Body)
		q.Body = io.NopCloser(bytes.NewReader(raw))
		c := call{method: q.Method, path: q.URL.RequestURI()}
		_ = json.Unmarshal(raw, &c.body)
		w.mu.Lock()
		w.calls = append(w.calls, c)
		see := w.saw
		w.mu.Unlock()
		if see != nil {
			see(c.method, c.path, raw)
		}
		disturbed.ServeHTTP(rw, q)
	}))
	t.Cleanup(server.Close)
	w.url = server.URL
}

// sink is a sink of the world with default settings and others laid over.
func (w *world) sink(t *testing.T, settings map[string]any) connector.Sink {
	t.Helper()
	s, err := Type.Sink(w.account(settings))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (w *world) account(settings map[string]any) connector.Account {
	a := connector.Account{
		Name: "scim", BaseURL: w.url, Transport: httpx.Transport(httpx.TransportOptions{BaseURL: w.url}), Now: time.Now,
		Secrets: map[string]secret.Value{"token": secret.New(w.token)}, Settings: map[string]any{},
	}
	for name, s := range Type.Settings {
		if s.Default != nil {
			a.Settings[name] = s.Default
		}
	}
	a.Settings["consistency"] = time.Duration(0)
	maps.Copy(a.Settings, settings)
	return a
}

// state is everybody at the server, and the writes that had an effect.
func (w *world) state(t *testing.T) (map[string]map[string]any, []fake.Write) {
	t.Helper()
	if w.vendor != nil {
		return w.vendor.Log().State()
	}
	people := w.real.Users(t)
	for _, p := range people {
		delete(p, "meta") // times of the last change
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return people, slices.Clone(w.writes)
}

// admin does what a person with another client does.
func (w *world) admin(t *testing.T, method, path string, body any) map[string]any {
	t.Helper()
	if w.real != nil {
		status, answer := w.real.Call(t, method, path, body)
		if status >= 300 {
			t.Fatalf("%s %s: %d %v", method, path, status, answer)
		}
		return answer
	}
	raw, _ := json.Marshal(body)
	q := httptest.NewRequest(method, path, bytes.NewReader(raw))
	q.Header.Set("Authorization", "Bearer "+w.token)
	a := httptest.NewRecorder()
	w.vendor.ServeHTTP(a, q)
	if a.Code >= 300 {
		t.Fatalf("%s %s: %d %s", method, path, a.Code, a.Body)
	}
	var answer map[string]any
	_ = json.Unmarshal(a.Body.Bytes(), &answer)
	return answer
}

// changes are the writing calls since the last time.
func (w *world) changes() []call {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []call
	for _, c := range w.calls {
		if c.method != http.MethodGet {
			out = append(out, c)
		}
	}
	w.calls = nil
	return out
}

// each runs a test against the fake and both real servers.
func each(t *testing.T, do func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("fake", func(t *testing.T) { do(t, faked(t, nil)) })
	t.Run("real, Express 4", func(t *testing.T) { do(t, before(t, scimd.Start(t, scimd.Options{}), &fake.Faults{})) })
	t.Run("real, Express 5", func(t *testing.T) {
		do(t, before(t, scimd.Start(t, scimd.Options{Express5: true}), &fake.Faults{}))
	})
}

func delivery(status, kind string) connector.Delivery {
	return connector.Delivery{
		ID: "emp-1", Event: "evt-1", Type: kind, Version: 1, Status: status, Body: body(sinktest.Sample),
		Match: connector.Match{EmployeeNumber: sinktest.Sample.Number, WorkEmail: sinktest.Sample.Email},
	}
}

func after(d connector.Delivery, r connector.Receipt, status, kind string) connector.Delivery {
	d.Previous, d.Version, d.Status, d.Type = d.Version, d.Version+1, status, kind
	d.Before, d.Refs = d.Body, r.Refs
	return d
}

func must(t *testing.T, s connector.Sink, d connector.Delivery) connector.Receipt {
	t.Helper()
	r, err := s.Apply(t.Context(), d, nil)
	if err != nil {
		t.Fatalf("version %d, %s: %v", d.Version, d.Status, err)
	}
	return r
}
