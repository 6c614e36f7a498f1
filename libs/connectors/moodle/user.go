package moodle

import (
	"strconv"
)

// user is a user as the lookup gives one: fields that are empty, or that the
// token may not see, are left out.
type user map[string]any

// id is the number as text; "" if there is none.
func (u user) id() string {
	n, _ := u["id"].(float64)
	if n < 1 {
		return ""
	}
	return strconv.FormatFloat(n, 'f', -1, 64)
}

func (u user) text(name string) string { s, _ := u[name].(string); return s }

// suspended is "1", "0" or, if it is not told, "".
func (u user) suspended() string {
	switch on, told := u["suspended"].(bool); {
	case !told:
		return ""
	case on:
		return "1"
	}
	return "0"
}

// fields are the values that can be seen, by the paths of a body. Of a custom
// field `value` is what was stored; `displayvalue` is for people.
func (u user) fields() fields {
	out := fields{}
	for name, v := range u {
		if s, ok := v.(string); ok {
			out[name] = s
		}
	}
	custom, _ := u[bodyCustom].([]any)
	for _, c := range custom {
		m, _ := c.(map[string]any)
		short, _ := m["shortname"].(string)
		if value, ok := scalar(m["value"]); ok && short != "" {
			out[bodyCustom+"."+short] = value
		}
	}
	return out
}
