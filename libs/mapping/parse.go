package mapping

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"github.com/muster-hr/muster/libs/employee"
)

// maxSize of a mapping file in bytes; the largest real ones have 20 kB.
const maxSize = 1 << 20

// Parse compiles a mapping file. With problems the mapping is nil.
func Parse(file string, src []byte, o Options) (*Mapping, []Problem) {
	c := &compiler{
		report: report{file: file, src: strings.Split(string(src), "\n")},
		o:      o,
		m:      &Mapping{direction: o.Direction, source: o.Source, custom: employee.CustomClasses{}},
	}
	if root := c.load(src); root != nil {
		c.file(root)
	}
	if len(c.list) > 0 {
		return nil, c.sorted()
	}
	top := map[string]bool{}
	for _, f := range c.m.rules {
		top[f.put[0].name] = true
	}
	c.m.top = len(top)
	return c.m, nil
}

// MustParse is Parse for files that are part of the program.
func MustParse(file string, src []byte, o Options) *Mapping {
	m, problems := Parse(file, src, o)
	if len(problems) > 0 {
		panic(problems[0].String())
	}
	return m
}

// compiler reads one file.
type compiler struct {
	report
	o     Options
	m     *Mapping
	at    []path
	empty []string

	// while a rule is compiled
	reads map[string]bool
	depth int    // of `each`
	base  string // pattern of the element of an `each` towards a vendor
}

var yamlLine = regexp.MustCompile(`line (\d+): `)

// load reads the YAML. Anchors are refused: a reader should see at the rule
// what it does.
func (c *compiler) load(src []byte) *yaml.Node {
	if len(src) > maxSize {
		c.add(1, 1, CodeYAML, "split it", "the file is larger than 1 MB")
		return nil
	}
	d := yaml.NewDecoder(bytes.NewReader(src))
	var doc, more yaml.Node
	err := d.Decode(&doc)
	if err == nil {
		if d.Decode(&more) == nil {
			c.problem(&more, CodeYAML, "keep one document per file", "a second document begins here")
			return nil
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		line, msg := 1, strings.TrimPrefix(err.Error(), "yaml: ")
		if m := yamlLine.FindStringSubmatch(msg); m != nil {
			line, _ = strconv.Atoi(m[1])
			if msg = strings.Replace(msg, m[0], "", 1); strings.HasPrefix(msg, "did not find expected") {
				line++ // the parser counts lines from 0
			}
		}
		c.add(max(line, 1), 1, CodeYAML, "a path with brackets is quoted inside [ ] and { }: 'jobs[0].name'", "this is not YAML: %s", msg)
		return nil
	}
	if len(doc.Content) == 0 || doc.Content[0].Tag == "!!null" {
		c.add(1, 1, CodeMissing, "begin with `fields:`", "the file says nothing")
		return nil
	}
	if !c.plain(&doc) {
		return nil
	}
	return doc.Content[0]
}

// plain refuses anchors, aliases and merge keys.
func (c *compiler) plain(n *yaml.Node) bool {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		c.problem(n, CodeYAML, "write the value out", "anchors and aliases are not taken")
		return false
	}
	ok := true
	for _, x := range n.Content {
		ok = c.plain(x) && ok
	}
	return ok
}

// entry is a key of a mapping node with its value.
type entry struct {
	key   *yaml.Node
	value *yaml.Node
}

// entries reads a mapping node and reports keys that stand twice.
func (c *compiler) entries(n *yaml.Node, what string) []entry {
	if n.Kind != yaml.MappingNode {
		c.problem(n, CodeWrongForm, "write `key: value` lines", "%s must be a table, not %s", what, form(n))
		return nil
	}
	out := make([]entry, 0, len(n.Content)/2)
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if k.Kind != yaml.ScalarNode {
			c.problem(k, CodeWrongForm, "write a text", "a key must be a text, not %s", form(k))
			continue
		}
		if line, twice := lines[k.Value]; twice {
			c.problem(k, CodeDuplicateKey, "remove one of the two", "%s stands already in line %d", k.Value, line)
			continue
		}
		lines[k.Value] = k.Line
		out = append(out, entry{k, n.Content[i+1]})
	}
	return out
}

func form(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a table"
	case yaml.SequenceNode:
		return "a list"
	default:
		if n.Tag == "!!null" {
			return "nothing"
		}
		return "a single value"
	}
}

// texts reads a text or a list of texts.
func (c *compiler) texts(n *yaml.Node, what string) []*yaml.Node {
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	for _, x := range list {
		if x.Kind != yaml.ScalarNode || x.Tag == "!!null" {
			c.problem(x, CodeWrongForm, "write a text or a list of texts", "%s must be a text, not %s", what, form(x))
			return nil
		}
	}
	return list
}

var fileKeys = []string{"at", "custom", "effective", "empty", "extend", "fields"}

// file reads the whole file.
func (c *compiler) file(root *yaml.Node) {
	byKey := map[string]*yaml.Node{}
	for _, e := range c.entries(root, "a mapping file") {
		if !slices.Contains(fileKeys, e.key.Value) {
			c.problem(e.key, CodeUnknownKey, orElse(didYouMean(e.key.Value, fileKeys), "the keys are "+strings.Join(fileKeys, ", ")), "there is no key %s", e.key.Value)
			continue
		}
		if c.o.Direction == ToVendor && (e.key.Value == "at" || e.key.Value == "effective" || e.key.Value == "custom") {
			c.problem(e.key, CodeOperator, "remove it", "%s has no meaning in a mapping towards a vendor", e.key.Value)
			continue
		}
		byKey[e.key.Value] = e.value
	}
	base := c.extends(byKey["extend"])
	if n := byKey["at"]; n != nil {
		for _, t := range c.texts(n, "at") {
			if p, ok := c.path(t); ok {
				c.at = append(c.at, p)
			}
		}
	}
	if n := byKey["empty"]; n != nil {
		for _, t := range c.texts(n, "empty") {
			c.empty = append(c.empty, t.Value)
		}
	}
	c.customs(byKey["custom"], base)
	if n := byKey["effective"]; n != nil {
		f := employee.Field{Pattern: "effective", Kind: employee.Day}
		c.m.effective = &field{key: "effective", get: c.rule(n, "effective", &f)}
	} else if base != nil {
		c.m.effective = base.effective
	}
	n := byKey["fields"]
	if n == nil {
		if base == nil {
			c.problem(root, CodeMissing, "add `fields:`", "there are no fields")
		} else {
			c.m.rules = base.rules
		}
		return
	}
	c.fields(n, base)
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// extends is the shipped mapping that the file stands on: it does if there is
// one, unless it says `extend: none`.
func (c *compiler) extends(n *yaml.Node) *Mapping {
	if n == nil {
		return c.o.Base
	}
	switch {
	case n.Value == "none":
		return nil
	case n.Value == "shipped" && c.o.Base != nil:
		return c.o.Base
	case n.Value == "shipped":
		c.problem(n, CodeExtend, "remove it and write every field", "the connector ships no mapping in this direction")
	default:
		c.problem(n, CodeExtend, "write shipped or none", "extend takes shipped or none")
	}
	return c.o.Base
}

// customs reads the classes of custom fields that the file declares.
func (c *compiler) customs(n *yaml.Node, base *Mapping) {
	if base != nil {
		maps.Copy(c.m.custom, base.custom)
	}
	if n == nil {
		return
	}
	var classes []string
	for _, k := range employee.Classes {
		classes = append(classes, string(k))
	}
	for _, e := range c.entries(n, "custom") {
		if !slices.Contains(classes, e.value.Value) {
			c.problem(e.value, CodeBadValue, orElse(didYouMean(e.value.Value, classes), "the classes are "+strings.Join(classes, ", ")), "%s is no class of personal data", e.value.Value)
			continue
		}
		c.m.custom[e.key.Value] = employee.Class(e.value.Value)
	}
}

// declared tells whether a custom field has a class. Towards a vendor a nil
// table of classes means that they are checked elsewhere.
func (c *compiler) declared(pattern string) bool {
	name, custom := strings.CutPrefix(pattern, "custom.")
	if !custom {
		return true
	}
	_, here := c.m.custom[name]
	_, company := c.o.Custom[name]
	return here || company || c.o.Direction == ToVendor && c.o.Custom == nil
}

// fields compiles the rules and lays them over those of the base.
func (c *compiler) fields(n *yaml.Node, base *Mapping) {
	var own []*field
	dropped := map[string]*yaml.Node{}
	for _, e := range c.entries(n, "fields") {
		if e.value.Kind == yaml.ScalarNode && e.value.Value == "none" {
			dropped[c.resolved(e.key.Value)] = e.key
			continue
		}
		if f := c.field(e.key, e.value, ""); f != nil {
			own = append(own, f)
		}
	}
	c.conflicts(own)
	if base != nil {
		var kept []string
		for _, b := range base.rules {
			kept = append(kept, b.key)
			if _, drop := dropped[b.key]; drop {
				delete(dropped, b.key)
				continue
			}
			if i := slices.IndexFunc(own, func(f *field) bool { return f.key == b.key || below(b.key, f.key) }); i >= 0 {
				continue // replaced, alone or with everything below
			}
			if i := slices.IndexFunc(own, func(f *field) bool { return below(f.key, b.key) }); i >= 0 {
				c.add(own[i].line, own[i].column, CodeConflict, "override "+b.key+" as a whole", "%s lies within %s of the shipped mapping", own[i].key, b.key)
				continue
			}
			c.m.rules = append(c.m.rules, b)
		}
		for key, at := range dropped {
			c.problem(at, CodeExtend, didYouMean(key, kept), "the shipped mapping has no %s to drop", key)
		}
	} else {
		for key, at := range dropped {
			c.problem(at, CodeExtend, "remove the line", "there is no shipped mapping from which %s could be dropped", key)
		}
	}
	c.m.rules = append(c.m.rules, own...)
}

// below tells whether place a lies within place b.
func below(a, b string) bool {
	return len(a) > len(b) && strings.HasPrefix(a, b) && (a[len(b)] == '.' || a[len(b)] == '[')
}

// conflicts reports rules that write within each other's place.
func (c *compiler) conflicts(own []*field) {
	for _, a := range own {
		for _, b := range own {
			if below(a.key, b.key) {
				c.add(a.line, a.column, CodeConflict, "keep one of the two", "%s lies within %s, which has a rule of its own", a.key, b.key)
			}
		}
	}
}

// resolved is a key with $source replaced by the name of the account.
func (c *compiler) resolved(key string) string {
	name := c.o.Source
	if name == "" {
		name = "source"
	}
	return strings.ReplaceAll(key, "external.$source", "external."+name)
}
