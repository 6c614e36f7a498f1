// Package fake is a receiver of people for the http connector: a JSON API
// without a vendor, with memory.
//
//	POST /people            creates under an id of its own: 201, Location
//	PUT|POST /people/{id}   creates or replaces: 201 or 200
//	PATCH /people/{id}      merges (RFC 7396)
//	DELETE /people/{id}     removes; the second time is 404
//	POST /people/{id}/disable|enable
//	GET /people/{id}        one person
//	GET /people?field=value {"items": […]}
//
// The first segment may be any word. A call with an idempotency key that was
// seen is answered as the first time and has no effect.
//
// Settings: "authorization" (the header that is demanded), or as in a target's
// file "auth" (bearer, basic, or header with "auth.header") with the secret in
// "api"; without either nobody is asked. "idempotency" (name of the header,
// default Idempotency-Key; "header NAME" as in a target's file), "stale_for"
// (how long a write stays invisible to GET with a query, a Go duration).
package fake

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/muster-hr/muster/libs/connector/fake"
)

// receiver is the memory.
type receiver struct {
	o     fake.Options
	log   fake.Log
	stale time.Duration

	mu     sync.Mutex
	people map[string]*person
	next   int
	seen   map[string]answer
}

type person struct {
	body  map[string]any
	since time.Time // of the last write, for the search's staleness
}

type answer struct {
	status   int
	location string
	body     any
}

// New makes an empty receiver.
func New(o fake.Options) fake.Vendor {
	stale, _ := time.ParseDuration(o.Settings["stale_for"])
	return &receiver{o: o, stale: stale, people: map[string]*person{}, seen: map[string]answer{}}
}

// Log is the memory that the sandbox shows.
func (v *receiver) Log() *fake.Log { return &v.log }

// Do knows no verb: nobody sits at this receiver's screen.
func (v *receiver) Do(_ context.Context, verb string, _ map[string]any) (map[string]any, error) {
	return nil, fake.ErrUnknownVerb(verb)
}

// ServeHTTP is the API.
func (v *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if header, want := v.credential(); want != "" && r.Header.Get(header) != want {
		send(w, answer{status: http.StatusUnauthorized, body: problem("not authorized")})
		return
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	if err != nil {
		send(w, answer{status: http.StatusBadRequest, body: problem("the body broke off")})
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	header := strings.TrimSpace(strings.TrimPrefix(v.o.Settings["idempotency"], "header "))
	if header == "" {
		header = "Idempotency-Key"
	}
	key := r.Header.Get(header)
	if key != "" {
		if a, ok := v.seen[key]; ok {
			send(w, a)
			return
		}
	}
	a := v.answer(r, raw)
	if key != "" && a.status < 300 {
		v.seen[key] = a
	}
	send(w, a)
}

// credential is the header that is demanded, and its value; "" for none.
func (v *receiver) credential() (header, value string) {
	s := v.o.Settings
	if s["authorization"] != "" {
		return "Authorization", s["authorization"]
	}
	if s["api"] == "" {
		return "", ""
	}
	switch s["auth"] {
	case "bearer":
		return "Authorization", "Bearer " + s["api"]
	case "basic":
		return "Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(s["api"]))
	case "header":
		return s["auth.header"], s["api"]
	}
	return "", ""
}

func (v *receiver) answer(r *http.Request, raw []byte) answer {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	id, action := "", ""
	if len(parts) > 1 {
		id = parts[1]
	}
	if len(parts) > 2 {
		action = parts[2]
	}
	if r.Method == http.MethodGet {
		return v.get(r, id)
	}
	var body map[string]any
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &body); err != nil {
			return answer{status: http.StatusBadRequest, body: problem("the body is not a JSON object")}
		}
	}
	p, exists := v.people[id]
	switch {
	case r.Method == http.MethodPost && (action == "disable" || action == "enable"):
		if !exists {
			return missing
		}
		p.body["disabled"] = action == "disable"
		return v.keep(r, id, fake.Op(action), body, p.body, http.StatusOK)
	case r.Method == http.MethodPost && id == "":
		v.next++
		id = "r-" + strconv.Itoa(v.next)
		a := v.keep(r, id, fake.Create, body, body, http.StatusCreated)
		a.location = r.URL.Path + "/" + id
		return a
	case (r.Method == http.MethodPut || r.Method == http.MethodPost) && id != "":
		if exists {
			return v.keep(r, id, fake.Update, body, body, http.StatusOK)
		}
		return v.keep(r, id, fake.Create, body, body, http.StatusCreated)
	case r.Method == http.MethodPatch && id != "":
		if !exists {
			return missing
		}
		return v.keep(r, id, fake.Update, body, merge(p.body, body), http.StatusOK)
	case r.Method == http.MethodDelete && id != "":
		if !exists {
			return missing
		}
		delete(v.people, id)
		v.log.Put(id, nil)
		v.wrote(r, id, fake.Delete, nil)
		return answer{status: http.StatusNoContent}
	}
	return answer{status: http.StatusMethodNotAllowed, body: problem("not here")}
}

func (v *receiver) get(r *http.Request, id string) answer {
	if id != "" {
		p, ok := v.people[id]
		if !ok {
			return missing
		}
		return answer{status: http.StatusOK, body: withID(p.body, id)}
	}
	items := []any{}
	for _, id := range slices.Sorted(maps.Keys(v.people)) {
		p := v.people[id]
		if v.o.Time().Sub(p.since) >= v.stale && matches(p.body, r.URL.Query()) {
			items = append(items, withID(p.body, id))
		}
	}
	return answer{status: http.StatusOK, body: map[string]any{"items": items}}
}

func (v *receiver) keep(r *http.Request, id string, op fake.Op, sent, whole map[string]any, status int) answer {
	if whole == nil {
		whole = map[string]any{}
	}
	v.people[id] = &person{body: whole, since: v.o.Time()}
	v.log.Put(id, whole)
	v.wrote(r, id, op, sent)
	return answer{status: status, body: map[string]any{"id": id}}
}

func (v *receiver) wrote(r *http.Request, id string, op fake.Op, sent map[string]any) {
	w := fake.Write{At: v.o.Time(), Key: id, Op: op, Traceparent: r.Header.Get("Traceparent")}
	if sent != nil {
		w.Body = sent
	}
	v.log.Wrote(w)
}

// merge is a JSON merge patch (RFC 7396).
func merge(into, patch map[string]any) map[string]any {
	out := maps.Clone(into)
	if out == nil {
		out = map[string]any{}
	}
	for k, v := range patch {
		inner, isMap := v.(map[string]any)
		switch {
		case v == nil:
			delete(out, k)
		case isMap:
			old, _ := out[k].(map[string]any)
			out[k] = merge(old, inner)
		default:
			out[k] = v
		}
	}
	return out
}

// matches compares top fields with the query, as text.
func matches(body map[string]any, query map[string][]string) bool {
	for k, want := range query {
		if got, ok := body[k]; !ok || fmt.Sprint(got) != want[0] {
			return false
		}
	}
	return true
}

func withID(body map[string]any, id string) map[string]any {
	out := maps.Clone(body)
	out["id"] = id
	return out
}

var missing = answer{status: http.StatusNotFound, body: problem("no such person")}

func problem(s string) map[string]any { return map[string]any{"error": s} }

func send(w http.ResponseWriter, a answer) {
	if a.location != "" {
		w.Header().Set("Location", a.location)
	}
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a.body)
}
