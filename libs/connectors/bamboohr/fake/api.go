package fake

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/connector/fake"
)

// answer is what a call gives: a status, a JSON body or none, a Location, and
// what it made happen.
type answer struct {
	status   int
	body     any
	message  string // X-BambooHR-Error-Message; the body of an error is empty
	location string
	events   []event
}

func refuse(status int, message string) answer { return answer{status: status, message: message} }

// routes are the paths that the connector calls, and those of the webhooks.
func (v *Vendor) routes() {
	v.mux = http.NewServeMux()
	for pattern, h := range map[string]func(*http.Request) answer{
		"GET /api/v1/employees":                              v.list,
		"GET /api/v1/employees/directory":                    v.directory,
		"GET /api/v1/employees/changed":                      v.changed,
		"GET /api/v1/employees/changed/tables/{table}":       v.changedTable,
		"GET /api/v1/employees/{id}":                         v.read,
		"POST /api/v1/employees":                             v.post,
		"POST /api/v1/employees/{id}":                        v.update,
		"GET /api/v1/employees/{id}/tables/{table}":          v.readTable,
		"POST /api/v1/employees/{id}/tables/{table}":         v.postRow,
		"POST /api/v1_1/employees/{id}/tables/{table}":       v.postRow,
		"POST /api/v1/employees/{id}/tables/{table}/{row}":   v.updateRow,
		"POST /api/v1_1/employees/{id}/tables/{table}/{row}": v.updateRow,
		"GET /api/v1/webhooks":                               v.listHooks,
		"POST /api/v1/webhooks":                              v.register,
		"GET /api/v1/webhooks/{hook}":                        v.readHook,
		"DELETE /api/v1/webhooks/{hook}":                     v.deleteHook,
	} {
		v.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { v.serve(w, r, h) })
	}
}

// ServeHTTP serves the API, also under the older gateway's path.
func (v *Vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if rest, ok := strings.CutPrefix(r.URL.Path, "/api/gateway.php/"); ok {
		if _, path, ok := strings.Cut(rest, "/"); ok { // the company is in the path
			r = r.Clone(r.Context())
			r.URL.Path, r.URL.RawPath = "/api/"+path, ""
		}
	}
	if _, pattern := v.mux.Handler(r); pattern == "" {
		v.serve(w, r, func(*http.Request) answer { return refuse(http.StatusNotFound, "Not found") })
		return
	}
	v.mux.ServeHTTP(w, r)
}

func (v *Vendor) serve(w http.ResponseWriter, r *http.Request, h func(*http.Request) answer) {
	ctx := context.WithoutCancel(r.Context()) // a caller that hangs up does not undo what happened
	v.Tick(ctx)
	v.mu.Lock()
	a, wait := v.limited()
	if wait == 0 {
		a = v.guarded(r, h)
	}
	v.mu.Unlock()
	early := v.o.Settings["hook_before_answer"] != "false"
	if early {
		v.emit(ctx, a.events)
	}
	write(w, a, wait)
	if !early {
		_ = http.NewResponseController(w).Flush() // the answer goes first
		v.emit(ctx, a.events)
	}
}

func write(w http.ResponseWriter, a answer, wait time.Duration) {
	h := w.Header()
	if wait > 0 {
		h.Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
	}
	if a.message != "" {
		h.Set("X-BambooHR-Error-Message", a.message)
	}
	if a.location != "" {
		h.Set("Location", a.location)
	}
	if a.body == nil {
		h.Set("Content-Length", "0")
		w.WriteHeader(a.status)
		return
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(a.body)
}

// limited counts calls in minutes of the fake's clock.
func (v *Vendor) limited() (answer, time.Duration) {
	limit, err := strconv.Atoi(v.o.Settings["rate_per_minute"])
	if err != nil {
		return answer{}, 0
	}
	now := v.o.Time()
	if now.Sub(v.window) >= time.Minute {
		v.window, v.calls = now, 0
	}
	if v.calls++; v.calls <= limit {
		return answer{}, 0
	}
	status := http.StatusTooManyRequests
	if v.o.Settings["limit_status"] == "503" {
		status = http.StatusServiceUnavailable
	}
	return refuse(status, "Limit exceeded"), max(time.Second, v.window.Add(time.Minute).Sub(now))
}

// guarded asks for the API key by Basic, and for the right to write.
func (v *Vendor) guarded(r *http.Request, h func(*http.Request) answer) answer {
	key, _, ok := r.BasicAuth()
	if want := v.o.Settings["api_key"]; !ok || key == "" || (want != "" && key != want) {
		return refuse(http.StatusUnauthorized, "Invalid API key")
	}
	if v.setting("forbidden_employees")[r.PathValue("id")] {
		return refuse(http.StatusForbidden, "Insufficient Permissions to view this employee")
	}
	if r.Method != http.MethodGet && v.o.Settings["read_only"] == "true" {
		return refuse(http.StatusForbidden, "You do not have permission to edit")
	}
	return h(r)
}

// wrote notes an effect for the sandbox.
func (v *Vendor) wrote(r *http.Request, e *employee, op fake.Op, body map[string]any) {
	v.log.Wrote(fake.Write{At: v.o.Time(), Key: e.id, Op: op, Body: body, Traceparent: r.Header.Get("Traceparent")})
}

// register keeps a webhook and shows its key, this once.
func (v *Vendor) register(r *http.Request) answer {
	hook, ok := object(r)
	name, _ := hook["name"].(string)
	url, _ := hook["url"].(string)
	if !ok || name == "" || !strings.HasPrefix(url, "https://") {
		return refuse(http.StatusBadRequest, "name and an https url are required")
	}
	fields, _ := hook["monitorFields"].([]any)
	for _, ev := range listOf(hook["events"]) {
		if ev == "employee.updated" && len(fields) == 0 {
			return refuse(http.StatusBadRequest, "monitorFields is required")
		}
	}
	id := strconv.Itoa(v.nextHook)
	v.nextHook++
	hook["id"], hook["created"], hook["lastSent"] = id, v.o.Time().Format(time.DateTime), nil
	v.hooks[id] = hook
	shown := map[string]any{"privateKey": v.o.Secret}
	for name, value := range hook {
		shown[name] = value
	}
	return answer{status: http.StatusCreated, body: shown}
}

func (v *Vendor) listHooks(*http.Request) answer {
	hooks := []any{}
	for n := 0; n < v.nextHook; n++ {
		if h := v.hooks[strconv.Itoa(n)]; h != nil {
			hooks = append(hooks, h)
		}
	}
	return answer{status: http.StatusOK, body: map[string]any{"webhooks": hooks}}
}

func (v *Vendor) readHook(r *http.Request) answer {
	if h := v.hooks[r.PathValue("hook")]; h != nil {
		return answer{status: http.StatusOK, body: h}
	}
	return refuse(http.StatusNotFound, "Not found")
}

func (v *Vendor) deleteHook(r *http.Request) answer {
	if v.hooks[r.PathValue("hook")] == nil {
		return refuse(http.StatusNotFound, "Not found")
	}
	delete(v.hooks, r.PathValue("hook"))
	return answer{status: http.StatusOK}
}

func listOf(v any) []any { l, _ := v.([]any); return l }

// object reads a JSON object.
func object(r *http.Request) (map[string]any, bool) {
	var m map[string]any
	err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 1<<20)).Decode(&m)
	return m, err == nil && m != nil
}
