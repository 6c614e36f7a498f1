// Package fake is a company in Gusto with memory: employees, jobs, effective-
// dated pay, addresses, withholding, benefits, terminations and rehires, the
// versions of all of them, limits and errors, and webhooks with their handshake.
//
//	fake.go      settings, routes, authentication, limits, errors
//	employee.go  employees and what is shown of them
//	pay.go       jobs and compensations
//	spell.go     terminations and rehires
//	address.go   home and work addresses, the company's locations
//	tax.go       federal and state withholding
//	benefit.go   the company's benefits and who pays into them
//	hooks.go     webhook subscriptions, the handshake, events
//	do.go        what a person does in Gusto's screens
//
// Settings ([fake.Options].Settings, all texts):
//
//	token             the company's access token; unset: any
//	system_token      the token for webhook subscriptions; unset: any
//	client_id, client_secret, refresh_token   what a refresh needs; unset: any
//	company           the company's UUID; unset: any
//	limit             calls in 60 seconds before a 429; unset: no end (headers say 200)
//	stale_for         how long a new employee stays invisible to a search, a Go duration (memory)
//	locations         the company's places, as in "Portland OR; Austin TX"
//	company_benefits  what the company offers, as in "Medical; 401k"
//	program           "app": withholding answers missing_permissions, as App Integrations may get
//	effective_dating  "off": a second compensation is refused, as before it was added
package fake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/muster-hr/muster/libs/connector/fake"
)

// object is a JSON object of Gusto's.
type object = map[string]any

// Vendor is the faked company.
type Vendor struct {
	o     fake.Options
	log   fake.Log
	mux   *http.ServeMux
	stale time.Duration
	limit int

	mu        sync.Mutex
	people    []*person
	locations []object
	offered   []object
	hooks     []*subscription
	made      int         // objects ever: UUIDs count up
	calls     []time.Time // of the last minute
	access    string      // the token in use, once refreshed
	refresh   string
	refreshes int
	expired   bool
	events    []event // caused by the call that is served
}

var _ fake.Vendor = (*Vendor)(nil)

// New makes a company without employees.
func New(o fake.Options) fake.Vendor {
	v := &Vendor{o: o, refresh: o.Settings["refresh_token"], access: o.Settings["token"]}
	v.stale, _ = time.ParseDuration(o.Settings["stale_for"])
	v.limit, _ = strconv.Atoi(o.Settings["limit"])
	places := o.Settings["locations"]
	if places == "" {
		places = "Portland OR; San Francisco CA; Austin TX; New York NY"
	}
	for place := range strings.SplitSeq(places, ";") {
		place = strings.TrimSpace(place)
		if i := strings.LastIndex(place, " "); i > 0 {
			v.locations = append(v.locations, v.location(place[:i], place[i+1:]))
		}
	}
	offers := o.Settings["company_benefits"]
	if offers == "" {
		offers = "Medical; Dental; 401k"
	}
	for name := range strings.SplitSeq(offers, ";") {
		v.offered = append(v.offered, object{"uuid": v.uuid(), "description": strings.TrimSpace(name), "active": true})
	}
	v.routes()
	return v
}

// Log is the memory that the sandbox shows.
func (v *Vendor) Log() *fake.Log { return &v.log }

func (v *Vendor) today() string { return v.o.Time().Format(time.DateOnly) }

// uuid counts up, so that a test can be read.
func (v *Vendor) uuid() string {
	v.made++
	sum := sha256.Sum256([]byte(strconv.Itoa(v.made)))
	s := hex.EncodeToString(sum[:])
	return fmt.Sprintf("%s-%s-4%s-8%s-%012d", s[:8], s[8:12], s[12:15], s[15:18], v.made)
}

// Digest is the version of an object: equal fields, equal version. Exported
// for tests that foresee one.
func Digest(fields map[string]any) string {
	b, _ := json.Marshal(fields) // maps are written in order of their keys
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// answer is a status and a body.
type answer struct {
	status int
	body   any
	header http.Header
}

// handler serves one call. The employee of the path, and the request's JSON,
// are looked up before.
type handler func(v *Vendor, q *request) answer

type request struct {
	*http.Request
	person *person
	body   object
}

func (q *request) text(name string) string { s, _ := q.body[name].(string); return s }

func (q *request) has(name string) bool { x, ok := q.body[name]; return ok && x != nil }

func (v *Vendor) routes() {
	v.mux = http.NewServeMux()
	for pattern, h := range map[string]handler{
		"POST /oauth/token":                                               (*Vendor).token,
		"GET /v1/companies/{company}/employees":                           (*Vendor).list,
		"POST /v1/companies/{company}/employees":                          (*Vendor).create,
		"GET /v1/companies/{company}/locations":                           (*Vendor).listLocations,
		"GET /v1/companies/{company}/company_benefits":                    (*Vendor).listOffered,
		"GET /v1/employees/{employee}":                                    (*Vendor).read,
		"PUT /v1/employees/{employee}":                                    (*Vendor).update,
		"DELETE /v1/employees/{employee}":                                 (*Vendor).delete,
		"GET /v1/employees/{employee}/jobs":                               (*Vendor).listJobs,
		"POST /v1/employees/{employee}/jobs":                              (*Vendor).createJob,
		"GET /v1/jobs/{job}":                                              (*Vendor).readJob,
		"PUT /v1/jobs/{job}":                                              (*Vendor).updateJob,
		"GET /v1/jobs/{job}/compensations":                                (*Vendor).listPay,
		"POST /v1/jobs/{job}/compensations":                               (*Vendor).createPay,
		"GET /v1/compensations/{pay}":                                     (*Vendor).readPay,
		"PUT /v1/compensations/{pay}":                                     (*Vendor).updatePay,
		"DELETE /v1/compensations/{pay}":                                  (*Vendor).deletePay,
		"GET /v1/employees/{employee}/{kind}":                             (*Vendor).listAddresses,
		"POST /v1/employees/{employee}/{kind}":                            (*Vendor).createAddress,
		"PUT /v1/home_addresses/{address}":                                (*Vendor).updateAddress,
		"PUT /v1/work_addresses/{address}":                                (*Vendor).updateAddress,
		"GET /v1/employees/{employee}/federal_taxes":                      (*Vendor).readFederal,
		"PUT /v1/employees/{employee}/federal_taxes":                      (*Vendor).updateFederal,
		"GET /v1/employees/{employee}/state_taxes":                        (*Vendor).readStates,
		"PUT /v1/employees/{employee}/state_taxes":                        (*Vendor).updateStates,
		"GET /v1/employees/{employee}/employee_benefits":                  (*Vendor).listBenefits,
		"POST /v1/employees/{employee}/employee_benefits":                 (*Vendor).createBenefit,
		"PUT /v1/employee_benefits/{benefit}":                             (*Vendor).updateBenefit,
		"GET /v1/employees/{employee}/terminations":                       (*Vendor).listTerminations,
		"POST /v1/employees/{employee}/terminations":                      (*Vendor).terminate,
		"DELETE /v1/employees/{employee}/terminations":                    (*Vendor).withdrawTermination,
		"PUT /v1/terminations/{employee}":                                 (*Vendor).moveTermination,
		"GET /v1/employees/{employee}/rehire":                             (*Vendor).readRehire,
		"POST /v1/employees/{employee}/rehire":                            (*Vendor).rehire,
		"DELETE /v1/employees/{employee}/rehire":                          (*Vendor).withdrawRehire,
		"GET /v1/webhook_subscriptions":                                   (*Vendor).listHooks,
		"POST /v1/webhook_subscriptions":                                  (*Vendor).subscribe,
		"PUT /v1/webhook_subscriptions/{hook}/verify":                     (*Vendor).verify,
		"GET /v1/webhook_subscriptions/{hook}/request_verification_token": (*Vendor).tellToken,
	} {
		v.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { v.serve(w, r, h) })
	}
	v.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { v.serve(w, r, nil) })
}

// ServeHTTP is the API, rooted at "/".
func (v *Vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) { v.mux.ServeHTTP(w, r) }

func (v *Vendor) serve(w http.ResponseWriter, r *http.Request, h handler) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	q := &request{Request: r, body: object{}}
	v.mu.Lock()
	v.events = nil
	a, limited := v.count(w)
	switch {
	case limited:
	case err != nil || len(raw) > 0 && json.Unmarshal(raw, &q.body) != nil:
		a = refuse(http.StatusUnprocessableEntity, "invalid_parameter", "request", "The body is not a JSON object")
	case h == nil:
		a = notFound()
	default:
		a = v.guarded(q, h)
	}
	events := v.events
	v.mu.Unlock()
	v.emit(context.WithoutCancel(r.Context()), events)
	for k, values := range a.header {
		w.Header()[k] = values
	}
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(a.body) // texts, numbers, lists and maps
	_, _ = w.Write(b.Bytes())
}

// count keeps the limit of a rolling minute.
func (v *Vendor) count(w http.ResponseWriter) (answer, bool) {
	now, limit := v.o.Time(), v.limit
	if limit == 0 {
		limit = 200
	}
	for len(v.calls) > 0 && (now.Sub(v.calls[0]) >= time.Minute || now.Before(v.calls[0])) {
		v.calls = v.calls[1:]
	}
	limited := v.limit > 0 && len(v.calls) >= v.limit
	if !limited {
		v.calls = append(v.calls, now)
	}
	reset := v.calls[0].Add(time.Minute)
	h := w.Header()
	h.Set("X-RateLimit-Limit", strconv.Itoa(limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(max(0, limit-len(v.calls))))
	h.Set("X-RateLimit-Reset", reset.Format(time.RFC3339))
	if !limited {
		return answer{}, false
	}
	a := refuse(http.StatusTooManyRequests, "rate_limit_exceeded", "request", "Too many requests")
	a.header = http.Header{"Retry-After": {strconv.Itoa(int(max(time.Second, reset.Sub(now)) / time.Second))}}
	return a, true
}

var versionForm = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}$`)

// guarded asks for the token and the API version, and finds the employee.
func (v *Vendor) guarded(q *request, h handler) answer {
	if s := q.Header.Get("X-Gusto-API-Version"); s != "" && !versionForm.MatchString(s) {
		return refuse(http.StatusNotAcceptable, "invalid_api_version", "request", "Invalid API Version `"+s+"`. Expected format: YYYY-MM-DD")
	}
	if strings.HasPrefix(q.URL.Path, "/oauth/") {
		return h(v, q)
	}
	want := v.access
	if strings.HasPrefix(q.URL.Path, "/v1/webhook_subscriptions") {
		want = v.o.Settings["system_token"]
	}
	token, ok := strings.CutPrefix(q.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" || (want != "" && token != want) || v.expired {
		return refuse(http.StatusUnauthorized, "invalid_token", "request", "The access token is invalid")
	}
	if c := q.PathValue("company"); c != "" && v.o.Settings["company"] != "" && c != v.o.Settings["company"] {
		return notFound()
	}
	if id := q.PathValue("employee"); id != "" {
		if q.person = v.person(id); q.person == nil {
			return notFound()
		}
	}
	return h(v, q)
}

// token is a refresh: the refresh token is used up by it.
func (v *Vendor) token(q *request) answer {
	for _, name := range []string{"client_id", "client_secret"} {
		if want := v.o.Settings[name]; want != "" && q.text(name) != want {
			return answer{status: http.StatusUnauthorized, body: object{"error": "invalid_client"}}
		}
	}
	if q.text("grant_type") != "refresh_token" || (v.refresh != "" && q.text("refresh_token") != v.refresh) {
		return answer{status: http.StatusBadRequest, body: object{"error": "invalid_grant"}}
	}
	v.refreshes++
	v.expired = false
	v.access, v.refresh = fmt.Sprintf("access-%d", v.refreshes), fmt.Sprintf("refresh-%d", v.refreshes)
	return answer{status: http.StatusOK, body: object{"access_token": v.access, "refresh_token": v.refresh, "token_type": "Bearer", "expires_in": 7200}}
}

func refuse(status int, category, key, message string) answer {
	return answer{status: status, body: object{"errors": []any{problem(category, key, message)}}}
}

func problem(category, key, message string) object {
	return object{"error_key": key, "category": category, "message": message}
}

func invalid(problems ...any) answer {
	return answer{status: http.StatusUnprocessableEntity, body: object{"errors": problems}}
}

func notFound() answer {
	return refuse(http.StatusNotFound, "not_found", "request", "The requested resource was not found.")
}

func staleVersion() answer {
	return refuse(http.StatusConflict, "invalid_resource_version", "base", "You are attempting to update a resource using an out-of-date version.")
}

// versioned compares the version of an update with the object's.
func versioned(q *request, o object) (answer, bool) {
	switch {
	case q.text("version") == "":
		return invalid(problem("missing_parameter", "version", "Version is required")), false
	case q.text("version") != o["version"]:
		return staleVersion(), false
	}
	return answer{}, true
}

var dayForm = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}$`)

func isDay(s string) bool {
	_, err := time.Parse(time.DateOnly, s)
	return dayForm.MatchString(s) && err == nil
}

// wrote notes an effect and shows the employee as he is now.
func (v *Vendor) wrote(q *request, p *person, op fake.Op, events ...string) {
	v.log.Put(p.id(), v.view(p))
	body := any(q.body)
	if len(q.body) == 0 {
		body = nil
	}
	v.log.Wrote(fake.Write{At: v.o.Time(), Key: p.id(), Op: op, Body: body, Traceparent: q.Header.Get("Traceparent")})
	for _, e := range events {
		v.events = append(v.events, event{kind: e, entity: "Employee", id: p.id()})
	}
}
