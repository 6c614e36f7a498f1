package httpconn

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/httpx"
)

// Placeholders of a write and of a lookup.
var (
	writeNames  = []string{"id", "key", "verb", "type"}
	lookupNames = []string{"id", "employee_number", "work_email", "username", "event"}
)

// target is a template of a path with its query.
type target struct {
	source string // as configured, for spans
	path   []piece
	query  map[string][]piece
}

func parseTarget(setting, s string, names []string) (target, error) {
	raw, query, _ := strings.Cut(s, "?")
	t := target{source: raw, query: map[string][]piece{}}
	if !strings.HasPrefix(raw, "/") {
		return t, fmt.Errorf("%s: %q does not begin with a slash", setting, raw)
	}
	var err error
	if t.path, err = pieces(setting, raw, names...); err != nil {
		return t, err
	}
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		k, v, _ := strings.Cut(pair, "=")
		if t.query[k], err = pieces(setting, v, names...); err != nil {
			return t, err
		}
	}
	return t, nil
}

// needs tells whether a placeholder occurs.
func (t target) needs(name string) bool {
	if has(t.path, name) {
		return true
	}
	for _, ps := range t.query {
		if has(ps, name) {
			return true
		}
	}
	return false
}

// fill puts values in; false means that one of them is empty.
func (t target) fill(values map[string]string) (path string, query url.Values, ok bool) {
	if path, ok = expand(t.path, values, httpx.Segment); !ok {
		return "", nil, false
	}
	query = url.Values{}
	for k, ps := range t.query {
		v, ok := expand(ps, values, func(s string) string { return s })
		if !ok {
			return "", nil, false
		}
		query.Set(k, v)
	}
	return path, query, true
}

func expand(ps []piece, values map[string]string, escape func(string) string) (string, bool) {
	var b strings.Builder
	for _, p := range ps {
		if !p.name {
			b.WriteString(p.text)
			continue
		}
		v := values[p.text]
		if v == "" || v == "." || v == ".." { // a dot segment would change the path
			return "", false
		}
		b.WriteString(escape(v))
	}
	return b.String(), true
}

func writeValues(d connector.Delivery, verb, key string) map[string]string {
	return map[string]string{"id": d.ID, "key": key, "verb": verb, "type": d.Type}
}

func lookupValues(d connector.Delivery) map[string]string {
	return map[string]string{
		"id":              d.ID,
		"employee_number": d.Match.EmployeeNumber,
		"work_email":      d.Match.WorkEmail,
		"username":        d.Match.Username,
		"event":           d.Event,
	}
}
