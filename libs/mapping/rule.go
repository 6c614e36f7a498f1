package mapping

import (
	"slices"

	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/fault"
)

// getter is a compiled rule: a value, null, or nothing.
type getter func(s *scope) (any, state, *fault.Error)

// rule is where a value comes from and what is done to it. The order is fixed:
// when, source, empty, steps, default and required, kind of the field.
type rule struct {
	name     string // for errors
	when     *program
	src      getter
	empty    []string
	steps    []step
	byRef    string // what a scalar says of a manager: external_id, employee_number, work_email
	def      any
	hasDef   bool
	required bool
	fit      *employee.Field // nil towards a vendor
}

// step is one operator. what is what was found instead of what it takes.
type step struct {
	name string
	list bool // takes a list as it is; others go over its elements
	do   func(v any) (out any, what string)
}

// none is what a step gives for "not said".
type noneType struct{}

var none any = noneType{}

func (r *rule) get(s *scope) (any, state, *fault.Error) {
	if r.when != nil {
		holds, what := r.when.holds(s)
		if what != "" {
			return nil, absent, s.fail(r.name, "when", what)
		}
		if !holds {
			return nil, absent, nil
		}
	}
	v, st, err := r.src(s)
	if err != nil {
		return nil, absent, err
	}
	if st == said {
		v = emptied(v, r.empty)
	}
	for i := range r.steps {
		if v == nil || st == absent {
			break
		}
		var what string
		if v, what = r.steps[i].over(v); what != "" {
			return nil, absent, s.fail(r.name, r.steps[i].name, what)
		}
		if v == none {
			v, st = nil, absent
		}
	}
	if v != nil && r.fit != nil {
		var what string
		if v, what = r.fitted(s, v); what != "" {
			return nil, absent, s.fail(r.name, string(r.fit.Kind), what)
		}
	}
	if v != nil {
		return v, said, nil
	}
	if r.hasDef && (st == said || !s.partial) {
		return r.def, said, nil
	}
	if r.required && !s.partial {
		return nil, absent, s.fail(r.name, "required", "nothing, but the field is required")
	}
	return nil, st, nil
}

// fitted brings v into the form of the field. A scalar names a manager by the
// id of this source unless `by` says otherwise.
func (r *rule) fitted(s *scope, v any) (any, string) {
	if r.fit.Kind == employee.Manager {
		if id, ok := scalarText(v); ok {
			if id = clean(id); id == "" {
				return nil, ""
			}
			if r.byRef == "external_id" {
				return map[string]any{"source": s.source, "external_id": id}, ""
			}
			return map[string]any{r.byRef: id}, ""
		}
	}
	return fit(*r.fit, v)
}

// emptied is v without blanks around, and null for texts that mean "not set".
func emptied(v any, empty []string) any {
	t, ok := v.(string)
	if !ok {
		if len(empty) == 0 {
			return v
		}
		if _, list := v.([]any); list {
			return v
		}
		if n, ok := scalarText(v); ok && slices.Contains(empty, n) {
			return nil
		}
		return v
	}
	if len(empty) > 0 && slices.Contains(empty, t) {
		return nil
	}
	plain := clean(t)
	switch {
	case plain == "" || len(empty) > 0 && slices.Contains(empty, plain):
		return nil
	case plain == t:
		return v
	}
	return plain
}

// over does the step, for a list on each of its elements.
func (st *step) over(v any) (any, string) {
	list, ok := v.([]any)
	if !ok || st.list {
		return st.do(v)
	}
	out := make([]any, 0, len(list))
	for _, e := range list {
		if t, ok := e.(string); ok {
			e = clean(t)
		}
		if e == nil || e == "" {
			continue
		}
		x, what := st.do(e)
		if what != "" {
			return nil, what + " in a list"
		}
		if x != nil && x != none {
			out = append(out, x)
		}
	}
	return out, ""
}

// first is the first of several rules that has a value; null if none has one
// and one says null.
func first(rules []getter) getter {
	return func(s *scope) (any, state, *fault.Error) {
		st := absent
		for _, r := range rules {
			v, one, err := r(s)
			if err != nil {
				return nil, absent, err
			}
			if one == said && v != nil {
				return v, said, nil
			}
			st = max(st, one)
		}
		return nil, st, nil
	}
}
