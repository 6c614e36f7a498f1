// Package fake is an Okta organisation with memory: users, their lifecycle,
// the strict and the lagging lookups, limits and errors as Okta documents them
// (developer.okta.com/docs/api/rest/users.html and its list of error codes).
//
// Settings: "token" (the only one accepted; unset: any), "stale_for" (how long
// a write stays invisible to search, a Go duration), "limit" (calls per
// minute, unset: no end), "mastered" ("elsewhere": profiles belong to another
// system and cannot be changed).
package fake

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/muster-hr/muster/libs/connector/fake"
)

// org is the memory of one organisation.
type org struct {
	o     fake.Options
	log   fake.Log
	stale time.Duration
	limit int

	mu     sync.Mutex
	users  []*user
	made   int // accounts ever, so that no id comes twice
	calls  int
	window time.Time // the minute that calls are counted in
	errors int
}

// New makes an empty organisation.
func New(o fake.Options) fake.Vendor {
	v := &org{o: o}
	v.stale, _ = time.ParseDuration(o.Settings["stale_for"])
	v.limit, _ = strconv.Atoi(o.Settings["limit"])
	return v
}

// Log is the memory that the sandbox shows.
func (v *org) Log() *fake.Log { return &v.log }

// Do knows no verb: people are hired in HR, not in Okta.
func (v *org) Do(_ context.Context, verb string, _ map[string]any) (map[string]any, error) {
	return nil, fake.ErrUnknownVerb(verb)
}

// answer is a status and a body; a problem answers with its error.
type answer struct {
	status int
	body   any
}

// ServeHTTP is the API, rooted at /api/v1.
func (v *org) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	v.mu.Lock()
	defer v.mu.Unlock()
	var a answer
	switch limited := v.count(w); {
	case err != nil:
		a = v.problem(400, "E0000003", "The request body was not well-formed.")
	case limited:
		a = v.problem(429, "E0000047", "API call exceeded rate limit due to too many requests.")
	case !v.authorised(r):
		a = v.problem(401, "E0000011", "Invalid token provided")
	default:
		a = v.route(r, raw)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Okta-Request-Id", fmt.Sprintf("req%08d", v.calls))
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a.body)
}

// count keeps the limit of a minute and sets the headers of every answer. The
// Date header is the organisation's clock, as the wait is reckoned by it.
func (v *org) count(w http.ResponseWriter) (limited bool) {
	now := v.o.Time()
	if now.Sub(v.window) >= time.Minute || now.Before(v.window) {
		v.window, v.calls = now.Truncate(time.Minute), 0
	}
	v.calls++
	limit := v.limit
	if limit == 0 {
		limit = 600
	}
	h := w.Header()
	h.Set("Date", now.Format(http.TimeFormat))
	h.Set("X-Rate-Limit-Limit", strconv.Itoa(limit))
	h.Set("X-Rate-Limit-Remaining", strconv.Itoa(max(0, limit-v.calls)))
	h.Set("X-Rate-Limit-Reset", strconv.FormatInt(v.window.Add(time.Minute).Unix(), 10))
	return v.limit > 0 && v.calls > v.limit
}

func (v *org) authorised(r *http.Request) bool {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || (scheme != "SSWS" && scheme != "Bearer") || token == "" {
		return false
	}
	want := v.o.Settings["token"]
	return want == "" || token == want
}

// route finds the call. Paths are matched on their escaped form, since a login
// may hold anything.
func (v *org) route(r *http.Request, raw []byte) answer {
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), "/api/v1/users")
	if !ok || (rest != "" && rest[0] != '/') {
		return v.problem(404, "E0000022", "The endpoint does not support the provided HTTP method")
	}
	parts := strings.Split(strings.TrimPrefix(rest, "/"), "/")
	if rest == "" || rest == "/" {
		switch r.Method {
		case http.MethodGet:
			return v.list(r)
		case http.MethodPost:
			return v.create(r, raw)
		}
		return v.problem(405, "E0000022", "The endpoint does not support the provided HTTP method")
	}
	name, err := url.PathUnescape(parts[0])
	u := v.find(name)
	switch {
	case err != nil || u == nil:
		return v.problem(404, "E0000007", "Not found: Resource not found: "+name+" (User)")
	case len(parts) == 3 && parts[1] == "lifecycle" && r.Method == http.MethodPost:
		return v.lifecycle(r, u, parts[2])
	case len(parts) > 1:
		return v.problem(404, "E0000008", "The requested path was not found")
	case r.Method == http.MethodGet:
		return answer{200, u.json()}
	case r.Method == http.MethodPost || r.Method == http.MethodPut:
		return v.update(r, u, raw)
	case r.Method == http.MethodDelete:
		return v.delete(r, u)
	}
	return v.problem(405, "E0000022", "The endpoint does not support the provided HTTP method")
}

// problem is Okta's error body.
func (v *org) problem(status int, code, summary string, causes ...string) answer {
	v.errors++
	list := []map[string]string{}
	for _, c := range causes {
		list = append(list, map[string]string{"errorSummary": c})
	}
	return answer{status, map[string]any{
		"errorCode": code, "errorSummary": summary, "errorLink": code,
		"errorId": fmt.Sprintf("oae%022d", v.errors), "errorCauses": list,
	}}
}

// wrote notes an effect in the memory that the sandbox shows.
func (v *org) wrote(r *http.Request, u *user, op fake.Op, body any) {
	now := v.o.Time()
	u.updated = now
	v.log.Put(u.id, u.json())
	v.log.Wrote(fake.Write{At: now, Key: u.id, Op: op, Body: body, Traceparent: r.Header.Get("Traceparent")})
}
