// Package employee is the canonical person: fields, kinds, classes of personal
// data, and the paths by which mappings, authority and allow-lists name them.
//
// Two shapes of one person:
//
//	Tree   {"positions": [{"primary": true, "title": "Engineer"}]}   as it is stored and mapped
//	Flat   {"positions[primary].title": "Engineer"}                  as it is merged and compared
//
// In both absent means not said, null cleared, a value said. A pattern is a
// path without keys: `positions[].title`.
package employee

import (
	"reflect"
	"sort"
	"strings"
)

// Class is a class of personal data.
type Class string

// The classes. Every class but basic is sensitive and needs a purpose.
const (
	Basic       Class = "basic"
	Contact     Class = "contact"
	Demographic Class = "demographic"
	Identifier  Class = "identifier"
	Pay         Class = "pay"
	Benefit     Class = "benefit"
	Survey      Class = "survey"
)

// Classes lists them all.
var Classes = []Class{Basic, Contact, Demographic, Identifier, Pay, Benefit, Survey}

// Restricted tells whether a class is sealed in the restricted part.
func (c Class) Restricted() bool {
	return c == Identifier || c == Pay || c == Benefit || c == Survey
}

// Sensitive tells whether delivering it needs a purpose and a legal basis.
func (c Class) Sensitive() bool { return c != Basic }

// Kind is the form of a value.
type Kind string

// The kinds.
const (
	Text     Kind = "text"
	Day      Kind = "day"      // YYYY-MM-DD
	Instant  Kind = "instant"  // RFC 3339 UTC
	Decimal  Kind = "decimal"  // decimal text
	Currency Kind = "currency" // ISO 4217
	Country  Kind = "country"  // ISO 3166-1 alpha-2
	Bool     Kind = "bool"
	Enum     Kind = "enum"
	Manager  Kind = "manager" // our id, or an object that names a person
	Object   Kind = "object"
	List     Kind = "list"
	Any      Kind = "any" // scalar or list of scalars
)

// Field is one canonical field.
type Field struct {
	Pattern string // `positions[].title`
	Kind    Kind
	Class   Class
	Enum    []string
	Keyed   bool // the list merges by element, addressed as `phones[mobile]`
	Leaf    bool // merged and compared as one value
}

var (
	fields []Field
	byPath = map[string]Field{}
	common = map[string]leaf{} // leaves as nearly everybody has them
)

// leaf is what is known of one from the start.
type leaf struct {
	name    string
	pattern string
	class   Class
}

func init() {
	walk(reflect.TypeFor[Person](), "", Basic, true)
	sort.Slice(fields, func(i, j int) bool { return fields[i].Pattern < fields[j].Pattern })
	for _, f := range fields {
		common[f.Pattern] = leaf{f.Pattern, withoutKeys(f.Pattern), f.Class}
		if rest, ok := strings.CutPrefix(f.Pattern, "positions[]."); ok {
			name := "positions[primary]." + rest
			common[name] = leaf{name, withoutKeys(name), f.Class}
		}
	}
	delete(common, "phones[]") // these depend on the kind
	delete(common, "addresses[]")
	delete(common, "custom")
}

// Fields lists every canonical field, by pattern. The caller must not change it.
func Fields() []Field { return fields }

// Lookup finds a field by its pattern. `custom.<name>` and `external.<source>`
// are found whatever the name.
func Lookup(pattern string) (Field, bool) {
	if f, ok := byPath[pattern]; ok {
		return f, true
	}
	if name, ok := strings.CutPrefix(pattern, "custom."); ok && name != "" && !strings.ContainsAny(name, ".[") {
		return Field{Pattern: pattern, Kind: Any, Class: Basic, Leaf: true}, true
	}
	if name, ok := strings.CutPrefix(pattern, "external."); ok && name != "" && !strings.ContainsAny(name, ".[") {
		return Field{Pattern: pattern, Kind: List, Class: Basic, Leaf: true}, true
	}
	if i := strings.Index(pattern, "[].fields."); i > 0 { // free keys of a tax form
		return Field{Pattern: pattern, Kind: Any, Class: byPath[pattern[:i+2]].Class}, true
	}
	return Field{}, false
}

// walk collects the fields below t. leafs is false inside a list that is one
// value: its inner fields are known but not merged one by one.
func walk(t reflect.Type, at string, class Class, leafs bool) {
	for i := range t.NumField() {
		sf := t.Field(i)
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		path := name
		if at != "" {
			path = at + "." + name
		}
		c := class
		if v := sf.Tag.Get("class"); v != "" {
			c = Class(v)
		}
		ft := sf.Type
		if ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
		}
		f := Field{Pattern: path, Class: c, Kind: kindOf(sf, ft)}
		if e := sf.Tag.Get("enum"); e != "" {
			f.Enum = strings.Split(e, ",")
		}
		switch {
		case ft.Kind() == reflect.Struct:
			add(f)
			walk(ft, path, c, leafs)
		case ft.Kind() == reflect.Slice && ft.Elem().Kind() == reflect.Struct:
			f.Pattern += "[]"
			f.Keyed = sf.Tag.Get("key") != ""
			positions := sf.Tag.Get("key") == "position"
			f.Leaf = leafs && !positions
			add(f)
			walk(ft.Elem(), f.Pattern, c, leafs && positions)
		case name == "custom" || name == "external":
			add(f)
		default:
			f.Leaf = leafs
			add(f)
		}
	}
}

func add(f Field) {
	fields = append(fields, f)
	byPath[f.Pattern] = f
}

func kindOf(sf reflect.StructField, t reflect.Type) Kind {
	if k := sf.Tag.Get("kind"); k != "" {
		return Kind(k)
	}
	if sf.Tag.Get("enum") != "" {
		return Enum
	}
	switch t.Kind() {
	case reflect.Bool:
		return Bool
	case reflect.Slice:
		return List
	case reflect.Struct, reflect.Map:
		return Object
	case reflect.Interface:
		return Any
	default:
		return Text
	}
}
