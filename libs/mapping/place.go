package mapping

import "slices"

// place is one step of where a rule writes to.
type place struct {
	name  string
	list  bool          // name holds a list, and one element of it is meant
	ident []memberValue // members that make out the element, e.g. kind=work
	index int           // of the element, if it has no ident
}

// memberValue is a member with its value.
type memberValue struct {
	name  string
	value any
}

// write puts v at a place below t, making what is missing on the way.
func write(t map[string]any, at []place, v any) {
	for i, p := range at {
		last := i == len(at)-1
		if !p.list {
			if last {
				t[p.name] = v
				return
			}
			inner, ok := t[p.name].(map[string]any)
			if !ok {
				inner = map[string]any{}
				t[p.name] = inner
			}
			t = inner
			continue
		}
		list, _ := t[p.name].([]any)
		if p.ident == nil {
			for len(list) <= p.index {
				list = append(list, nil)
			}
			t[p.name] = list
			if last {
				list[p.index] = v
				return
			}
			inner, ok := list[p.index].(map[string]any)
			if !ok {
				inner = map[string]any{}
				list[p.index] = inner
			}
			t = inner
			continue
		}
		at := slices.IndexFunc(list, func(e any) bool { return p.identifies(e) })
		if at < 0 {
			elem := make(map[string]any, 4)
			for _, m := range p.ident {
				elem[m.name] = m.value
			}
			list = append(list, elem)
			t[p.name], at = list, len(list)-1
		}
		t = list[at].(map[string]any)
	}
}

func (p place) identifies(e any) bool {
	m, ok := e.(map[string]any)
	if !ok {
		return false
	}
	for _, i := range p.ident {
		if m[i.name] != i.value {
			return false
		}
	}
	return true
}

// numbered tells whether a place names an element by its number.
func numbered(at []place) bool {
	return slices.ContainsFunc(at, func(p place) bool { return p.list && p.ident == nil })
}

// compact drops the gaps that absent elements left in lists.
func compact(v any) any {
	switch t := v.(type) {
	case map[string]any:
		for k, x := range t {
			t[k] = compact(x)
		}
	case []any:
		t = slices.DeleteFunc(t, func(e any) bool { return e == nil })
		for i, x := range t {
			t[i] = compact(x)
		}
		return t
	}
	return v
}
