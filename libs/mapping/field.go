package mapping

import (
	"slices"
	"strings"
	"unicode/utf8"

	yaml "go.yaml.in/yaml/v3"

	"github.com/muster-hr/muster/libs/employee"
)

// merged lists and the members by which their elements are told apart.
var merged = map[string][]string{"phones[]": {"kind"}, "addresses[]": {"kind"}, "national_ids[]": {"country", "kind"}}

// field compiles one rule with its place; nil if the place is wrong. within is
// the pattern of the list an `each` fills.
func (c *compiler) field(key, value *yaml.Node, within string) *field {
	f := &field{key: c.resolved(key.Value), line: key.Line, column: key.Column}
	outer := c.reads
	if within == "" {
		c.reads = map[string]bool{}
		defer func() {
			for p := range c.reads {
				f.reads = append(f.reads, p)
			}
			slices.Sort(f.reads)
			c.reads = outer
		}()
	}
	p, err := parsePath(f.key)
	if err != nil {
		c.inside(key, 0, runes(f.key, err.at), CodeBadPath, "", "%s is no place to write to: %s", f.key, err.why)
		return nil
	}
	if p.root != "" {
		c.problem(key, CodeUnknownRoot, "write a name", "nothing can be written to $%s", p.root)
		return nil
	}
	if c.o.Direction == ToVendor {
		if !c.bodyPlace(key, p, f) {
			return nil
		}
		f.get = c.rule(value, f.key, nil)
		return f
	}
	into, by, ok := c.canonicalPlace(key, p, f, within)
	if !ok {
		return nil
	}
	name := f.key
	if within != "" {
		name = within + "." + f.key
	}
	f.whole = into.Pattern
	f.get = c.ruleBy(value, name, &into, by)
	return f
}

func runes(s string, bytes int) int { return utf8.RuneCountInString(s[:min(bytes, len(s))]) }

// bodyPlace compiles where in a body a rule writes: names, [0] and
// [type=work], which makes the element if it is not there.
func (c *compiler) bodyPlace(key *yaml.Node, p path, f *field) bool {
	for i := range p.segs {
		s := p.segs[i]
		if s.kind == segName {
			f.put = append(f.put, place{name: s.name})
			continue
		}
		last := len(f.put) - 1
		ok := last >= 0 && !f.put[last].list
		switch {
		case ok && s.kind == segIndex && s.index >= 0 && s.index < 100:
			f.put[last].list, f.put[last].index = true, s.index
		case ok && s.kind == segFilter && len(s.member) == 1 && !s.negate && i < len(p.segs)-1:
			f.put[last].list, f.put[last].ident = true, []memberValue{{s.member[0], s.value}}
		default:
			c.problem(key, CodeBadPath, "write names, [0] or [type=work]", "%s is no place in a body", f.key)
			return false
		}
	}
	return true
}

// canonicalPlace compiles where in an observation a rule writes.
func (c *compiler) canonicalPlace(key *yaml.Node, p path, f *field, within string) (into employee.Field, by string, ok bool) {
	by = "external_id"
	if n := len(p.segs); n > 1 && p.segs[n-2].name == "manager" && slices.Contains(managerBy, p.segs[n-1].name) {
		by = p.segs[n-1].name
		p.segs = p.segs[:n-1]
	}
	pattern := within
	for i := range p.segs {
		s := &p.segs[i]
		if s.kind == segName {
			if pattern != "" {
				pattern += "."
			}
			pattern += s.name
			f.put = append(f.put, place{name: s.name})
			continue
		}
		last := len(f.put) - 1
		if last < 0 || f.put[last].list {
			c.problem(key, CodeBadPath, "", "%s is no canonical place", f.key)
			return into, by, false
		}
		list := f.put[last].name
		ident, why := identOf(list, s, within)
		if why != "" {
			c.problem(key, CodeBadPath, why, "%s does not name an element of %s", f.key, list)
			return into, by, false
		}
		pattern += "[]"
		f.put[last].list, f.put[last].ident = true, ident
	}
	into, found := employee.Lookup(pattern)
	if !found {
		into, found = employee.Lookup(pattern + "[]")
	}
	switch {
	case !found || pattern == "id":
		c.problem(key, CodeUnknownField, didYouMean(strings.TrimPrefix(pattern, within+"."), c.patterns(within)), "%s is no canonical field that a source can say", f.key)
		return into, by, false
	case p.segs[len(p.segs)-1].kind != segName:
		c.problem(key, CodeWholeField, "write the fields below it, e.g. "+f.key+"."+exampleBelow(pattern), "%s is a whole element", f.key)
		return into, by, false
	case !c.declared(into.Pattern):
		name := strings.TrimPrefix(into.Pattern, "custom.")
		c.problem(key, CodeCustom, "declare its class, e.g. `custom: {"+name+": basic}` in muster.yaml", "custom field %s has no class", name)
		return into, by, false
	}
	return into, by, true
}

var managerBy = []string{"external_id", "employee_number", "work_email"}

// identOf is what makes out an element of a list that merges by element.
func identOf(list string, s *seg, within string) (ident []memberValue, why string) {
	if within != "" || s.kind != segKey {
		switch list {
		case "positions":
			return nil, "write positions[primary]"
		case "phones", "addresses":
			return nil, "write " + list + "[work], or `each` for all"
		}
		return nil, "write `each` to fill a list"
	}
	switch list {
	case "positions":
		if s.value == "primary" {
			return []memberValue{{"primary", true}}, ""
		}
		return []memberValue{{"id", s.value}}, ""
	case "phones", "addresses":
		f, _ := employee.Lookup(list + "[].kind")
		if !slices.Contains(f.Enum, s.value) {
			return nil, "the kinds are " + strings.Join(f.Enum, ", ")
		}
		return []memberValue{{"kind", s.value}}, ""
	case "national_ids":
		country, kind, ok := strings.Cut(s.value, "/")
		if !ok || !capitals(country, 2) || kind == "" {
			return nil, "write national_ids[US/ssn]"
		}
		return []memberValue{{"country", country}, {"kind", kind}}, ""
	}
	return nil, "write `each` to fill a list"
}

// patterns are the canonical patterns, below within if that is set.
func (c *compiler) patterns(within string) []string {
	var out []string
	for _, f := range employee.Fields() {
		p := f.Pattern
		if p == "id" && c.o.Direction == FromVendor {
			continue
		}
		if within != "" {
			rest, ok := strings.CutPrefix(p, within+".")
			if !ok {
				continue
			}
			p = rest
		} else if strings.HasPrefix(p, "positions[].") {
			p = strings.Replace(p, "[]", "[primary]", 1)
		}
		out = append(out, p)
	}
	return out
}

func exampleBelow(pattern string) string {
	switch pattern {
	case "phones[]":
		return "number"
	case "addresses[]":
		return "city"
	case "positions[]":
		return "title"
	}
	return "value"
}

// canonical resolves a path that reads an employee: the pattern it has, the
// field there, and the lists behind its keys.
func canonical(p *path, base string) (employee.Field, bool) {
	pattern, last := base, employee.Field{Pattern: base}
	for i := range p.segs {
		s := &p.segs[i]
		if s.kind == segName {
			f, ok := childOf(pattern, s.name)
			if !ok || i > 0 && last.Kind == employee.List && p.segs[i-1].kind == segName {
				return employee.Field{}, false
			}
			last, pattern = f, f.Pattern
			continue
		}
		if last.Kind != employee.List || i == 0 {
			return employee.Field{}, false
		}
		if s.kind == segKey {
			s.name = p.segs[i-1].name
			if _, keyed := merged[last.Pattern]; !keyed && last.Pattern != "positions[]" {
				return employee.Field{}, false
			}
		}
	}
	return last, true
}
