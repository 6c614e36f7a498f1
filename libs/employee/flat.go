package employee

import (
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"
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
	f := make(Flat, 32)
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
			flatten(f, path+"."+name, inner)
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
						f["positions["+k+"]."+name] = inner
						said++
					}
				}
				if said == 0 { // so that a position nothing else is known of is not lost
					f["positions["+k+"].id"] = elem["id"]
				}
				continue
			}
			f[path+"["+k+"]"] = elem
		}
	default:
		f[path] = v
	}
}

// Tree builds the tree again. Lists come in the order of their keys, with the
// primary position first.
func (f Flat) Tree() Tree {
	t := Tree{}
	lists := map[string]map[string]Tree{}
	for path, v := range f {
		if i := strings.IndexByte(path, '['); i > 0 {
			j := strings.LastIndexByte(path, ']')
			list, key := path[:i], path[i+1:j]
			if lists[list] == nil {
				lists[list] = map[string]Tree{}
			}
			if list != "positions" {
				if elem, ok := v.(Tree); ok {
					lists[list][key] = elem
				}
				continue
			}
			elem := lists[list][key]
			if elem == nil {
				elem = Tree{}
				lists[list][key] = elem
				if key == "primary" {
					elem["primary"] = true
				} else if !strings.HasPrefix(key, "#") {
					elem["id"] = key
				}
			}
			if v != nil || j+2 < len(path) {
				elem[path[j+2:]] = v
			}
			continue
		}
		put(t, path, v)
	}
	for list, elems := range lists {
		keys := make([]string, 0, len(elems))
		for k := range elems {
			keys = append(keys, k)
		}
		sort.Slice(keys, func(i, j int) bool {
			if (keys[i] == "primary") != (keys[j] == "primary") {
				return keys[i] == "primary"
			}
			return keys[i] < keys[j]
		})
		out := make([]any, len(keys))
		for i, k := range keys {
			out[i] = elems[k]
		}
		t[list] = out
	}
	return t
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
		return c
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

// AllowList is what one integration may send: paths, each covering everything
// below it. It remembers its answers, because the same few dozen leaves come
// again with every change. Safe for concurrent use.
type AllowList struct {
	entries []string
	known   *lru.Cache[string, bool]
}

// allowMemory bounds the answers kept: keys of positions come from vendors.
const allowMemory = 1024

// NewAllowList makes an allow-list of canonical paths.
func NewAllowList(entries []string) *AllowList {
	known, err := lru.New[string, bool](allowMemory)
	if err != nil {
		panic(err) // only a size below one is refused
	}
	return &AllowList{entries: entries, known: known}
}

// Has tells whether a leaf may be sent.
func (a *AllowList) Has(leaf string) bool {
	if yes, ok := a.known.Get(leaf); ok {
		return yes
	}
	yes := slices.ContainsFunc(a.entries, func(e string) bool { return Covers(e, leaf) })
	a.known.Add(leaf, yes)
	return yes
}

// Touches tells whether a changed pattern concerns a leaf that may be sent: it
// is covered, or something below it is.
func (a *AllowList) Touches(pattern string) bool {
	return a.Has(pattern) || slices.ContainsFunc(a.entries, func(e string) bool { return Covers(pattern, e) })
}

// Minimise keeps the leaves that may be sent.
func (a *AllowList) Minimise(f Flat) Flat {
	out := make(Flat, len(f))
	for leaf, v := range f {
		if a.Has(leaf) {
			out[leaf] = v
		}
	}
	return out
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
