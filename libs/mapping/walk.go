package mapping

import (
	"encoding/json"
	"strconv"
	"strings"
)

// state is what a place holds.
type state uint8

const (
	absent state = iota // not said
	said                // a value, or null: cleared
	misfit              // the path goes through something of another form
)

// walk follows segs below v. A misfit gives the value that is in the way.
func walk(v any, segs []seg, today string) (any, state) {
	for i := range segs {
		s := &segs[i]
		if s.kind == segName {
			switch t := v.(type) {
			case map[string]any:
				x, ok := t[s.name]
				if !ok {
					return nil, absent
				}
				v = x
				continue
			case nil:
				return nil, said
			case []any:
				if len(t) == 0 { // an empty map of PHP
					return nil, absent
				}
			}
			return v, misfit
		}
		list, ok := v.([]any)
		if !ok {
			if v == nil {
				return nil, said
			}
			if m, ok := v.(map[string]any); ok && len(m) == 0 {
				return nil, absent
			}
			return v, misfit
		}
		switch s.kind {
		case segIndex:
			n := s.index
			if n < 0 {
				n += len(list)
			}
			if n < 0 || n >= len(list) {
				return nil, absent
			}
			v = list[n]
		case segFilter:
			matches := filter(list, s)
			if s.every {
				v = matches
			} else if len(matches) == 0 {
				return nil, absent
			} else {
				v = matches[0]
			}
		case segInForce:
			if v = inForce(list, s.member, today); v == nil {
				return nil, absent
			}
		case segKey:
			if v = byKey(list, s.name, s.value); v == nil {
				return nil, absent
			}
		case segAll:
			return each(list, segs[i+1:], today)
		}
	}
	return v, said
}

// each follows the rest of a path below every element and makes one list.
func each(list []any, rest []seg, today string) (any, state) {
	out := make([]any, 0, len(list))
	for _, e := range list {
		x, st := walk(e, rest, today)
		if st == misfit {
			return x, misfit
		}
		if inner, ok := x.([]any); ok {
			out = append(out, inner...)
		} else if st == said && x != nil {
			out = append(out, x)
		}
	}
	return out, said
}

func filter(list []any, s *seg) []any {
	var out []any
	for _, e := range list {
		v := member(e, s.member)
		if t, ok := scalarText(v); (ok && strings.TrimSpace(t) == s.value) != s.negate {
			out = append(out, e)
			if !s.every {
				break
			}
		}
	}
	return out
}

// inForce picks the row with the newest day that is not after today. Rows may
// come in any order, those of later days are planned changes.
func inForce(list []any, at []string, today string) any {
	var best any
	day := ""
	for _, e := range list {
		d, _ := member(e, at).(string)
		if len(d) < 10 || !validDay(d[:10]) {
			continue
		}
		if d[:10] <= today && d >= day {
			best, day = e, d
		}
	}
	return best
}

// byKey picks an element of a canonical list. A single position is primary.
func byKey(list []any, name, key string) any {
	for _, e := range list {
		m, ok := e.(map[string]any)
		if !ok {
			continue
		}
		switch name {
		case "positions":
			if p, _ := m["primary"].(bool); p && key == "primary" || m["id"] == key {
				return m
			}
		case "national_ids":
			country, _ := m["country"].(string)
			if kind, _ := m["kind"].(string); country+"/"+kind == key {
				return m
			}
		default:
			if m["kind"] == key {
				return m
			}
		}
	}
	if name == "positions" && key == "primary" && len(list) == 1 {
		if m, ok := list[0].(map[string]any); ok {
			if _, told := m["primary"]; !told {
				return m
			}
		}
	}
	return nil
}

func member(v any, names []string) any {
	for _, n := range names {
		m, _ := v.(map[string]any)
		v = m[n]
	}
	return v
}

// scalarText is a text, number or truth value as text.
func scalarText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		return plainNumber(string(v)), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case int:
		return strconv.Itoa(v), true
	}
	return "", false
}
