package scim

import (
	"reflect"
	"slices"
)

// Forms of an update. The RFC has two for PATCH, with and without a path, and
// some servers know only one of them, or only PUT.
const (
	styleAuto        = "auto"
	stylePath        = "path"
	stylePathless    = "pathless-replace"
	stylePathlessAdd = "pathless-add"
	stylePut         = "put-only"
)

// operation is one operation of a PATCH. Op is written small, as in the RFC;
// a value that is a truth is a JSON boolean.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path,omitempty"`
	Value any    `json:"value,omitempty"`
}

// operations bring a user from where it is to the wanted.
func operations(u resource, diff []leaf, style string) []operation {
	after := u.clone()
	for _, l := range diff {
		after.set(l.place, copied(l.value))
	}
	if style != stylePath {
		return pathless(u, after, diff, style)
	}
	var out []operation
	done := map[place]bool{}
	for _, l := range diff {
		if l.elem != "" {
			if p := l.whole(); !done[p] {
				done[p] = true
				out = append(out, elements(u, after, p, diff)...)
			}
			continue
		}
		out = append(out, one(u, after, l, done)...)
	}
	return out
}

// one sets or clears an attribute or a sub-attribute. A sub-attribute of what
// is not there yet goes with the whole: not every server makes it on the way.
func one(u, after resource, l leaf, done map[place]bool) []operation {
	whole := l.whole()
	missing := l.sub != "" && u.at(whole) == nil
	switch {
	case missing && done[whole]:
		return nil
	case missing:
		done[whole] = true
		if v := after.at(whole); !empty(v) {
			return []operation{{"add", whole.target(), v}}
		}
		return nil
	case !empty(l.value):
		return []operation{{"replace", l.target(), l.value}}
	case l.sub != "" && after.at(whole) == nil: // the last of it
		if done[whole] {
			return nil
		}
		done[whole] = true
		return []operation{{Op: "remove", Path: whole.target()}}
	}
	return []operation{{Op: "remove", Path: l.target()}}
}

// elements change one list: members of an element that is there, by its type; a
// new element; else the list as a whole, when others must change with it.
func elements(u, after resource, p place, diff []leaf) []operation {
	old, _ := u.at(p).([]any)
	list, _ := after.at(p).([]any)
	if len(list) == 0 {
		return []operation{{Op: "remove", Path: p.target()}}
	}
	var out []operation
	calm := u.clone() // what the operations come to
	added := map[string]bool{}
	for _, l := range diff {
		if l.whole() != p || l.elem == "" {
			continue
		}
		at := place{urn: l.urn, attr: l.attr, elem: l.elem}
		switch i := element(old, l.elem); {
		case i < 0:
			if now := element(list, l.elem); now >= 0 && !added[l.elem] {
				added[l.elem] = true
				out = append(out, operation{"add", p.target(), []any{list[now]}})
				have, _ := calm.at(p).([]any)
				put(calm.holder(p), p.attr, append(slices.Clone(have), copied(list[now])))
			}
		case several(old, l.elem):
			return []operation{{"replace", p.target(), list}}
		case element(list, l.elem) < 0:
			out = append(out, operation{Op: "remove", Path: at.target()})
			calm.set(place{urn: l.urn, attr: l.attr, elem: l.elem}, nil)
		case empty(l.value):
			out = append(out, operation{Op: "remove", Path: l.target()})
			put(holding(calm, at), l.sub, nil)
		default:
			out = append(out, operation{"replace", l.target(), l.value})
			put(holding(calm, at), l.sub, l.value)
		}
	}
	if got, _ := calm.at(p).([]any); !reflect.DeepEqual(got, list) {
		return []operation{{"replace", p.target(), list}} // another element stops being primary
	}
	return out
}

// holding is the element at a place.
func holding(u resource, p place) map[string]any {
	m, _ := u.at(p).(map[string]any)
	if m == nil {
		m = map[string]any{}
	}
	return m
}

// holder is the object that an attribute stands in.
func (u resource) holder(p place) map[string]any {
	if p.urn == "" {
		return u
	}
	return inside(u, p.urn, false)
}

// several tells whether more than one element is of that type.
func several(list []any, kind string) bool {
	i := element(list, kind)
	return i >= 0 && element(slices.Delete(slices.Clone(list), i, i+1), kind) >= 0
}

// pathless is one operation with an object of what changes; a list or a complex
// attribute goes whole, so that nothing is lost where the server replaces it.
// What is cleared needs a path in any form, and so does a list that is only
// added to and has something in it already.
func pathless(u, after resource, diff []leaf, style string) []operation {
	value := resource{}
	var rest []operation
	done := map[place]bool{}
	for _, l := range diff {
		p := l.whole()
		if done[p] {
			continue
		}
		done[p] = true
		v := after.at(p)
		if l.elem != "" && style == stylePathlessAdd && !empty(u.at(p)) {
			rest = append(rest, elements(u, after, p, diff)...)
			continue
		}
		if empty(v) {
			rest = append(rest, operation{Op: "remove", Path: p.target()})
			continue
		}
		value.set(p, copied(v))
	}
	if len(value) == 0 {
		return rest
	}
	op := "replace"
	if style == stylePathlessAdd {
		op = "add"
	}
	return append([]operation{{Op: op, Value: value}}, rest...)
}

// replaced is a whole user for PUT: attributes that we do not manage stay, what
// the server owns is left to it.
func replaced(u resource, diff []leaf) resource {
	after := u.clone()
	for _, l := range diff {
		after.set(l.place, copied(l.value))
	}
	for _, readOnly := range []string{"meta", "groups"} {
		put(after, readOnly, nil)
	}
	if _, said := after.active(); !said {
		after["active"] = true // left out, it may be switched off
	}
	return after.withSchemas()
}
