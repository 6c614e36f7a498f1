package scim

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// Schemas of a user (RFC 7643 sections 4.1 and 4.3).
const (
	schemaUser       = "urn:ietf:params:scim:schemas:core:2.0:User"
	schemaEnterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
)

// resource is a user as JSON. Names of attributes ignore case (RFC 7643
// section 2.1).
type resource map[string]any

func (u resource) text(name string) string {
	v, _ := member(u, name)
	s, _ := v.(string)
	return s
}

func (u resource) id() string { return u.text("id") }

// version is for If-Match.
func (u resource) version() string {
	m, _ := member(u, "meta")
	meta, _ := m.(map[string]any)
	return resource(meta).text("version")
}

// active tells whether the account is open; ok is false if it does not say.
func (u resource) active() (on, ok bool) {
	v, _ := member(u, "active")
	return truth(v)
}

// truth reads a JSON boolean, or the texts that some servers send instead.
func truth(v any) (on, ok bool) {
	switch v := v.(type) {
	case bool:
		return v, true
	case string:
		switch strings.ToLower(v) {
		case "true":
			return true, true
		case "false":
			return false, true
		}
	}
	return false, false
}

// member is a member of an object whatever its case; the exact name wins.
func member(m map[string]any, name string) (any, bool) {
	if v, ok := m[name]; ok {
		return v, true
	}
	for k, v := range m {
		if strings.EqualFold(k, name) {
			return v, true
		}
	}
	return nil, false
}

// put writes a member under the name that it has already; nil takes it out.
func put(m map[string]any, name string, v any) {
	if _, exact := m[name]; !exact {
		for k := range m {
			if strings.EqualFold(k, name) {
				name = k
				break
			}
		}
	}
	if v == nil {
		delete(m, name)
		return
	}
	m[name] = v
}

// place is where a value stands in a user.
type place struct {
	urn  string // of the extension; "" is the core
	attr string
	elem string // the type of an element of a list; "" is no element
	sub  string // of a complex attribute or an element
}

// path is how the body names it.
func (p place) path() string {
	s := p.attr
	if p.urn == schemaEnterprise {
		s = bodyEnterprise + "." + s
	} else if p.urn != "" {
		s = `"` + p.urn + `".` + s
	}
	if p.elem != "" {
		s += "[type=" + p.elem + "]"
	}
	if p.sub != "" {
		s += "." + p.sub
	}
	return s
}

// target is how a PATCH names it (RFC 7644 section 3.5.2).
func (p place) target() string {
	s := p.attr
	if p.urn != "" {
		s = p.urn + ":" + s
	}
	if p.elem != "" {
		s += "[type eq " + quote(p.elem) + "]"
	}
	if p.sub != "" {
		s += "." + p.sub
	}
	return s
}

// whole is the attribute that the place is in.
func (p place) whole() place { return place{urn: p.urn, attr: p.attr} }

// at gives the value at a place.
func (u resource) at(p place) any {
	m := map[string]any(u)
	if p.urn != "" {
		inner, _ := member(m, p.urn)
		m, _ = inner.(map[string]any)
	}
	v, _ := member(m, p.attr)
	if p.elem != "" {
		list, _ := v.([]any)
		v = nil
		if i := element(list, p.elem); i >= 0 {
			v = list[i]
		}
	}
	if p.sub != "" {
		m, _ := v.(map[string]any)
		v, _ = member(m, p.sub)
	}
	return v
}

// element is the index of the element of a type, the primary one if there are
// several; -1 if there is none.
func element(list []any, kind string) int {
	found := -1
	for i, e := range list {
		m, _ := e.(map[string]any)
		if !strings.EqualFold(resource(m).text("type"), kind) {
			continue
		}
		primary, _ := member(m, "primary")
		if on, _ := truth(primary); on {
			return i
		}
		if found < 0 {
			found = i
		}
	}
	return found
}

// set writes a value at a place, nil takes it out, and makes what is missing on
// the way. A primary element makes the others not primary.
func (u resource) set(p place, v any) {
	m := map[string]any(u)
	if p.urn != "" {
		m = inside(m, p.urn, v == nil)
	}
	if m == nil {
		return
	}
	if p.elem != "" {
		old, _ := member(m, p.attr)
		list, _ := old.([]any)
		put(m, p.attr, setElement(list, p, v))
		return
	}
	if p.sub != "" {
		outer, name := m, p.attr
		if m = inside(m, p.attr, v == nil); m == nil {
			return
		}
		put(m, p.sub, v)
		if len(m) == 0 {
			put(outer, name, nil)
		}
		return
	}
	put(m, p.attr, v)
}

// inside is the object at a member; it is made unless only should be looked.
func inside(m map[string]any, name string, look bool) map[string]any {
	v, _ := member(m, name)
	inner, ok := v.(map[string]any)
	if !ok && !look {
		inner = map[string]any{}
		put(m, name, inner)
	}
	return inner
}

func setElement(list []any, p place, v any) any {
	i := element(list, p.elem)
	switch {
	case i < 0 && v == nil:
	case v == nil && (p.sub == "" || p.sub == "value"):
		list = slices.Delete(list, i, i+1)
	case i < 0:
		list = append(list, map[string]any{"type": p.elem})
		i = len(list) - 1
		fallthrough
	default:
		m, _ := list[i].(map[string]any)
		put(m, p.sub, v)
		if on, _ := v.(bool); on && p.sub == "primary" {
			for j, e := range list {
				if other, _ := e.(map[string]any); j != i && other != nil {
					if primary, _ := member(other, "primary"); primary != nil {
						put(other, "primary", false)
					}
				}
			}
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list
}

// clone is a copy to the ground.
func (u resource) clone() resource {
	out, _ := copied(map[string]any(u)).(map[string]any)
	return out
}

func copied(v any) any {
	switch v := v.(type) {
	case map[string]any:
		v = maps.Clone(v)
		for k, x := range v {
			v[k] = copied(x)
		}
		return v
	case []any:
		v = slices.Clone(v)
		for i, x := range v {
			v[i] = copied(x)
		}
		return v
	}
	return v
}

// equal compares what is there with what is wanted. Login names and addresses
// ignore case (RFC 7643 section 4.1); servers store them as they like.
func equal(p place, have, want any) bool {
	if empty(have) || empty(want) {
		return empty(have) && empty(want)
	}
	a, ok := have.(string)
	b, both := want.(string)
	if ok && both {
		if p.urn == "" && (p.attr == "userName" || p.attr == "emails" && p.sub == "value") {
			return strings.EqualFold(a, b)
		}
		return a == b
	}
	if on, isBool := want.(bool); isBool {
		is, ok := truth(have)
		return ok && is == on
	}
	x, err1 := json.Marshal(have)
	y, err2 := json.Marshal(want)
	return err1 == nil && err2 == nil && string(x) == string(y)
}

func empty(v any) bool {
	list, isList := v.([]any)
	return v == nil || v == "" || isList && len(list) == 0
}
