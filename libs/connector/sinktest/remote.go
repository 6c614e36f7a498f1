package sinktest

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
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
	t      *testing.T
	log    *fake.Log
	faults *fake.Faults
	begun  chan struct{} // one per call that arrived, as far as somebody listens

	mu     sync.Mutex
	calls  []call
	saved  []connector.Refs // by Progress
	server *httptest.Server
}

// call is one request as it arrived.
type call struct {
	method, path string
	body         []byte
}

func open(t *testing.T, s Setup) *remote {
	t.Helper()
	vendor := s.Type.Fake(s.Fake)
	r := &remote{t: t, log: vendor.Log(), faults: &fake.Faults{}, begun: make(chan struct{}, 1)}
	disturbed := r.faults.Around(vendor)
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		q.Body = io.NopCloser(bytes.NewReader(body))
		r.mu.Lock()
		r.calls = append(r.calls, call{q.Method, q.URL.RequestURI(), body})
		r.mu.Unlock()
		select {
		case r.begun <- struct{}{}:
		default:
		}
		disturbed.ServeHTTP(w, q)
	}))
	t.Cleanup(r.server.Close)
	a := s.Account
	a.BaseURL = r.server.URL + s.Prefix
	a.Transport = httpx.Transport(httpx.TransportOptions{BaseURL: a.BaseURL})
	a.Now, a.Log = time.Now, slog.New(slog.DiscardHandler)
	a.Settings = map[string]any{}
	for name, setting := range s.Type.Settings {
		if setting.Default != nil {
			a.Settings[name] = setting.Default
		}
	}
	maps.Copy(a.Settings, s.Account.Settings)
	sink, err := s.Type.Sink(a)
	if err != nil {
		t.Fatalf("make the sink: %v", err)
	}
	r.Sink = sink
	return r
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

// person is the only one in the fake's memory.
func (r *remote) person() map[string]any {
	r.t.Helper()
	people, _ := r.log.State()
	if len(people) > 1 {
		r.t.Fatalf("there are %d people, want 1", len(people))
	}
	for _, p := range people {
		return p
	}
	return nil
}

func (r *remote) writes() []fake.Write {
	_, w := r.log.State()
	return w
}

// sent are the writing calls that arrived since the last time.
func (r *remote) sent() []call {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []call
	for _, c := range r.calls {
		if isWrite(c.method) {
			out = append(out, c)
		}
	}
	r.calls = nil
	return out
}

// disturb lets a fault loose on writes.
func (r *remote) disturb(f fake.Fault) {
	r.t.Helper()
	for _, m := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		f.Match.Method = m
		if err := r.faults.Add(f); err != nil {
			r.t.Fatal(err)
		}
	}
}
