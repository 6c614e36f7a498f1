// Package play puts a company's fakes on one stage: their APIs, their memory,
// faults on purpose, and the acts of people in the vendors' screens.
package play

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector/fake"
)

// Options of a stage.
type Options struct {
	Now      func() time.Time
	SetClock func(time.Time) bool
	Ingress  func() string
	Settings string // of fakes, beyond their accounts': "okta.stale_for=2s payroll.limit=60"
	Log      *slog.Logger
}

// Stage serves the fakes and the orders about them.
type Stage struct {
	Options
	mux    *http.ServeMux
	actors map[string]*actor
	doors  map[string]net.Listener // of the fakes that do not speak HTTP
	pause  time.Duration           // before a webhook is sent again
	ctx    context.Context         // of Run: webhooks that are sent again end with it
	begun  chan struct{}

	mu    sync.Mutex
	ended bool // no webhook is sent again any more
	hooks sync.WaitGroup
}

// actor is one fake with its faults and the sources that listen to it.
type actor struct {
	fake.Vendor
	faults  fake.Faults
	sources []string
}

// New puts every account of the company that has a fake on the stage. Accounts
// that are one at the vendor are one fake.
func New(c *config.Company, o Options) *Stage {
	s := &Stage{Options: o, mux: http.NewServeMux(), actors: map[string]*actor{}, pause: hookPause, begun: make(chan struct{})}
	settings := map[string]map[string]string{} // by the fake's name
	for _, name := range c.SourceNames() {
		gather(settings, &c.Sources[name].Account)
	}
	for _, name := range c.TargetNames() { // last, for the API's credential is theirs
		gather(settings, &c.Targets[name].Account)
	}
	for _, one := range strings.Fields(o.Settings) {
		account, rest, _ := strings.Cut(one, ".")
		setting, value, _ := strings.Cut(rest, "=")
		if settings[account] != nil {
			settings[account][setting] = value
		}
	}
	for _, name := range c.SourceNames() {
		src := c.Sources[name]
		a := s.actor(&src.Account, settings)
		if a != nil && src.Webhook {
			a.sources = append(a.sources, name)
		}
	}
	for _, name := range c.TargetNames() {
		s.actor(&c.Targets[name].Account, settings)
	}
	for name, a := range s.actors {
		s.mux.Handle("/"+name+"/", http.StripPrefix("/"+name, a.faults.Around(a.Vendor)))
	}
	s.mux.HandleFunc("GET /_sandbox/{vendor}/state", s.with(s.state))
	s.mux.HandleFunc("GET /_sandbox/{vendor}/requests", s.with(s.requests))
	s.mux.HandleFunc("POST /_sandbox/{vendor}/faults", s.with(s.addFault))
	s.mux.HandleFunc("GET /_sandbox/{vendor}/faults", s.with(s.held))
	s.mux.HandleFunc("DELETE /_sandbox/{vendor}/faults", s.with(s.clearFaults))
	s.mux.HandleFunc("POST /_sandbox/{vendor}/do/{verb}", s.with(s.do))
	s.mux.HandleFunc("POST /_sandbox/clock", s.clock)
	return s
}

// gather collects what a fake is set up with: the texts among the settings of
// its accounts, and the secrets that they prove themselves with.
func gather(all map[string]map[string]string, account *config.Account) {
	name := account.SandboxName()
	if all[name] == nil {
		all[name] = map[string]string{}
	}
	for setting, v := range account.Settings {
		if text, ok := v.(string); ok && text != "" {
			all[name][setting] = text
		}
	}
	for secretName, use := range account.Type.Secrets {
		// One that is not configured is not sent either, see config.Company.Secrets.
		if _, ok := account.Secrets[secretName]; use.API && (ok || !use.Optional) {
			all[name][secretName] = config.SandboxSecret(name, secretName).Reveal()
		}
	}
}

func (s *Stage) actor(account *config.Account, settings map[string]map[string]string) *actor {
	name := account.SandboxName()
	if a := s.actors[name]; a != nil || account.Type.Fake == nil {
		return a
	}
	a := &actor{}
	a.Vendor = account.Type.Fake(fake.Options{
		Now: s.Now, Secret: config.SandboxSecret(name, "webhook").Reveal(), Settings: settings[name],
		Send: func(ctx context.Context, h fake.Hook) { s.send(ctx, a, h) },
	})
	s.actors[name] = a
	return a
}

// Run serves the doors, and ends the webhooks that are still being sent and the
// faults, which hold calls back, when ctx ends.
func (s *Stage) Run(ctx context.Context) error {
	s.ctx = ctx
	close(s.begun)
	err := s.serve(ctx)
	if err == nil {
		<-ctx.Done()
	}
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	for _, a := range s.actors {
		a.faults.Clear()
	}
	s.hooks.Wait()
	return err
}

// ServeHTTP serves the fakes and the orders.
func (s *Stage) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func (s *Stage) with(f func(http.ResponseWriter, *http.Request, *actor)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a := s.actors[r.PathValue("vendor")]
		if a == nil {
			refuse(w, http.StatusNotFound, "unknown_vendor", "the company has no account of this name with a fake")
			return
		}
		f(w, r, a)
	}
}

func (s *Stage) state(w http.ResponseWriter, _ *http.Request, a *actor) {
	people, writes := a.Log().State()
	if writes == nil {
		writes = []fake.Write{}
	}
	answer(w, http.StatusOK, map[string]any{"people": people, "writes": writes})
}

func (s *Stage) requests(w http.ResponseWriter, _ *http.Request, a *actor) {
	seen := a.faults.Requests()
	if seen == nil {
		seen = []fake.Seen{}
	}
	answer(w, http.StatusOK, map[string]any{"requests": seen})
}

func (s *Stage) addFault(w http.ResponseWriter, r *http.Request, a *actor) {
	var f fake.Fault
	if !read(w, r, &f) {
		return
	}
	if err := a.faults.Add(f); err != nil {
		refuse(w, http.StatusBadRequest, "fault", err.Error())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Stage) held(w http.ResponseWriter, _ *http.Request, a *actor) {
	answer(w, http.StatusOK, map[string]any{"held": a.faults.Held()})
}

func (s *Stage) clearFaults(w http.ResponseWriter, _ *http.Request, a *actor) {
	a.faults.Clear()
	w.WriteHeader(http.StatusNoContent)
}

func (s *Stage) do(w http.ResponseWriter, r *http.Request, a *actor) {
	args := map[string]any{}
	if r.ContentLength != 0 && !read(w, r, &args) {
		return
	}
	result, err := a.Do(r.Context(), r.PathValue("verb"), args)
	if _, unknown := errors.AsType[fake.ErrUnknownVerb](err); unknown {
		refuse(w, http.StatusNotFound, "unknown_verb", err.Error())
		return
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "do", err.Error())
		return
	}
	answer(w, http.StatusOK, result)
}

// clock moves the time of all services, never back.
func (s *Stage) clock(w http.ResponseWriter, r *http.Request) {
	var to struct {
		Now time.Time `json:"now"`
	}
	if !read(w, r, &to) {
		return
	}
	switch {
	case s.SetClock == nil:
		refuse(w, http.StatusConflict, "clock", "the clock can only be moved under `muster up --sandbox`")
	case to.Now.IsZero():
		refuse(w, http.StatusBadRequest, "clock", `write {"now": "2026-01-31T09:00:00Z"}`)
	case !s.SetClock(to.Now):
		refuse(w, http.StatusConflict, "clock", "the clock is never moved back")
	default:
		s.tick(r.Context())
		answer(w, http.StatusOK, map[string]any{"now": s.Now()})
	}
}

// tick lets the fakes act on the new time: what was planned for a day that has
// come is sent before the clock's answer.
func (s *Stage) tick(ctx context.Context) {
	for _, name := range slices.Sorted(maps.Keys(s.actors)) {
		if t, ok := s.actors[name].Vendor.(interface{ Tick(context.Context) }); ok {
			t.Tick(ctx)
		}
	}
}

// orderLimit bounds an order in bytes: one may lay down a roster of 100,000 people.
const orderLimit = 64 << 20

func read(w http.ResponseWriter, r *http.Request, v any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, orderLimit))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		refuse(w, http.StatusBadRequest, "body", fmt.Sprintf("the body is not what is wanted: %v", err))
		return false
	}
	return true
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller hung up
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	answer(w, status, map[string]any{"ok": false, "error": map[string]string{"code": code, "message": message}})
}
