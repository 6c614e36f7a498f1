// Package fleet asks the other services whether they are ready: the console is
// ready only when every configured service is.
package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/muster-hr/muster/libs/service"
)

// askTimeout bounds one question, so that one that hangs does not hide the others.
const askTimeout = 1500 * time.Millisecond

// maxAnswer is what is read of an answer.
const maxAnswer = 64 << 10

// Fleet is the other services.
type Fleet struct {
	// Services gives the base URL of every configured service by name; ""
	// for one that has not said its address yet.
	Services func() map[string]string
	Self     string // left out
}

// Parse reads MUSTER_SERVICES: a JSON object of names and base URLs.
func Parse(v string) (map[string]string, error) {
	if v == "" {
		return nil, nil
	}
	var out map[string]string
	if err := json.Unmarshal([]byte(v), &out); err != nil {
		return nil, fmt.Errorf(`want a JSON object of names and base URLs: {"ingress": "http://127.0.0.1:8080"}`)
	}
	for name, base := range out {
		if u, err := url.Parse(base); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("the base URL of %s is not one", name)
		}
	}
	return out, nil
}

// Ready asks all of them at once and gives what each lacks, nil for nothing.
func (f *Fleet) Ready(ctx context.Context) map[string]error {
	services := f.Services()
	out := make(map[string]error, len(services))
	var mu sync.Mutex
	var wg sync.WaitGroup
	for name, base := range services {
		if name == f.Self {
			continue
		}
		wg.Go(func() {
			err := ask(ctx, base)
			mu.Lock()
			defer mu.Unlock()
			out[name] = err
		})
	}
	wg.Wait()
	return out
}

var client = &http.Client{Timeout: askTimeout}

func ask(ctx context.Context, base string) error {
	if base == "" {
		return service.NotReady("not started")
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", nil)
	if err != nil {
		return service.NotReady("bad address")
	}
	res, err := client.Do(req)
	if err != nil {
		return service.NotReady("no answer")
	}
	defer func() { _ = res.Body.Close() }()                    // it was read, or is not wanted
	body, _ := io.ReadAll(io.LimitReader(res.Body, maxAnswer)) // a short answer is read below as unready
	var ready service.Ready
	if json.Unmarshal(body, &ready) != nil {
		return service.NotReady("no readiness in the answer")
	}
	if res.StatusCode != http.StatusOK || !ready.Ready {
		return service.NotReady(missing(ready))
	}
	return nil
}

func missing(r service.Ready) string {
	for _, name := range slices.Sorted(maps.Keys(r.Checks)) {
		if r.Checks[name] != "ok" {
			return name + ": " + r.Checks[name]
		}
	}
	return "not ready"
}
