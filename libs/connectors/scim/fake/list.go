package fake

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var comparison = regexp.MustCompile(`^\s*([A-Za-z.:0-9]+)\s+(?i:eq)\s+("(?:[^"\\]|\\.)*")\s*$`)

// list is GET /Users. Of filters it knows "eq" on texts of the core user. One
// on an attribute that it does not know gives nobody, not an error, and an
// escaped quote is refused although it is right: so SCIMMY was seen to behave.
func (v *server) list(q url.Values) answer {
	users := v.visible()
	if f := q.Get("filter"); f != "" && v.set("filter") != "ignored" {
		if v.set("filter") == "none" {
			return v.problem(501, "", "Filtering is not supported")
		}
		m := comparison.FindStringSubmatch(f)
		if m != nil && strings.Contains(m[2], `\"`) {
			return v.problem(400, "invalidFilter", "Invalid filter")
		}
		users = nil
		if m != nil {
			users = v.matching(m[1], m[2])
		}
	}
	start, size := number(q.Get("startIndex"), 1), number(q.Get("count"), 20)
	if v.set("paging") == "ignored" {
		start, size = 1, max(len(users), 1)
	}
	rows := []any{}
	for i := max(start, 1) - 1; i < len(users) && len(rows) < size; i++ {
		rows = append(rows, v.json(users[i]))
	}
	return answer{status: 200, body: map[string]any{
		"schemas": []string{schemaList}, "totalResults": len(users), "startIndex": start, "itemsPerPage": 20, "Resources": rows,
	}}
}

// visible are the users that lists and filters see already; whichever clock is
// further counts, as a test may hold the server's still.
func (v *server) visible() []*user {
	var out []*user
	for _, u := range v.users {
		if v.o.Time().Sub(u.created) >= v.stale || time.Since(u.real) >= v.stale {
			out = append(out, u)
		}
	}
	return out
}

// matching compares by case, although uniqueness does not.
func (v *server) matching(attribute, quoted string) []*user {
	var want string
	if json.Unmarshal([]byte(quoted), &want) != nil {
		return nil
	}
	name, _, ok := known(core, attribute)
	if !ok {
		return nil
	}
	var out []*user
	for _, u := range v.visible() {
		if u.body[name] == want {
			out = append(out, u)
		}
	}
	return out
}

func number(s string, otherwise int) int {
	if n, err := strconv.Atoi(s); err == nil {
		return n
	}
	return otherwise
}
