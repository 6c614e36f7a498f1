package mapping

import (
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"github.com/muster-hr/muster/libs/employee"
)

// from compiles one path or several of which the first with a value counts.
func (c *compiler) from(n *yaml.Node, name string, empty []string) getter {
	ps := c.paths(n)
	if len(ps) == 0 {
		return nothing
	}
	return fromPaths(name, ps, empty)
}

// paths reads paths, lays those of a record below `at`, and checks those of an
// employee against the canonical fields.
func (c *compiler) paths(n *yaml.Node) []path {
	var out []path
	for _, t := range c.texts(n, "a path") {
		p, ok := c.path(t)
		if !ok {
			continue
		}
		switch {
		case c.o.Direction == ToVendor:
			if !c.reading(t, &p) {
				continue
			}
			out = append(out, p)
		case p.root == "" && c.depth > 0:
			p.item = true
			out = append(out, p)
		case p.root != "" || len(c.at) == 0:
			out = append(out, p)
		default:
			for _, at := range c.at {
				text := at.text + "." + p.text
				if strings.HasPrefix(p.text, "[") {
					text = at.text + p.text
				}
				out = append(out, path{text: text, root: at.root, segs: slices.Concat(at.segs, p.segs)})
			}
		}
	}
	return out
}

var roots = map[Direction][]string{
	FromVendor: {"event", "key", "source", "deleted", "today", "record", "item"},
	ToVendor:   {"id", "status", "verb", "account", "source", "today", "employee", "item"},
}

func dollar(names []string) []string {
	out := make([]string, 0, len(names))
	for _, n := range names {
		out = append(out, "$"+n)
	}
	return out
}

// path reads one path and its root.
func (c *compiler) path(n *yaml.Node) (path, bool) {
	p, err := parsePath(strings.TrimSpace(n.Value))
	if err != nil {
		c.inside(n, 0, runes(n.Value, err.at), CodeBadPath, "", "the path cannot be read: %s", err.why)
		return p, false
	}
	known := roots[c.o.Direction]
	if p.root != "" && !slices.Contains(known, p.root) {
		c.problem(n, CodeUnknownRoot, orElse(didYouMean("$"+p.root, dollar(known)), "there are $"+strings.Join(known, ", $")), "there is no $%s", p.root)
		return p, false
	}
	if c.o.Direction == FromVendor {
		for _, s := range p.segs {
			if s.kind == segKey {
				c.problem(n, CodeBadPath, "write [key=value], [0] or [in_force:date]", "[%s] selects nothing in a record", s.value)
				return p, false
			}
		}
	}
	return p, true
}

// reading checks a path of a target mapping and notes what it reads.
func (c *compiler) reading(n *yaml.Node, p *path) bool {
	base := ""
	switch {
	case p.root == "status":
		c.reads["employment.status"] = true
		return true
	case p.root == "id":
		c.reads["id"] = true
		return true
	case p.root == "item":
		base = c.base
	case p.root != "" && p.root != "employee":
		return true
	case p.root == "" && c.depth > 0:
		p.item, base = true, c.base
	}
	for i := range p.segs {
		if s := &p.segs[i]; s.kind == segName && i == 0 && base == "" && s.name == "external" && len(p.segs) > 1 && p.segs[1].name == "$source" {
			p.segs[1].name = c.o.Source
		}
	}
	f, ok := canonical(p, base)
	if !ok || len(p.segs) == 0 {
		c.problem(n, CodeUnknownField, didYouMean(p.text, c.readable(*p, base)), "%s is no canonical field", p.text)
		return false
	}
	if !c.declared(f.Pattern) {
		name := strings.TrimPrefix(f.Pattern, "custom.")
		c.problem(n, CodeCustom, "declare its class in muster.yaml", "custom field %s has no class", name)
		return false
	}
	c.reads[spelled(p, base)] = true
	return true
}

// readable are the paths to suggest for one that cannot be read, with the key
// that it names or the usual one.
func (c *compiler) readable(p path, within string) []string {
	key := "[work]"
	for _, s := range p.segs {
		if s.kind == segKey {
			key = "[" + s.value + "]"
		}
	}
	out := c.patterns(within)
	for i, w := range out {
		if strings.HasPrefix(w, "phones[].") || strings.HasPrefix(w, "addresses[].") {
			out[i] = strings.Replace(w, "[]", key, 1)
		}
	}
	return out
}

// spelled is the canonical path that p reads: keys stay, other selectors are [].
func spelled(p *path, base string) string {
	out := base
	for i, s := range p.segs {
		switch {
		case s.kind == segName:
			if out != "" {
				out += "."
			}
			out += s.name
		case s.kind == segKey:
			out += "[" + s.value + "]"
		default:
			if _, ok := employee.Lookup(employee.Pattern(out) + "[]"); ok || i == 0 {
				out += "[]"
			}
		}
	}
	if _, ok := employee.Lookup(out + "[]"); ok {
		out += "[]"
	}
	return out
}
