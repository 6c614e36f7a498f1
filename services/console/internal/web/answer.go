package web

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// problem is what the API says when it does not do what was asked.
type problem struct {
	status  int
	Code    string `json:"code"`
	Message string `json:"message"`
	Path    string `json:"path"` // of the part of the request at fault
	Fix     string `json:"fix"`
}

func refuse(w http.ResponseWriter, p problem) {
	answer(w, p.status, map[string]any{"ok": false, "error": p})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // the caller has gone away
}

// list is the form of every list.
type list[T any] struct {
	Items []T     `json:"items"`
	Next  *string `json:"next"` // for ?after=; null at the end
}

func listOf[T any](items []T, next string) list[T] {
	l := list[T]{Items: items}
	if l.Items == nil {
		l.Items = []T{}
	}
	if next != "" {
		l.Next = &next
	}
	return l
}

// How many items a list has.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// page reads ?limit= and ?after=.
func page(r *http.Request) (limit int, after string, p *problem) {
	q := r.URL.Query()
	limit = defaultLimit
	if v := q.Get("limit"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > maxLimit {
			return 0, "", &problem{http.StatusBadRequest, "bad_limit", "limit is not a number that a list can have",
				"limit", "write a whole number from 1 to " + strconv.Itoa(maxLimit)}
		}
		limit = n
	}
	return limit, q.Get("after"), nil
}
