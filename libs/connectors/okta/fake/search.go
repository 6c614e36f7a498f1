package fake

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// touch is called before a write: search goes on seeing what it saw until the
// index has caught up.
func (v *org) touch(u *user) {
	if v.caughtUp(u) && !u.dirty.IsZero() {
		u.indexed = &view{u.status, u.profile}
	}
	u.dirty, u.real = v.o.Time(), time.Now()
}

// caughtUp goes by whichever clock is further: a test may hold the
// organisation's still, the sandbox may move it.
func (v *org) caughtUp(u *user) bool {
	return v.o.Time().Sub(u.dirty) >= v.stale || time.Since(u.real) >= v.stale
}

// visible is what search sees of an account.
func (v *org) visible(u *user) *view {
	if v.caughtUp(u) {
		return &view{u.status, u.profile}
	}
	return u.indexed
}

var comparison = regexp.MustCompile(`^\s*([A-Za-z.]+)\s+(?i:eq)\s+"((?:[^"\\]|\\.)*)"\s*$`)

// list is GET /users: search (lags, any attribute), filter (exact, few
// attributes), or everybody who is not deactivated. Only "eq" is known here.
func (v *org) list(r *http.Request) answer {
	q := r.URL.Query()
	limit, err := strconv.Atoi(q.Get("limit"))
	if err != nil || limit <= 0 || limit > 200 {
		limit = 200
	}
	search, filter := q.Get("search"), q.Get("filter")
	var attribute, value string
	if expr := search + filter; expr != "" {
		m := comparison.FindStringSubmatch(expr)
		if m == nil {
			return v.problem(400, "E0000031", "Invalid search criteria.")
		}
		attribute, value = m[1], strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(m[2])
	}
	out := []any{}
	for _, u := range v.users {
		if len(out) == limit {
			break
		}
		sees, hit := &view{u.status, u.profile}, u.status != "DEPROVISIONED"
		switch {
		case search != "":
			sees = v.visible(u)
			hit = sees != nil && strings.EqualFold(sees.value(attribute, u.id), value) // values ignore case
		case filter != "":
			hit = sees.value(attribute, u.id) == value
		}
		if hit {
			j := u.json()
			j["status"], j["profile"] = sees.status, sees.profile
			out = append(out, j)
		}
	}
	return answer{200, out}
}

func (s *view) value(attribute, id string) string {
	switch attribute {
	case "status":
		return s.status
	case "id":
		return id
	}
	x, _ := s.profile[strings.TrimPrefix(attribute, "profile.")].(string)
	return x
}
