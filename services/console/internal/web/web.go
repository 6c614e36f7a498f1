// Package web is the console's HTTP: the operator API under /api/v1, its
// pages, and the OTLP endpoint to which services send their traces.
//
// Everything personal is masked unless a token with the right asks to see it.
// The pages show no values at all; they need a session, except that the trace
// pages, which hold nothing personal, open without one on the machine itself.
package web

import (
	"crypto/rand"
	"log/slog"
	"net/http"
	"time"

	"github.com/muster-hr/muster/services/console/internal/people"
	"github.com/muster-hr/muster/services/console/internal/traces"
)

// Server serves the console. All fields are required.
type Server struct {
	People *people.Directory
	Ledger Ledger
	Traces *traces.Store
	Tokens []Token
	Now    func() time.Time
	Log    *slog.Logger

	guard guard
}

// Handler is the whole surface but health and metrics.
func (s *Server) Handler() http.Handler {
	s.guard = guard{tokens: s.Tokens, key: make([]byte, 32), now: s.Now}
	_, _ = rand.Read(s.guard.key) // never fails, see crypto/rand
	mux := http.NewServeMux()
	mux.Handle("POST /v1/traces", s.Traces)
	mux.HandleFunc("GET /api/v1/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(openAPI)
	})
	mux.Handle("/api/v1/", s.api())
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		_, _ = w.Write(style)
	})
	mux.HandleFunc("GET /login", s.loginPage)
	mux.HandleFunc("POST /login", s.login)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/traces", http.StatusSeeOther) })
	mux.Handle("GET /traces", s.inSession(s.tracesPage, atThisMachine))
	mux.Handle("GET /traces/{id}", s.inSession(s.tracePage, atThisMachine))
	mux.Handle("GET /employees/{id}", s.inSession(s.employeePage, nil))
	return secured(mux)
}

// secured sets what every answer has.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}
