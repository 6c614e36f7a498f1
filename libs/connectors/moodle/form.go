package moodle

import (
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/muster-hr/muster/libs/fault"
)

// pair is one field of a form; its key is ours, its value is anything.
type pair struct{ key, value string }

// form is what PHP reads back as nested arrays, in the order it is sent.
type form []pair

// encode writes a form as PHP's own clients do: brackets as they are.
func (f form) encode() []byte {
	var b strings.Builder
	for i, p := range f {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.key)
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(p.value))
	}
	return []byte(b.String())
}

// below puts all fields under a prefix: `email` becomes `users[0][email]`, and
// `customfields[0][type]` becomes `users[0][customfields][0][type]`.
func (f form) below(list string, i int) form {
	prefix := key(list, i)
	out := make(form, len(f))
	for n, p := range f {
		head, rest, nested := strings.Cut(p.key, "[")
		k := prefix + "[" + head + "]"
		if nested {
			k += "[" + rest
		}
		out[n] = pair{k, p.value}
	}
	return out
}

// key is the key of an element of a list: `users[0]`.
func key(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

// Members of a body that are not fields of a user.
const (
	bodyCustom  = "customfields"
	bodyCohorts = "cohorts"
	bodyCourses = "courses"
)

var (
	// first are sent first: what PHP would cut off stands at the end.
	first = []string{"username", "firstname", "lastname", "email", "auth", "createpassword", "idnumber"}
	// kept are never cleared: Moodle takes no empty value for them.
	kept = []string{"username", "firstname", "lastname", "email", "auth", "lang", "calendartype"}
	// ours are fields that no mapping may set.
	ours = []string{"id", "suspended", "password", "createpassword", "preferences", "userpicture"}

	fieldName  = regexp.MustCompile(`^[a-z][a-z0-9]{0,39}$`)
	customName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)
)

// fields are the values of a body by path: `email`, `customfields.costcentre`.
// An empty value clears.
type fields map[string]string

// fieldsOf reads a body. What Moodle has no place for is the record's fault.
func fieldsOf(body map[string]any) (fields, error) {
	out := fields{}
	for name, v := range body {
		switch name {
		case bodyCohorts, bodyCourses:
			continue
		case bodyCustom:
			custom, isTable := v.(map[string]any)
			if !isTable && v != nil {
				return nil, misfit(name, "customfields is not a table of short names")
			}
			for short, v := range custom {
				value, ok := scalar(v)
				if !ok || !customName.MatchString(short) {
					return nil, misfit(name, "a custom field has a name or a value that Moodle has no place for")
				}
				out[bodyCustom+"."+short] = value
			}
			continue
		}
		value, ok := scalar(v)
		if !ok || !fieldName.MatchString(name) || slices.Contains(ours, name) {
			return nil, misfit(name, "the mapping sets a field that is not one of a user's profile, or to a list or an object")
		}
		out[name] = value
	}
	return out, nil
}

func misfit(path, text string) error {
	f := fault.New(fault.Record, "body", "%s", text)
	f.Path = path
	return f
}

// scalar writes a value as a form does. Null clears.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case bool:
		if v {
			return "1", true
		}
		return "0", true
	case json.Number:
		return v.String(), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case int:
		return strconv.Itoa(v), true
	}
	return "", false
}

// said are the fields that have a value.
func (f fields) said() fields {
	out := maps.Clone(f)
	maps.DeleteFunc(out, func(_, v string) bool { return v == "" })
	return out
}

// since are the fields that differ from before; an empty one is left out if
// Moodle does not take it. Nil: nothing is known, all are sent.
func (f fields) since(before fields) fields {
	out := fields{}
	for path, v := range f {
		if old, known := before[path]; (before == nil || !known || old != v) && (v != "" || !slices.Contains(kept, path)) {
			out[path] = v
		}
	}
	return out
}

// paths in the order they are sent: those that Moodle needs first.
func (f fields) paths() []string {
	rank := func(path string) int {
		if i := slices.Index(first, path); i >= 0 {
			return i
		}
		if strings.HasPrefix(path, bodyCustom+".") {
			return len(first) + 1
		}
		return len(first)
	}
	return slices.SortedFunc(maps.Keys(f), func(a, b string) int {
		if ra, rb := rank(a), rank(b); ra != rb {
			return ra - rb
		}
		return strings.Compare(a, b)
	})
}

// form is the fields as one user of a call.
func (f fields) form() form {
	out := make(form, 0, len(f)+2)
	custom := 0
	for _, path := range f.paths() {
		if short, ok := strings.CutPrefix(path, bodyCustom+"."); ok {
			at := key(bodyCustom, custom)
			out = append(out, pair{at + "[type]", short}, pair{at + "[value]", f[path]})
			custom++
			continue
		}
		out = append(out, pair{path, f[path]})
	}
	return out
}

// list reads a list of words of a body; empty ones are left out, and repeats.
func list(body map[string]any, name string) ([]string, error) {
	v, there := body[name]
	if !there || v == nil {
		return nil, nil
	}
	items, isList := v.([]any)
	if !isList {
		items = []any{v}
	}
	var out []string
	for _, item := range items {
		s, ok := scalar(item)
		if !ok {
			return nil, misfit(name, "an element of the list is not a word")
		}
		if s = strings.TrimSpace(s); s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out, nil
}
