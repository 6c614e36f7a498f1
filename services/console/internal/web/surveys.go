package web

import (
	"net/http"

	"github.com/muster-hr/muster/libs/ledger"
)

// masked stands for a value that was not asked for with the right to see it.
const masked = "***"

func (s *Server) surveys(w http.ResponseWriter, r *http.Request) {
	limit, after, bad := page(r)
	if bad != nil {
		refuse(w, *bad)
		return
	}
	q := r.URL.Query()
	which := ledger.Which{Survey: q.Get("survey"), Status: q.Get("status"), Employee: q.Get("employee")}
	switch which.Status {
	case "", "linked", "unlinked", "anonymous":
	default:
		refuse(w, problem{http.StatusBadRequest, "bad_status", "no response has this status", "status", "write linked, unlinked or anonymous"})
		return
	}
	items, next, err := s.Ledger.Surveys(r.Context(), which, limit, after)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	for i := range items {
		items[i] = shown(r, items[i])
	}
	answer(w, http.StatusOK, listOf(items, next))
}

func (s *Server) survey(w http.ResponseWriter, r *http.Request) {
	one, err := s.Ledger.Survey(r.Context(), r.PathValue("id"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, shown(r, one))
}

// shown masks what somebody answered unless ?show=1 asks for it. Every token
// has the right to see values in this version.
func shown(r *http.Request, one ledger.Response) ledger.Response {
	if one.Answers == nil {
		one.Answers = []ledger.Fact{}
	}
	if r.URL.Query().Get("show") == "1" {
		return one
	}
	facts := make([]ledger.Fact, len(one.Answers))
	for i, f := range one.Answers {
		if f.Value != nil {
			f.Value = masked
		}
		facts[i] = f
	}
	one.Answers = facts
	return one
}
