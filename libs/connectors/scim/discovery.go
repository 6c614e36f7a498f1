package scim

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/muster-hr/muster/libs/connector/httpx"
	"github.com/muster-hr/muster/libs/fault"
)

// abilities are what a server says of itself (RFC 7643 section 5).
type abilities struct{ patch, filter, etag bool }

// assumed is taken of a server that says nothing.
var assumed = abilities{patch: true, filter: true}

// How long an answer is believed, and how long none is asked for again after
// the server was in trouble.
const (
	believed = 24 * time.Hour
	asks     = 5 * time.Minute
)

// discovery asks for the abilities once a day. Safe for concurrent use.
type discovery struct {
	api api
	now func() time.Time

	mu    sync.Mutex
	known abilities
	until time.Time
}

// abilities gives what the server can. Only a refused credential, a limit and
// a network in trouble are errors: no answer is an answer.
func (v *discovery) abilities(ctx context.Context) (abilities, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.now()
	if now.Before(v.until) {
		return v.known, nil
	}
	a, err := v.api.do(ctx, httpx.Call{Method: http.MethodGet, Path: "/ServiceProviderConfig", Template: "/ServiceProviderConfig"})
	switch {
	case err == nil:
		v.known, v.until = readAbilities(a), now.Add(believed)
	case a.Status == 0 || a.Status == http.StatusUnauthorized || fault.Of(err).Class == fault.Throttled:
		return abilities{}, err
	case a.Status >= 500 && a.Status != http.StatusNotImplemented:
		if v.until.IsZero() {
			v.known = assumed
		}
		v.until = now.Add(asks)
	default:
		v.known, v.until = assumed, now.Add(believed)
	}
	return v.known, nil
}

// readAbilities opens a ServiceProviderConfig; what it does not say is assumed.
func readAbilities(a httpx.Answer) abilities {
	out := assumed
	var c map[string]any
	if a.Decode(&c) != nil {
		return out
	}
	for name, into := range map[string]*bool{"patch": &out.patch, "filter": &out.filter, "etag": &out.etag} {
		feature, _ := member(c, name)
		m, _ := feature.(map[string]any)
		said, _ := member(m, "supported")
		if on, ok := truth(said); ok {
			*into = on
		}
	}
	return out
}
