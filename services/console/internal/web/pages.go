package web

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/ledger"
	"github.com/muster-hr/muster/services/console/internal/people"
	"github.com/muster-hr/muster/services/console/internal/traces"
)

//go:embed assets
var assets embed.FS

var (
	style   = must(assets.ReadFile("assets/style.css"))
	openAPI = must(assets.ReadFile("assets/openapi.json"))
	pages   = template.Must(template.New("").Funcs(template.FuncMap{
		"took":    took,
		"instant": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000") },
		"join":    func(list []string) string { return strings.Join(list, ", ") },
	}).ParseFS(assets, "assets/*.html"))
)

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err) // an embedded file is missing: a mistake in the program
	}
	return b
}

// took prints a length of time with three digits that count.
func took(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

// shell is what every page has.
type shell struct {
	Title string
	Actor string // who is logged in
	Body  any
}

func (s *Server) render(w http.ResponseWriter, r *http.Request, status int, name, title string, body any) {
	var out bytes.Buffer
	if err := pages.ExecuteTemplate(&out, name, shell{Title: title, Actor: s.guard.session(r), Body: body}); err != nil {
		s.Log.ErrorContext(r.Context(), "a page could not be written", "page", name, "err", err)
		http.Error(w, "this page could not be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = out.WriteTo(w) // the browser has gone away
}

// inSession serves a page to who is logged in, and to requests that free lets
// through; others are sent to log in.
func (s *Server) inSession(h http.HandlerFunc, free func(*http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.guard.session(r) == "" && s.guard.bearer(r) == "" && (free == nil || !free(r)) {
			http.Redirect(w, r, "/login?to="+url.QueryEscape(r.URL.Path), http.StatusSeeOther)
			return
		}
		h(w, r)
	})
}

type loginBody struct {
	To    string
	Wrong bool
}

func (s *Server) loginPage(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, http.StatusOK, "login.html", "Log in", loginBody{To: local(r.URL.Query().Get("to"))})
}

func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 8<<10)
	to := local(r.PostFormValue("to"))
	actor := s.guard.who(strings.TrimSpace(r.PostFormValue("token")))
	if actor == "" {
		s.render(w, r, http.StatusUnauthorized, "login.html", "Log in", loginBody{To: to, Wrong: true})
		return
	}
	s.guard.begin(w, r, actor)
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// local keeps a way back on this site.
func local(to string) string {
	if u, err := url.Parse(to); err == nil && u.Scheme == "" && u.Host == "" && strings.HasPrefix(to, "/") &&
		!strings.HasPrefix(to, "//") && !strings.ContainsAny(to, "\\\r\n") {
		return to
	}
	return "/traces"
}

const recentTraces = 100

func (s *Server) tracesPage(w http.ResponseWriter, r *http.Request) {
	kept, spans := s.Traces.Len()
	s.render(w, r, http.StatusOK, "traces.html", "Traces", struct {
		Recent      []traces.Summary
		Kept, Spans int
	}{s.Traces.Recent(recentTraces), kept, spans})
}

func (s *Server) tracePage(w http.ResponseWriter, r *http.Request) {
	t, ok := s.Traces.Get(r.PathValue("id"))
	if !ok {
		s.render(w, r, http.StatusNotFound, "problem.html", "Unknown trace", problem{Message: "No span of this trace is kept here.", Fix: "Old traces give way to new ones. A trace appears about a second after its work."})
		return
	}
	s.render(w, r, http.StatusOK, "trace.html", "Trace "+t.TraceID, fall(t))
}

type employeeBody struct {
	people.Person
	Timeline []ledger.Entry
	More     bool
}

func (s *Server) employeePage(w http.ResponseWriter, r *http.Request) {
	body := employeeBody{}
	id, err := s.person(r)
	if err == nil {
		body.Person, err = s.People.Get(r.Context(), id, false)
	}
	var next string
	if err == nil {
		body.Timeline, next, err = s.Ledger.Timeline(r.Context(), id, maxLimit, "")
	}
	if err != nil {
		p := s.explain(r, err)
		s.render(w, r, p.status, "problem.html", "Employee", p)
		return
	}
	body.More = next != ""
	s.render(w, r, http.StatusOK, "employee.html", "Employee "+id, body)
}
