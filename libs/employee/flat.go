package employee

import (
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Tree is a person, or a part of one, as JSON objects.
type Tree = map[string]any

// Flat is a person by leaf path: `name.given`, `positions[primary].title`,
// `phones[mobile]`, `national_ids[US/ssn]`, `external.bamboohr`. A leaf is what
// is merged as one value.
type Flat map[string]any

// keys of the lists that merge by element.
var listKeys = map[string]func(elem Tree, index int) string{
	"phones":       func(e Tree, i int) string { return text(e["kind"], i) },
	"addresses":    func(e Tree, i int) string { return text(e["kind"], i) },
	"national_ids": func(e Tree, i int) string { return text(e["country"], i) + "/" + text(e["kind"], i) },
	"positions":    positionKey,
}

// positionKey follows canonical.md: primary with primary, else by id. A single
// position that says neither is the primary one.
func positionKey(e Tree, i int) string {
	if p, _ := e["primary"].(bool); p {
		return "primary"
	}
	if id, _ := e["id"].(string); id != "" {
		return id
	}
	return text(nil, i)
}

func text(v any, i int) string {
	if s, ok := v.(string); ok && s != "" {
		return s
	}
	return "#" + strconv.Itoa(i)
}

// Flatten lists the leaves of t.
func Flatten(t Tree) Flat {
	f := make(Flat, 28) // what a map takes at half the cost of one more; most have fewer
	for name, v := range t {
		flatten(f, name, v)
	}
	return f
}

func flatten(f Flat, path string, v any) {
	switch v := v.(type) {
	case Tree:
		if field, ok := byPath[path]; ok && field.Leaf || len(v) == 0 {
			f[path] = v
			return
		}
		for name, inner := range v {
			flatten(f, leafName(path, ".", name), inner)
		}
	case []any:
		key, keyed := listKeys[path]
		if !keyed || len(v) == 0 {
			f[path] = v
			return
		}
		single := len(v) == 1
		for i, e := range v {
			elem, ok := e.(Tree)
			if !ok {
				continue
			}
			k := key(elem, i)
			if path == "positions" {
				if single && strings.HasPrefix(k, "#") {
					k = "primary"
				}
				said := 0
				for name, inner := range elem {
					if name != "primary" && (name != "id" || k == "primary") {
						f[leafName("positions[", k, "].", name)] = inner
						said++
					}
				}
				if said == 0 { // so that a position nothing else is known of is not lost
					f[leafName("positions[", k, "].id")] = elem["id"]
				}
				continue
			}
			f[leafName(path, "[", k, "]")] = elem
		}
	default:
		f[path] = v
	}
}

// leafName puts a path together. Those that nearly everybody has are not made anew.
func leafName(parts ...string) string {
	var room [64]byte
	name := room[:0]
	for _, p := range parts {
		name = append(name, p...)
	}
	if l, ok := common[string(name)]; ok {
		return l.name
	}
	return string(name)
}

// Tree builds the tree again. Lists come in the order of their keys, with the
// primary position first.
func (f Flat) Tree() Tree {
	var room [8]element // most have fewer
	elements := room[:0]
	t := make(Tree, min(2*len(f)/3, 14)) // about as many as there are at the top
	for path, v := range f {
		i := strings.IndexByte(path, '[')
		if i <= 0 {
			put(t, path, v)
			continue
		}
		j := strings.LastIndexByte(path, ']')
		list, key := path[:i], path[i+1:j]
		at := slices.IndexFunc(elements, func(e element) bool { return e.list == list && e.key == key })
		if at < 0 {
			at = len(elements)
			elements = append(elements, element{list: list, key: key})
		}
		e := &elements[at]
		if list != "positions" {
			if tree, ok := v.(Tree); ok {
				e.tree, e.said = tree, true
			}
			continue
		}
		if !e.said {
			e.tree, e.said = Tree{}, true
			if key == "primary" {
				e.tree["primary"] = true
			} else if !strings.HasPrefix(key, "#") {
				e.tree["id"] = key
			}
		}
		if v != nil || j+2 < len(path) {
			e.tree[path[j+2:]] = v
		}
	}
	slices.SortFunc(elements, element.compare)
	for len(elements) > 0 {
		n := 1
		for n < len(elements) && elements[n].list == elements[0].list {
			n++
		}
		out := make([]any, 0, n)
		for _, e := range elements[:n] {
			if e.said {
				out = append(out, e.tree)
			}
		}
		t[elements[0].list] = out
		elements = elements[n:]
	}
	return t
}

// element is one element of a list that merges by element.
type element struct {
	list, key string
	tree      Tree
	said      bool
}

func (e element) compare(o element) int {
	if e.list != o.list {
		return strings.Compare(e.list, o.list)
	}
	if (e.key == "primary") != (o.key == "primary") {
		if e.key == "primary" {
			return -1
		}
		return 1
	}
	return strings.Compare(e.key, o.key)
}

func put(t Tree, path string, v any) {
	for {
		head, rest, more := strings.Cut(path, ".")
		if !more {
			t[head] = v
			return
		}
		inner, ok := t[head].(Tree)
		if !ok {
			inner = Tree{}
			t[head] = inner
		}
		t, path = inner, rest
	}
}

// Pattern is a leaf path without its keys: `positions[].title`.
func Pattern(leaf string) string {
	if c, ok := common[leaf]; ok {
		return c.pattern
	}
	return withoutKeys(leaf)
}

func withoutKeys(leaf string) string {
	i := strings.IndexByte(leaf, '[')
	if i < 0 {
		return leaf
	}
	return leaf[:i+1] + leaf[strings.LastIndexByte(leaf, ']'):]
}

// CustomClasses are the declared classes of `custom.<name>`, by name.
type CustomClasses map[string]Class

// ClassOf is the class of a leaf, or of a path inside one. Numbers and
// addresses of kind work are basic; a custom field without a declaration is
// Contact, so that nothing undeclared counts as harmless.
func ClassOf(leaf string, custom CustomClasses) Class {
	if c, ok := common[leaf]; ok {
		return c.class
	}
	if leaf == "phones[work]" || leaf == "addresses[work]" || strings.HasPrefix(leaf, "phones[work].") || strings.HasPrefix(leaf, "addresses[work].") {
		return Basic
	}
	if name, ok := strings.CutPrefix(leaf, "custom."); ok {
		if c, ok := custom[name]; ok {
			return c
		}
		return Contact
	}
	for p := Pattern(leaf); p != ""; {
		if f, ok := Lookup(p); ok {
			return f.Class
		}
		i := strings.LastIndexByte(p, '.')
		if i < 0 {
			if !strings.HasSuffix(p, "[]") {
				if f, ok := byPath[p+"[]"]; ok {
					return f.Class
				}
			}
			break
		}
		p = p[:i]
	}
	return Contact
}

// Covers tells whether an allow-list or authority entry names leaf: the same
// path, or one above it. `name` covers `name.given`, `positions[]` and
// `positions` cover `positions[primary].title`, `phones[work]` covers only
// that element.
func Covers(entry, leaf string) bool {
	if covers(entry, leaf) || strings.TrimSuffix(entry, "[]") == leaf { // a list that is one value
		return true
	}
	p := Pattern(leaf)
	if p != leaf && covers(entry, p) {
		return true
	}
	return false
}

func covers(entry, path string) bool {
	if !strings.HasPrefix(path, entry) {
		return false
	}
	rest := path[len(entry):]
	return rest == "" || rest[0] == '.' || rest[0] == '['
}

// flat makes a map that is of its size from the start: one that grows costs twice.
func flat(leaves []said) Flat {
	f := make(Flat, len(leaves))
	for _, l := range leaves {
		f[l.leaf] = l.value
	}
	return f
}

// Split parts a flat person into what is sealed as basic and as restricted.
func Split(f Flat, custom CustomClasses) (basic, restricted Flat) {
	basic, restricted = make(Flat, len(f)), Flat{}
	for leaf, v := range f {
		if ClassOf(leaf, custom).Restricted() {
			restricted[leaf] = v
		} else {
			basic[leaf] = v
		}
	}
	return basic, restricted
}

// Changed lists the leaves that differ between two flat persons, sorted. A
// leaf that one has and the other has not differs, unless it is null.
func Changed(before, after Flat) []string {
	var out []string
	for leaf, v := range after {
		if !Equal(before[leaf], v) {
			out = append(out, leaf)
		}
	}
	for leaf, v := range before {
		if _, ok := after[leaf]; !ok && v != nil {
			out = append(out, leaf)
		}
	}
	sort.Strings(out)
	return out
}

// Patterns makes leaves public: without keys, each once, sorted.
func Patterns(leaves []string) []string {
	out := make([]string, 0, len(leaves))
	for _, l := range leaves {
		out = append(out, Pattern(l))
	}
	sort.Strings(out)
	return slices.Compact(out)
}

// Equal compares two values of a leaf.
func Equal(a, b any) bool {
	switch a := a.(type) {
	case nil:
		return b == nil
	case string:
		s, ok := b.(string)
		return ok && a == s
	case bool:
		s, ok := b.(bool)
		return ok && a == s
	}
	return reflect.DeepEqual(a, b)
}
