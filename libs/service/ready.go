package service

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/muster-hr/muster/libs/fault"
)

// checkTimeout bounds all checks of one look at /readyz together.
const checkTimeout = 2 * time.Second

// NotReady is what a check returns when the reason may be shown to anybody who
// can reach /readyz: "starting", "draining". Of other errors only the
// countable reason is shown.
type NotReady string

// Error is the reason.
func (n NotReady) Error() string { return string(n) }

// readiness is the list of what a service needs to do its work. A check gives
// the state of one or several things by name, nil for in order.
type readiness struct {
	mu     sync.Mutex
	checks []func(context.Context) map[string]error
}

func (r *readiness) add(f func(context.Context) map[string]error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checks = append(r.checks, f)
}

// Ready is the answer of /readyz.
type Ready struct {
	Ready  bool              `json:"ready"`
	Checks map[string]string `json:"checks"` // "ok", or why not
}

func (r *readiness) look(ctx context.Context) Ready {
	r.mu.Lock()
	checks := r.checks
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	results := make([]map[string]error, len(checks))
	var wg sync.WaitGroup
	for i, check := range checks {
		wg.Go(func() { results[i] = check(ctx) })
	}
	wg.Wait()
	out := Ready{Ready: true, Checks: map[string]string{}}
	for _, result := range results {
		for name, err := range result {
			out.Ready = out.Ready && err == nil
			out.Checks[name] = shown(err)
		}
	}
	return out
}

func shown(err error) string {
	if n, ok := errors.AsType[NotReady](err); ok {
		return string(n)
	}
	return fault.Reason(err)
}

// ServeHTTP answers 200 when every check passes, else 503 naming what is missing.
func (r *readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	answer := r.look(req.Context())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !answer.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(answer) // the caller has gone away
}
