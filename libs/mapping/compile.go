package mapping

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/fault"
)

// sources say where a value comes from; a rule has exactly one.
var sources = []string{"from", "const", "cel", "ref", "template", "join", "list", "each"}

// operators are all keys of a rule.
var operators = append(slices.Clone(sources), "with", "where", "fields", "when", "map", "else", "date", "empty", "trim", "lower",
	"upper", "ascii", "text", "number", "decimal", "money", "phone", "country", "split", "by", "default", "required")

// nothing is the rule of a place with problems.
func nothing(*scope) (any, state, *fault.Error) { return nil, absent, nil }

func (c *compiler) rule(n *yaml.Node, name string, f *employee.Field) getter {
	return c.ruleBy(n, name, f, "external_id")
}

// ruleBy compiles a rule: a path, a constant, a table of operators, or a list
// of rules of which the first with a value counts. f is nil towards a vendor.
func (c *compiler) ruleBy(n *yaml.Node, name string, f *employee.Field, by string) getter {
	r := &rule{name: name, fit: f, byRef: by, empty: c.empty}
	switch n.Kind {
	case yaml.SequenceNode:
		var rules []getter
		for _, x := range n.Content {
			rules = append(rules, c.ruleBy(x, name, f, by))
		}
		if len(rules) == 0 {
			c.problem(n, CodeNoSource, "write a path or a table of operators", "%s has no rule", name)
		}
		return first(rules)
	case yaml.ScalarNode:
		switch {
		case n.Tag == "!!null":
			c.problem(n, CodeNoSource, "write a path, or `{const: null}` to clear it", "%s has no rule", name)
			return nothing
		case n.Tag == "!!str":
			r.src = c.from(n, name, c.empty)
		default:
			r.src = c.constant(n, f)
		}
		return r.get
	}
	byKey := map[string]*yaml.Node{}
	keys := map[string]*yaml.Node{}
	for _, e := range c.entries(n, name) {
		if !slices.Contains(operators, e.key.Value) {
			c.problem(e.key, CodeUnknownKey, orElse(didYouMean(e.key.Value, operators), "docs/mapping.md lists the operators"), "there is no operator %s", e.key.Value)
			continue
		}
		byKey[e.key.Value], keys[e.key.Value] = e.value, e.key
	}
	if x := byKey["empty"]; x != nil {
		r.empty = slices.Clone(c.empty)
		for _, t := range c.texts(x, "empty") {
			r.empty = append(r.empty, t.Value)
		}
	}
	if byKey["from"] != nil && byKey["ref"] != nil && byKey["ref"].Value == "true" {
		byKey["ref"] = byKey["from"] // `from: X, ref: true` is `ref: X`
		delete(byKey, "from")
	}
	c.source(n, r, byKey, keys, f)
	if x := byKey["when"]; x != nil {
		r.when = c.condition(x)
	}
	c.steps(r, byKey, keys, f)
	if x := byKey["by"]; x != nil {
		if !slices.Contains(managerBy, x.Value) {
			c.problem(x, CodeBadValue, "write "+strings.Join(managerBy, ", "), "a person is not named by %s", x.Value)
		}
		r.byRef = x.Value
	}
	if x := byKey["default"]; x != nil {
		r.def, r.hasDef = c.value(x, f), true
	}
	r.required = c.flag(byKey["required"], "required")
	return r.get
}

// source compiles the one operator that says where the value comes from.
func (c *compiler) source(n *yaml.Node, r *rule, byKey, keys map[string]*yaml.Node, f *employee.Field) {
	r.src = nothing
	var op string
	for _, s := range sources {
		if byKey[s] == nil {
			continue
		}
		if op != "" {
			c.problem(orNode(keys[s], n), CodeTwoSources, "keep one of the two", "%s has both %s and %s", r.name, op, s)
			return
		}
		op = s
	}
	if op == "" {
		c.problem(n, CodeNoSource, "add `from:`, `const:` or `cel:`", "%s does not say where its value comes from", r.name)
		return
	}
	x := byKey[op]
	for k, needs := range map[string]string{"with": "join", "where": "each", "fields": "each"} {
		if keys[k] != nil && op != needs {
			c.problem(keys[k], CodeOperator, "remove it", "%s goes with %s only", k, needs)
		}
	}
	switch op {
	case "from":
		r.src = c.from(x, r.name, r.empty)
	case "const":
		r.src = c.constant(x, f)
	case "cel":
		if p := c.expression(x, f, len(byKey) == 1); p != nil {
			r.src = fromCEL(r.name, p)
		}
	case "ref":
		c.takes(keys[op], op, f)
		r.src = reference(r.name, c.from(x, r.name, r.empty))
	case "template":
		c.takes(keys[op], op, f)
		r.src = c.template(x, r)
	case "join":
		c.takes(keys[op], op, f)
		with := " "
		if w := byKey["with"]; w != nil {
			with = w.Value
		}
		r.src = joined(r.name, c.parts(x, r.name), with)
	case "list":
		c.takes(keys[op], op, f)
		r.src = listed(c.parts(x, r.name))
	case "each":
		c.takes(keys[op], op, f)
		r.src = c.each(x, byKey, keys, r, f)
	}
}

func orNode(a, b *yaml.Node) *yaml.Node {
	if a != nil {
		return a
	}
	return b
}

// parts compiles the rules of a list; they have no kind of their own.
func (c *compiler) parts(n *yaml.Node, name string) []getter {
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	out := make([]getter, 0, len(list))
	for _, x := range list {
		out = append(out, c.rule(x, name, nil))
	}
	return out
}

// template compiles `application:{id}`. A brace of its own is written twice.
func (c *compiler) template(n *yaml.Node, r *rule) getter {
	var texts []string
	var parts []getter
	text, rest := "", n.Value
	for rest != "" {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			text += rest
			break
		}
		text += rest[:i]
		if strings.HasPrefix(rest[i:], "{{") || strings.HasPrefix(rest[i:], "}}") {
			text, rest = text+rest[i:i+1], rest[i+2:]
			continue
		}
		end := strings.IndexByte(rest[i:], '}')
		if rest[i] == '}' || end < 0 {
			c.problem(n, CodeBadPath, "write {path}, and {{ for a brace of its own", "a brace is not closed or not opened")
			return nothing
		}
		at := *n
		at.Value = rest[i+1 : i+end]
		texts, text, rest = append(texts, text), "", rest[i+end+1:]
		parts = append(parts, c.from(&at, r.name, r.empty))
	}
	if len(parts) == 0 {
		c.problem(n, CodeBadPath, "write a path in braces, or `const:`", "the template has no {path}")
	}
	return filled(r.name, append(texts, text), parts)
}

// each compiles the rules of the elements of a list.
func (c *compiler) each(n *yaml.Node, byKey, keys map[string]*yaml.Node, r *rule, f *employee.Field) getter {
	e := &elements{name: r.name}
	list := c.paths(n)
	for i := range list {
		if segs := list[i].segs; len(segs) > 0 {
			segs[len(segs)-1].every = true // a filter at the end keeps all matches
		}
	}
	e.list = fromPaths(r.name, list, nil)
	within := ""
	if f != nil {
		within = f.Pattern
		e.keys = merged[within]
		r.fit = nil // the fields are checked one by one
	}
	base := c.base
	if c.o.Direction == ToVendor && len(list) > 0 {
		last, ok := canonical(&path{segs: list[0].segs}, orBase(list[0], base))
		if ok && strings.HasSuffix(last.Pattern, "[]") {
			c.base = last.Pattern
		} else if ok {
			c.problem(n, CodeOperator, "use `from`, or `[*]` in the path", "%s is no list of objects", last.Pattern)
		}
	}
	c.depth++
	defer func() { c.depth, c.base = c.depth-1, base }()
	if x := byKey["where"]; x != nil {
		e.where = c.condition(x)
	}
	x := byKey["fields"]
	if x == nil {
		c.problem(n, CodeMissing, "add `fields:` with a rule per member", "%s does not say what the elements hold", r.name)
		return nothing
	}
	if f != nil && !strings.HasSuffix(within, "[]") {
		return nothing // reported: the field is no list of objects
	}
	for _, m := range c.entries(x, "fields") {
		var in *field
		if f != nil {
			in = c.field(m.key, m.value, within)
		} else {
			in = c.field(m.key, m.value, "element")
		}
		if in != nil {
			e.fields = append(e.fields, in)
			e.gaps = e.gaps || numbered(in.put)
		}
	}
	return e.get
}

func orBase(p path, base string) string {
	if p.item {
		return base
	}
	return ""
}

// constant compiles a constant; towards canonical it must fit the field.
func (c *compiler) constant(n *yaml.Node, f *employee.Field) getter {
	return constant(c.value(n, f))
}

// value reads a value of the file and checks it against the field.
func (c *compiler) value(n *yaml.Node, f *employee.Field) any {
	v := literal(n)
	if f == nil || v == nil {
		return v
	}
	if f.Kind == employee.Manager {
		if _, ok := v.(string); ok {
			return v
		}
	}
	out, what := fit(*f, v)
	if what != "" {
		fix := ""
		if t, ok := v.(string); ok {
			fix = didYouMean(t, f.Enum)
		}
		c.problem(n, CodeBadValue, orElse(fix, "write "+wanted(*f)), "%s does not take this: %s", f.Pattern, what)
	}
	return out
}

// literal is a YAML value as JSON has it: numbers as json.Number, days as text.
func literal(n *yaml.Node) any {
	switch n.Kind {
	case yaml.SequenceNode:
		out := make([]any, 0, len(n.Content))
		for _, x := range n.Content {
			out = append(out, literal(x))
		}
		return out
	case yaml.MappingNode:
		out := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			out[n.Content[i].Value] = literal(n.Content[i+1])
		}
		return out
	}
	switch n.Tag {
	case "!!null":
		return nil
	case "!!bool":
		var b bool
		_ = n.Decode(&b) // the tag says that it is one
		return b
	case "!!int", "!!float":
		if json.Valid([]byte(n.Value)) {
			return json.Number(n.Value)
		}
		var x float64
		if n.Decode(&x) == nil && x == x && x < 1e300 && x > -1e300 {
			return json.Number(strconv.FormatFloat(x, 'f', -1, 64))
		}
	}
	return n.Value
}

func (c *compiler) flag(n *yaml.Node, what string) bool {
	if n == nil {
		return false
	}
	if n.Tag != "!!bool" {
		c.problem(n, CodeWrongForm, "write true or remove it", "%s takes true or false", what)
		return false
	}
	return n.Value == "true"
}
