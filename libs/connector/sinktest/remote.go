package sinktest

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connector/httpx"
)

// remote is a running fake with a sink that writes to it.
type remote struct {
	connector.Sink
	t       *testing.T
	state   func() (people map[string]map[string]any, writes []fake.Write)
	faults  *fake.Faults
	reads   *fake.Faults  // in front of calls that only read; never disturbs them
	methods []string      // that faults strike
	begun   chan struct{} // one per call that arrived, as far as somebody listens

	mu     sync.Mutex
	calls  []call
	saved  []connector.Refs // by Progress
	server *httptest.Server
}

// call is one request as it arrived.
type call struct {
	method, path string
	body         []byte
	reads        bool
}

func open(t *testing.T, s Setup) *remote {
	t.Helper()
	r := &remote{t: t, faults: &fake.Faults{}, reads: &fake.Faults{}, begun: make(chan struct{}, 1), methods: s.Writes}
	if r.methods == nil {
		r.methods = []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}
	}
	a := s.Account
	a.Now, a.Log = time.Now, slog.New(slog.DiscardHandler)
	a.Settings = map[string]any{}
	for name, setting := range s.Type.Settings {
		if setting.Default != nil {
			a.Settings[name] = setting.Default
		}
	}
	maps.Copy(a.Settings, s.Account.Settings)
	if s.Stand != nil {
		stand := s.Stand(t, r.faults, func(method, path string, body []byte) {
			r.arrived(call{method, path, body, s.Reads != nil && s.Reads(method, path, body)})
		})
		r.state, a.BaseURL, a.Dial = stand.State, stand.BaseURL, stand.Dial
		maps.Copy(a.Settings, stand.Settings)
	} else {
		r.overHTTP(s)
		a.BaseURL = r.server.URL + s.Prefix
		a.Transport = httpx.Transport(httpx.TransportOptions{BaseURL: a.BaseURL})
	}
	sink, err := s.Type.Sink(a)
	if err != nil {
		t.Fatalf("make the sink: %v", err)
	}
	r.Sink = sink
	return r
}

// overHTTP starts the connector's fake.
func (r *remote) overHTTP(s Setup) {
	vendor := s.Type.Fake(s.Fake)
	r.state = vendor.Log().State
	disturbed, calm := r.faults.Around(vendor), r.reads.Around(vendor)
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		q.Body = io.NopCloser(bytes.NewReader(body))
		reads := s.Reads != nil && s.Reads(q.Method, q.URL.RequestURI(), body)
		r.arrived(call{q.Method, q.URL.RequestURI(), body, reads || !isWrite(q.Method)})
		if reads {
			calm.ServeHTTP(w, q)
			return
		}
		disturbed.ServeHTTP(w, q)
	}))
	r.t.Cleanup(r.server.Close)
}

// arrived notes a call.
func (r *remote) arrived(c call) {
	r.mu.Lock()
	r.calls = append(r.calls, c)
	r.mu.Unlock()
	select {
	case r.begun <- struct{}{}:
	default:
	}
}

// progress keeps what a sink saves in the middle of a write.
func (r *remote) progress(_ context.Context, refs connector.Refs) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.saved = append(r.saved, maps.Clone(refs))
	return nil
}

// apply must succeed.
func (r *remote) apply(d connector.Delivery) connector.Receipt {
	r.t.Helper()
	got, err := r.Apply(r.t.Context(), d, r.progress)
	if err != nil {
		r.t.Fatalf("apply version %d (%s): %v", d.Version, d.Status, err)
	}
	return got
}

// text is the body as it was meant: a form is unescaped, and a body that is
// none stands beside what unescaping made of it.
func (c call) text() string {
	s, err := url.QueryUnescape(string(c.body))
	if err != nil {
		return string(c.body)
	}
	return string(c.body) + "\n" + s
}

// person is the only one in the fake's memory.
func (r *remote) person() map[string]any {
	r.t.Helper()
	people, _ := r.state()
	if len(people) > 1 {
		r.t.Fatalf("there are %d people, want 1", len(people))
	}
	for _, p := range people {
		return p
	}
	return nil
}

func (r *remote) writes() []fake.Write {
	_, w := r.state()
	return w
}

// sent are the writing calls that arrived since the last time.
func (r *remote) sent() []call {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []call
	for _, c := range r.calls {
		if !c.reads {
			out = append(out, c)
		}
	}
	r.calls = nil
	return out
}

// disturb lets a fault loose on writes.
func (r *remote) disturb(f fake.Fault) {
	r.t.Helper()
	for _, m := range r.methods {
		f.Match.Method = m
		if err := r.faults.Add(f); err != nil {
			r.t.Fatal(err)
		}
	}
}
