// Package fake is a SCIM 2.0 server with memory. Without settings it behaves as
// SCIMMY 1.3 was seen to (filters compare by case although uniqueness does not,
// a 204 where nothing changed, unknown attributes dropped by POST and refused
// by PATCH); its settings make it one of the others that exist.
//
// Settings: "token" (the only one accepted; unset: any), "stale_for" (how long
// a new user stays invisible to filters, a Go duration), "limit" (calls per
// minute), "patch" ("path" or "pathless": only this form; "none": 501),
// "patch_answer" ("empty": always 204), "filter" ("ignored": everybody,
// always; "none": not supported), "paging" ("ignored": every page is the
// first), "etag" ("on"), "discovery" ("none": 404), "drops" (attributes that are
// silently not kept, separated by commas), "immutable" (the same, for changes),
// "opens" ("true": a new user is active whatever was said), "user_name"
// ("lower": stored in small letters), "errors" ("plain": no scimType), "delete"
// ("deactivates", as Slack does).
package fake

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/muster-hr/muster/libs/connector/fake"
)

// server is the memory of one server.
type server struct {
	o     fake.Options
	log   fake.Log
	stale time.Duration
	limit int

	mu     sync.Mutex
	users  []*user
	made   int // users ever, so that no id comes twice
	calls  int
	window time.Time // the minute that calls are counted in
}

// user is one account; body is the resource without id and meta.
type user struct {
	id               string
	body             map[string]any
	created, changed time.Time
	real             time.Time // created on the real clock
}

// New makes an empty server.
func New(o fake.Options) fake.Vendor {
	v := &server{o: o}
	v.stale, _ = time.ParseDuration(o.Settings["stale_for"])
	v.limit, _ = strconv.Atoi(o.Settings["limit"])
	return v
}

// Log is the memory that the sandbox shows.
func (v *server) Log() *fake.Log { return &v.log }

// Do knows no verb: people are hired in HR.
func (v *server) Do(_ context.Context, verb string, _ map[string]any) (map[string]any, error) {
	return nil, fake.ErrUnknownVerb(verb)
}

// set gives a setting.
func (v *server) set(name string) string { return v.o.Settings[name] }

// names is a setting that lists attributes.
func (v *server) names(setting string) []string {
	return strings.FieldsFunc(v.set(setting), func(r rune) bool { return r == ',' || r == ' ' })
}

// answer is a status and a body; problems are answers too.
type answer struct {
	status int
	body   any
	header map[string]string
}

const (
	schemaError = "urn:ietf:params:scim:api:messages:2.0:Error"
	schemaList  = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
)

// problem is an error body (RFC 7644 section 3.12); status is a text in it.
func (v *server) problem(status int, kind, detail string) answer {
	b := map[string]any{"schemas": []string{schemaError}, "status": strconv.Itoa(status), "detail": detail}
	if kind != "" && v.set("errors") != "plain" {
		b["scimType"] = kind
	}
	return answer{status: status, body: b}
}

// ServeHTTP is the API, rooted at "/" or at "/scim/v2".
func (v *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	v.mu.Lock()
	defer v.mu.Unlock()
	var a answer
	switch limited := v.count(); {
	case err != nil:
		a = v.problem(400, "invalidSyntax", "The body cannot be read")
	case limited:
		a = answer{429, map[string]any{"Errors": map[string]any{"description": "ratelimited", "code": 429}}, map[string]string{"Retry-After": strconv.Itoa(v.wait())}}
	case !v.authorised(r):
		a = v.problem(401, "", "Authorization not detected!")
	default:
		a = v.route(r, raw)
	}
	w.Header().Set("Content-Type", "application/scim+json")
	for k, x := range a.header {
		w.Header().Set(k, x)
	}
	var out []byte
	if a.body != nil {
		out, _ = json.Marshal(a.body)
		// Web frameworks add it to every answer; it says nothing about versions.
		w.Header().Set("Etag", fmt.Sprintf(`W/"%x"`, sha256.Sum256(out))[:20]+`"`)
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(out)
}

// count keeps the limit of a minute.
func (v *server) count() (limited bool) {
	now := v.o.Time()
	if now.Sub(v.window) >= time.Minute || now.Before(v.window) {
		v.window, v.calls = now.Truncate(time.Minute), 0
	}
	v.calls++
	return v.limit > 0 && v.calls > v.limit
}

// wait is until the next minute, in seconds.
func (v *server) wait() int {
	return 1 + int(v.window.Add(time.Minute).Sub(v.o.Time())/time.Second)
}

func (v *server) authorised(r *http.Request) bool {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	want := v.set("token")
	return ok && (scheme == "Bearer" || scheme == "Basic") && token != "" && (want == "" || token == want)
}

// route finds the call.
func (v *server) route(r *http.Request, raw []byte) answer {
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/scim/v2")
	if path == "/ServiceProviderConfig" && r.Method == http.MethodGet && v.set("discovery") != "none" {
		return v.config()
	}
	rest, ok := strings.CutPrefix(path, "/Users")
	if !ok || rest != "" && rest[0] != '/' {
		return v.problem(404, "", "Endpoint not found")
	}
	if rest == "" || rest == "/" {
		switch r.Method {
		case http.MethodGet:
			return v.list(r.URL.Query())
		case http.MethodPost:
			return v.create(r, raw)
		}
		return v.problem(405, "", "Method not allowed")
	}
	id, err := url.PathUnescape(rest[1:])
	i := slices.IndexFunc(v.users, func(u *user) bool { return u.id == id })
	if err != nil || i < 0 {
		return v.problem(404, "", "Resource "+id+" not found")
	}
	u := v.users[i]
	if match := r.Header.Get("If-Match"); match != "" && v.set("etag") == "on" && match != u.version() {
		return v.problem(412, "", "Failed to update. Resource has changed on the server.")
	}
	switch r.Method {
	case http.MethodGet:
		return answer{status: 200, body: v.json(u)}
	case http.MethodPut:
		return v.replace(r, u, raw)
	case http.MethodPatch:
		return v.patch(r, u, raw)
	case http.MethodDelete:
		return v.delete(r, u)
	}
	return v.problem(405, "", "Method not allowed")
}

// config is what the server says of itself.
func (v *server) config() answer {
	on := func(b bool) map[string]any { return map[string]any{"supported": b} }
	return answer{status: 200, body: map[string]any{
		"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"}, "documentationUri": "https://app.vendor.example/docs/scim",
		"patch": on(v.set("patch") != "none"), "etag": on(v.set("etag") == "on"), "changePassword": on(false), "sort": on(true),
		"bulk":   map[string]any{"supported": false, "maxOperations": 1000, "maxPayloadSize": 1048576},
		"filter": map[string]any{"supported": v.set("filter") != "none", "maxResults": 200},
		"authenticationSchemes": []any{map[string]any{
			"type": "oauthbearertoken", "name": "OAuth Bearer Token", "description": "Authentication with a bearer token",
			"specUri": "https://www.rfc-editor.org/rfc/rfc6750", "primary": true,
		}},
		"meta": map[string]any{"resourceType": "ServiceProviderConfig", "location": "https://app.vendor.example/scim/v2/ServiceProviderConfig"},
	}}
}

func (u *user) version() string {
	b, _ := json.Marshal(u.body)
	return fmt.Sprintf(`W/"%.15x"`, sha256.Sum256(b))
}

// json is the resource as it is answered.
func (v *server) json(u *user) map[string]any {
	out := maps.Clone(u.body)
	out["id"] = u.id
	stamp := func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
	out["meta"] = map[string]any{
		"resourceType": "User", "created": stamp(u.created), "lastModified": stamp(u.changed),
		"location": "https://app.vendor.example/scim/v2/Users/" + u.id, "version": u.version(),
	}
	return out
}

// create makes a user; what the schema does not know is dropped silently.
func (v *server) create(r *http.Request, raw []byte) answer {
	var in map[string]any
	if json.Unmarshal(raw, &in) != nil || in == nil {
		return v.problem(400, "invalidSyntax", "Request body must be a JSON object")
	}
	body, refused := v.admit(in, nil)
	if refused != nil {
		return *refused
	}
	if v.set("opens") == "true" {
		body["active"] = true
	}
	v.made++
	now := v.o.Time()
	u := &user{id: fmt.Sprintf("%08d-7f76-453a-919d-413861904646", v.made), body: body, created: now, changed: now, real: time.Now()}
	v.users = append(v.users, u)
	v.wrote(r, u, fake.Create, in)
	return answer{201, v.json(u), map[string]string{"Location": "https://app.vendor.example/scim/v2/Users/" + u.id}}
}

// replace is PUT: what is left out is gone.
func (v *server) replace(r *http.Request, u *user, raw []byte) answer {
	var in map[string]any
	if json.Unmarshal(raw, &in) != nil || in == nil {
		return v.problem(400, "invalidSyntax", "Request body must be a JSON object")
	}
	body, refused := v.admit(in, u)
	if refused != nil {
		return *refused
	}
	v.become(r, u, body, in)
	return answer{status: 200, body: v.json(u)}
}

// become stores a changed body and tells whether it was one.
func (v *server) become(r *http.Request, u *user, body map[string]any, sent any) bool {
	if reflect.DeepEqual(body, u.body) {
		return false
	}
	op := fake.Update
	switch was, is := u.body["active"], body["active"]; {
	case was != false && is == false:
		op = fake.Disable
	case was == false && is != false:
		op = fake.Enable
	}
	u.body, u.changed = body, v.o.Time()
	v.wrote(r, u, op, sent)
	return true
}

// delete removes a user, or only shuts it.
func (v *server) delete(r *http.Request, u *user) answer {
	if v.set("delete") == "deactivates" {
		body := maps.Clone(u.body)
		body["active"] = false
		v.become(r, u, body, nil)
		return answer{status: 204}
	}
	v.users = slices.DeleteFunc(v.users, func(x *user) bool { return x == u })
	v.wrote(r, u, fake.Delete, nil)
	v.log.Put(u.id, nil)
	return answer{status: 204}
}

// wrote notes an effect in the memory that the sandbox shows.
func (v *server) wrote(r *http.Request, u *user, op fake.Op, body any) {
	v.log.Put(u.id, v.json(u))
	v.log.Wrote(fake.Write{At: v.o.Time(), Key: u.id, Op: op, Body: body, Traceparent: r.Header.Get("Traceparent")})
}
