package mapping

import (
	"strings"

	"github.com/muster-hr/muster/libs/fault"
)

// read follows one path.
func (p *path) read(s *scope) (any, state) {
	var v any
	switch {
	case p.root != "":
		x, st := s.root(p.root)
		if st == absent {
			return nil, absent
		}
		v = x
	case p.item:
		v = s.item.value
	case s.employee != nil:
		v = map[string]any(s.employee)
	default:
		v = s.record
	}
	s.at, s.ofIt = p.text, p.item
	return walk(v, p.segs, s.today)
}

// fromPaths takes the first path that has a value; null if none has one and one
// says null. A path that goes through something of another form is an error
// only if no other has a value.
func fromPaths(rule string, ps []path, empty []string) getter {
	return func(s *scope) (any, state, *fault.Error) {
		st := absent
		var err *fault.Error
		for i := range ps {
			v, one := ps[i].read(s)
			switch {
			case one == misfit:
				if err == nil {
					err = s.fail(rule, "from", found(v)+", not what the path goes through")
				}
			case one == said && (len(ps) == 1 || emptied(v, empty) != nil):
				return v, said, nil
			default:
				st = max(st, one)
			}
		}
		if err != nil && st == absent {
			return nil, absent, err
		}
		return nil, st, nil
	}
}

func constant(v any) getter {
	return func(s *scope) (any, state, *fault.Error) {
		s.at, s.ofIt = "", false
		return v, said, nil
	}
}

func fromCEL(rule string, p *program) getter {
	return func(s *scope) (any, state, *fault.Error) {
		s.at, s.ofIt = p.first, p.ofItem
		v, st, what := p.value(s)
		if what != "" {
			return nil, absent, s.fail(rule, "cel", what)
		}
		return v, st, nil
	}
}

// reference turns our id of a person into the target's. Somebody the target
// does not know yet is left out and waited for.
func reference(rule string, src getter) getter {
	return func(s *scope) (any, state, *fault.Error) {
		v, st, err := src(s)
		if err != nil || st == absent || v == nil {
			return nil, st, err
		}
		id, ok := v.(string)
		if !ok {
			return nil, absent, s.fail(rule, "ref", found(v)+", not the id of an employee")
		}
		if s.in != nil && s.in.Ref != nil {
			if theirs, known := s.in.Ref(id); known {
				return theirs, said, nil
			}
		}
		s.flags.WaitsFor = append(s.flags.WaitsFor, id)
		return nil, absent, nil
	}
}

// joined puts the parts that have a value together.
func joined(rule string, parts []getter, with string) getter {
	return func(s *scope) (any, state, *fault.Error) {
		var out []string
		st := absent
		for _, p := range parts {
			v, one, err := p(s)
			if err != nil {
				return nil, absent, err
			}
			st = max(st, one)
			list, ok := v.([]any)
			if !ok {
				list = []any{v}
			}
			for _, e := range list {
				if e == nil {
					continue
				}
				t, ok := scalarText(e)
				if !ok {
					return nil, absent, s.fail(rule, "join", found(e)+", not text")
				}
				if t = clean(t); t != "" {
					out = append(out, t)
				}
			}
		}
		if len(out) == 0 {
			return nil, st, nil
		}
		return strings.Join(out, with), said, nil
	}
}

// filled is a template with its places filled: absent or null if one of them is.
func filled(rule string, texts []string, parts []getter) getter {
	return func(s *scope) (any, state, *fault.Error) {
		var b strings.Builder
		for i, p := range parts {
			b.WriteString(texts[i])
			v, st, err := p(s)
			if err != nil || st == absent || v == nil {
				return nil, st, err
			}
			t, ok := scalarText(v)
			if !ok {
				return nil, absent, s.fail(rule, "template", found(v)+", not text")
			}
			b.WriteString(clean(t))
		}
		b.WriteString(texts[len(parts)])
		return b.String(), said, nil
	}
}

// listed is the list of what several rules say; a list among them is laid in.
func listed(parts []getter) getter {
	return func(s *scope) (any, state, *fault.Error) {
		out := make([]any, 0, len(parts))
		st := absent
		for _, p := range parts {
			v, one, err := p(s)
			if err != nil {
				return nil, absent, err
			}
			st = max(st, one)
			if l, ok := v.([]any); ok {
				out = append(out, l...)
			} else if v != nil {
				out = append(out, v)
			}
		}
		if len(out) == 0 {
			return nil, st, nil
		}
		return out, said, nil
	}
}

// elements makes one object of every element of a list.
type elements struct {
	name   string
	list   getter
	where  *program
	fields []*field
	gaps   bool     // a field writes to an element by its number
	keys   []string // members that make an element of a merged list unique
}

func (e *elements) get(s *scope) (any, state, *fault.Error) {
	v, st, err := e.list(s)
	if err != nil || st == absent || v == nil {
		return nil, st, err
	}
	list, ok := v.([]any)
	if !ok {
		if m, isMap := v.(map[string]any); !isMap || len(m) > 0 {
			return nil, absent, s.fail(e.name, "each", found(v)+", not a list")
		}
	}
	it := &item{parent: s.item, path: s.at, below: s.ofIt}
	s.item = it
	defer func() { s.item = it.parent }()
	out := make([]any, 0, len(list))
	for i, x := range list {
		it.index, it.value = i, x
		if e.where != nil {
			s.at, s.ofIt = e.where.first, e.where.ofItem
			holds, what := e.where.holds(s)
			if what != "" {
				return nil, absent, s.fail(e.name, "where", what)
			}
			if !holds {
				continue
			}
		}
		elem := make(map[string]any, len(e.fields))
		for _, f := range e.fields {
			v, st, err := f.get(s)
			if err != nil {
				return nil, absent, err
			}
			if st == said {
				write(elem, f.put, v)
			}
		}
		if e.gaps {
			compact(elem)
		}
		if len(elem) > 0 && (e.keys == nil || has(elem, e.keys)) {
			out = e.add(out, elem)
		}
	}
	if len(out) == 0 && len(list) > 0 && e.keys != nil {
		return nil, absent, nil // nothing said about any element
	}
	return out, said, nil
}

func has(elem map[string]any, keys []string) bool {
	for _, k := range keys {
		if elem[k] == nil {
			return false
		}
	}
	return true
}

// add appends elem. Of two elements of a merged list with the same key the
// first that has a value stays.
func (e *elements) add(out []any, elem map[string]any) []any {
	if e.keys == nil {
		return append(out, elem)
	}
	for i, o := range out {
		other := o.(map[string]any)
		same := true
		for _, k := range e.keys {
			same = same && other[k] == elem[k]
		}
		if same {
			if !valued(other, e.keys) && valued(elem, e.keys) {
				out[i] = elem
			}
			return out
		}
	}
	return append(out, elem)
}

func valued(elem map[string]any, keys []string) bool {
	for k, v := range elem {
		if v == nil {
			continue
		}
		isKey := false
		for _, key := range keys {
			isKey = isKey || k == key
		}
		if !isKey {
			return true
		}
	}
	return false
}
