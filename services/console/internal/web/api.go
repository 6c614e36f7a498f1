package web

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/muster-hr/muster/libs/ledger"
	"github.com/muster-hr/muster/services/console/internal/people"
)

// api is everything below /api/v1 behind a token.
func (s *Server) api() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/employees", s.employees)
	mux.HandleFunc("GET /api/v1/employees/{id}", s.employee)
	mux.HandleFunc("GET /api/v1/employees/{id}/timeline", s.timeline)
	mux.HandleFunc("GET /api/v1/traces/{id}", s.trace)
	mux.HandleFunc("GET /api/v1/dead", s.dead)
	mux.HandleFunc("GET /api/v1/surveys", s.surveys)
	mux.HandleFunc("GET /api/v1/surveys/{id}", s.survey)
	mux.HandleFunc("/api/v1/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, problem{http.StatusNotFound, "unknown_path", "nothing answers this method and path", "", "see /api/v1/openapi.json"})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.guard.bearer(r) == "" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="muster"`)
			refuse(w, problem{http.StatusUnauthorized, "unauthorized", "the request has no valid token", "Authorization",
				"send `Authorization: Bearer TOKEN` with the token of MUSTER_API_TOKEN"})
			return
		}
		if !isText(r.URL) {
			refuse(w, problem{http.StatusBadRequest, "bad_text", "the address holds what is no text", "", "write UTF-8 without NUL, percent-encoded"})
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// isText tells whether path and query can be asked for: Postgres refuses NUL
// and broken UTF-8, which would look as if the database were away.
func isText(u *url.URL) bool {
	query, err := url.QueryUnescape(u.RawQuery)
	return err == nil && utf8.ValidString(u.Path+query) && !strings.Contains(u.Path+query, "\x00")
}

func (s *Server) employees(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	var ids []string
	var err error
	switch external, text := q.Get("external"), q.Get("q"); {
	case external != "" && text == "":
		source, key, ok := strings.Cut(external, ":")
		if !ok || source == "" || key == "" {
			refuse(w, problem{http.StatusBadRequest, "bad_external", "external is not source:key", "external", "write external=bamboohr:117"})
			return
		}
		var id string
		if id, err = s.People.ByExternal(r.Context(), source, key); id != "" {
			ids = []string{id}
		}
	case text != "" && external == "":
		ids, err = s.People.Search(r.Context(), text)
	default:
		refuse(w, problem{http.StatusBadRequest, "bad_query", "the request does not say who is looked for", "q",
			"write external=source:key, or q= with an exact e-mail address, employee number or id"})
		return
	}
	items := []people.Summary{}
	for _, id := range ids {
		var one people.Summary
		if one, err = s.People.Summary(r.Context(), id); err == nil {
			items = append(items, one)
		} else if !gone(err) {
			break
		} else {
			err = nil
		}
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, listOf(items, ""))
}

func (s *Server) employee(w http.ResponseWriter, r *http.Request) {
	id, err := s.person(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	// Every token has the right to see values in this version.
	p, err := s.People.Get(r.Context(), id, r.URL.Query().Get("show") == "1")
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, p)
}

func (s *Server) timeline(w http.ResponseWriter, r *http.Request) {
	limit, after, bad := page(r)
	if bad != nil {
		refuse(w, *bad)
		return
	}
	id, err := s.person(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	items, next, err := s.Ledger.Timeline(r.Context(), id, limit, after)
	if err == nil && len(items) == 0 && after == "" { // nothing is written down yet, or there is nobody
		err = s.People.Exists(r.Context(), id)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	for i := range items {
		if items[i].Fields == nil {
			items[i].Fields = []string{}
		}
	}
	answer(w, http.StatusOK, listOf(items, next))
}

func (s *Server) trace(w http.ResponseWriter, r *http.Request) {
	t, ok := s.Traces.Get(r.PathValue("id"))
	if !ok {
		refuse(w, problem{http.StatusNotFound, "unknown_trace", "no span of this trace is kept here", "id",
			"write 32 hex digits; old traces give way to new ones"})
		return
	}
	answer(w, http.StatusOK, t)
}

func (s *Server) dead(w http.ResponseWriter, r *http.Request) {
	limit, after, bad := page(r)
	if bad != nil {
		refuse(w, *bad)
		return
	}
	items, next, err := s.Ledger.Dead(r.Context(), limit, after)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, listOf(items, next))
}

// person is the employee that the path names, by our id or as source:key.
func (s *Server) person(r *http.Request) (id string, err error) {
	id = r.PathValue("id")
	source, key, external := strings.Cut(id, ":")
	if !external {
		return id, nil
	}
	if id, err = s.People.ByExternal(r.Context(), source, key); err == nil && id == "" {
		err = people.ErrNotFound
	}
	return id, err
}

func gone(err error) bool {
	return errors.Is(err, people.ErrNotFound) || errors.Is(err, people.ErrErased)
}

// fail answers an error and writes down what the caller cannot mend.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	refuse(w, s.explain(r, err))
}

func (s *Server) explain(r *http.Request, err error) problem {
	switch {
	case errors.Is(err, people.ErrNotFound):
		return problem{http.StatusNotFound, "unknown_employee", "there is no such person", "id", "look for them with /api/v1/employees?q="}
	case errors.Is(err, people.ErrErased):
		return problem{http.StatusGone, "erased", "the person's data was erased", "id", ""}
	case errors.Is(err, ledger.ErrNotFound):
		return problem{http.StatusNotFound, "unknown_response", "there is no such response", "id", "look for it with /api/v1/surveys"}
	case errors.Is(err, ledger.ErrCursor):
		return problem{http.StatusBadRequest, "bad_cursor", "after is not a cursor of this list", "after", "write the value of next of the page before"}
	}
	s.Log.ErrorContext(r.Context(), "the api could not answer", "path", r.Pattern, "err", err)
	return problem{http.StatusServiceUnavailable, "unavailable", "the bus or the database did not answer", "", "see /readyz and try again"}
}
