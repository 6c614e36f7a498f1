package mapping

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/employee"
)

// found names the kind of a value for an error, never the value.
func found(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "text"
	case bool:
		return "a truth value"
	case json.Number, float64, int64, int:
		return "a number"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return "an unknown kind"
}

// wanted names what a kind of field takes.
func wanted(f employee.Field) string {
	switch f.Kind {
	case employee.Text:
		return "text"
	case employee.Day:
		return "a day"
	case employee.Instant:
		return "an instant"
	case employee.Decimal:
		return "a decimal number"
	case employee.Currency:
		return "a currency code"
	case employee.Country:
		return "a country code"
	case employee.Bool:
		return "true or false"
	case employee.Enum:
		return "one of " + strings.Join(f.Enum, ", ")
	case employee.Manager:
		return "something that names a person"
	case employee.List:
		return "a list"
	case employee.Object:
		return "an object"
	default:
		return "a scalar or a list of scalars"
	}
}

// fit brings v into the form of a canonical field. Null fits everywhere. The
// second result says what was found instead; "" means that it fits. A text or
// number is a copy, so that the state does not hold the record.
func fit(f employee.Field, v any) (any, string) {
	if v == nil {
		return nil, ""
	}
	v, why := fitted(f, v)
	switch t := v.(type) {
	case string:
		return strings.Clone(t), why
	case json.Number:
		return json.Number(strings.Clone(string(t))), why
	}
	return v, why
}

func fitted(f employee.Field, v any) (any, string) {
	wrong := func() (any, string) { return nil, found(v) + ", not " + wanted(f) }
	switch f.Kind {
	case employee.Bool:
		if _, ok := v.(bool); ok {
			return v, ""
		}
		return wrong()
	case employee.Decimal:
		s, ok := v.(string)
		if !ok {
			if s, ok = scalarText(v); !ok || found(v) != "a number" {
				return wrong()
			}
		}
		if s = clean(s); validDecimal(s) {
			return s, ""
		}
		return wrong()
	case employee.Manager:
		return fitManager(f, v)
	case employee.Object:
		m, ok := v.(map[string]any)
		if !ok {
			return wrong()
		}
		return fitObject(f, m)
	case employee.List:
		return fitList(f, v)
	case employee.Any:
		return fitAny(f, v)
	}
	s, ok := v.(string)
	if !ok {
		return wrong()
	}
	if s = clean(s); s == "" {
		return nil, ""
	}
	switch f.Kind {
	case employee.Day:
		ok = validDay(s)
	case employee.Instant:
		var t time.Time
		if t, ok = readTime(s, []string{time.RFC3339}); ok {
			s = t.UTC().Format(time.RFC3339Nano)
		}
	case employee.Currency:
		ok = validCurrency(s)
	case employee.Country:
		ok = validCountry(s)
	case employee.Enum:
		ok = slices.Contains(f.Enum, s)
	}
	if !ok {
		return wrong()
	}
	return s, ""
}

func fitManager(f employee.Field, v any) (any, string) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, found(v) + ", not " + wanted(f)
	}
	out := map[string]any{}
	for k, x := range m {
		s, ok := x.(string)
		if s = clean(s); !ok || s == "" {
			return nil, found(x) + ", not text in a reference to a person"
		}
		out[k] = s
	}
	_, id := out["external_id"]
	_, src := out["source"]
	_, no := out["employee_number"]
	_, mail := out["work_email"]
	if len(out) == 2 && id && src || len(out) == 1 && (no || mail) {
		return out, ""
	}
	return nil, "an object, not {source, external_id}, {employee_number} or {work_email}"
}

// fitAny takes scalars and lists of scalars, as custom fields do.
func fitAny(f employee.Field, v any) (any, string) {
	switch t := v.(type) {
	case string:
		if t = clean(t); t == "" {
			return nil, ""
		}
		return t, ""
	case bool:
		return t, ""
	case json.Number:
		return json.Number(plainNumber(string(t))), ""
	case []any:
		out := make([]any, 0, len(t))
		for _, e := range t {
			if _, nested := e.([]any); nested {
				return nil, "a list of lists, not " + wanted(f)
			}
			x, why := fitAny(f, e)
			if why != "" {
				return nil, "a list with something else than scalars in it, not " + wanted(f)
			}
			if x != nil {
				out = append(out, x)
			}
		}
		return out, ""
	}
	return nil, found(v) + ", not " + wanted(f)
}

// fitList takes a list of objects as canonical.md has them, or of texts. A
// single text becomes a list of one; numbers among ids become text.
func fitList(f employee.Field, v any) (any, string) {
	list, ok := v.([]any)
	objects := strings.HasSuffix(f.Pattern, "[]")
	if !ok {
		if _, scalar := scalarText(v); objects || !scalar {
			return nil, found(v) + ", not a list"
		}
		list = []any{v}
	}
	out := make([]any, 0, len(list))
	for _, e := range list {
		if objects {
			m, ok := e.(map[string]any)
			if !ok {
				return nil, found(e) + ", not an object in a list"
			}
			x, why := fitObject(f, m)
			if why != "" {
				return nil, why
			}
			out = append(out, x)
			continue
		}
		if e == nil {
			continue
		}
		s, ok := scalarText(e)
		if !ok {
			return nil, found(e) + ", not text in a list"
		}
		if s = clean(s); s != "" {
			out = append(out, s)
		}
	}
	return out, ""
}

// fitObject checks every member of an object below f.
func fitObject(f employee.Field, m map[string]any) (any, string) {
	out := make(map[string]any, len(m))
	for k, v := range m {
		inner, ok := childOf(f.Pattern, k)
		if !ok {
			return nil, "an object with a member that " + f.Pattern + " does not have"
		}
		x, why := fit(inner, v)
		if why != "" {
			return nil, why + " in " + inner.Pattern
		}
		out[k] = x
	}
	return out, ""
}

// childOf is the field of a member, lists included.
func childOf(pattern, name string) (employee.Field, bool) {
	if strings.ContainsAny(name, ".[]") {
		if pattern != "custom" && pattern != "external" || strings.ContainsAny(name, ".[") {
			return employee.Field{}, false
		}
	}
	p := name
	if pattern != "" {
		p = pattern + "." + name
	}
	if f, ok := employee.Lookup(p); ok {
		return f, true
	}
	return employee.Lookup(p + "[]")
}
