package scim

import (
	"slices"
	"strings"

	"github.com/muster-hr/muster/libs/connector"
)

// bodyEnterprise is the short name of the enterprise extension in a body.
const bodyEnterprise = "enterprise"

// ours are written by the sink itself and refused in a mapping.
var ours = []string{"active", "externalId", "id", "meta", "schemas", "groups", "password"}

// leaf is one value and its place; a nil value is cleared.
type leaf struct {
	place
	value any
}

// leaves opens a body: values of attributes, of sub-attributes, and of elements
// of lists by their type. Lists of anything else are one value.
func leaves(body map[string]any) ([]leaf, error) {
	var out []leaf
	for name, v := range body {
		if slices.ContainsFunc(ours, func(o string) bool { return strings.EqualFold(o, name) }) {
			return nil, refuse("mapping", name, "this attribute is written by the connector: take it out of the mapping")
		}
		urn := ""
		switch {
		case strings.EqualFold(name, bodyEnterprise):
			urn = schemaEnterprise
		case strings.HasPrefix(strings.ToLower(name), "urn:"):
			urn = name
		}
		if urn == "" {
			out = append(out, values(place{attr: name}, v)...)
			continue
		}
		inner, _ := v.(map[string]any)
		for attr, x := range inner {
			out = append(out, values(place{urn: urn, attr: attr}, x)...)
		}
	}
	slices.SortFunc(out, func(a, b leaf) int { return strings.Compare(a.path(), b.path()) })
	return out, nil
}

// values opens one attribute.
func values(p place, v any) []leaf {
	var out []leaf
	switch v := v.(type) {
	case map[string]any:
		for sub, x := range v {
			p.sub = sub
			out = append(out, leaf{p, x})
		}
		return out
	case []any:
		if !typed(v) {
			break
		}
		for _, e := range v {
			m, _ := e.(map[string]any)
			p.elem = resource(m).text("type")
			if value, named := m["value"]; named && value == nil { // the whole element goes
				p.sub = "value"
				out = append(out, leaf{p, nil})
				continue
			}
			said := out
			meant := false // an element of which only the frame is there says nothing
			for sub, x := range m {
				if sub == "type" {
					continue
				}
				p.sub = sub
				said = append(said, leaf{p, x})
				meant = meant || sub != "primary"
			}
			if meant {
				out = said
			}
		}
		return out
	}
	return []leaf{{p, v}}
}

// typed tells whether the elements of a list are told apart by their type.
func typed(list []any) bool {
	var seen []string
	for _, e := range list {
		m, _ := e.(map[string]any)
		kind := strings.ToLower(resource(m).text("type"))
		if kind == "" || slices.Contains(seen, kind) {
			return false
		}
		seen = append(seen, kind)
	}
	return len(list) > 0
}

// wanted is what an account shall hold beside active.
type wanted struct {
	leaves     []leaf
	externalID string
	userName   string
	number     string
	before     []leaf // what was brought last
}

func (s *sink) want(d connector.Delivery) (wanted, error) {
	w := wanted{externalID: d.ID, number: d.Match.EmployeeNumber}
	var err error
	if w.leaves, err = leaves(d.Body); err != nil {
		return wanted{}, err
	}
	if w.before, err = leaves(d.Before); err != nil {
		w.before = nil // a mapping of old set something that this one may not
	}
	for _, l := range w.leaves {
		text, _ := l.value.(string)
		switch l.path() {
		case "userName":
			w.userName = text
		case bodyEnterprise + ".employeeNumber":
			w.number = text
		}
	}
	if w.userName == "" {
		if w.userName = d.Match.Username; w.userName == "" {
			w.userName = d.Match.WorkEmail
		}
	}
	if s.external == ourNumber {
		w.externalID = w.number
	}
	if w.externalID != "" {
		w.leaves = append(w.leaves, leaf{place{attr: "externalId"}, w.externalID})
	}
	return w, nil
}

// resource is a new user with all that is wanted.
func (w wanted) resource(active bool) resource {
	u := resource{}
	for _, l := range w.leaves {
		if !empty(l.value) {
			u.set(l.place, copied(l.value))
		}
	}
	u["active"] = active
	return u.withSchemas()
}

// withSchemas names the schemas that the attributes are of.
func (u resource) withSchemas() resource {
	list := []any{schemaUser}
	old, _ := member(u, "schemas")
	if names, ok := old.([]any); ok && len(names) > 0 {
		list = slices.Clone(names)
	}
	for name := range u {
		if strings.HasPrefix(strings.ToLower(name), "urn:") && !slices.ContainsFunc(list, func(x any) bool {
			s, _ := x.(string)
			return strings.EqualFold(s, name)
		}) {
			list = append(list, name)
		}
	}
	put(u, "schemas", list)
	return u
}

// diff is what an account lacks of the wanted. Paths in kept are left alone
// while we want what we wanted before: the server did not keep that as it was
// sent.
func (w wanted) diff(u resource, kept []string) []leaf {
	var out []leaf
	for _, l := range w.leaves {
		if equal(l.place, u.at(l.place), l.value) || slices.Contains(kept, l.path()) && w.said(l) {
			continue
		}
		if l.attr == "userName" && empty(l.value) {
			continue // an account cannot be without one
		}
		out = append(out, l)
	}
	return out
}

// said tells whether the same value was sent before. externalId is not in a
// body and never changes once it is set.
func (w wanted) said(l leaf) bool {
	if l.attr == "externalId" && l.urn == "" {
		return true
	}
	return slices.ContainsFunc(w.before, func(b leaf) bool { return b.place == l.place && equal(b.place, b.value, l.value) })
}

func paths(ls []leaf) []string {
	out := []string{}
	for _, l := range ls {
		if l.attr == "active" || l.attr == "externalId" {
			continue // not of the body
		}
		out = append(out, l.path())
	}
	return out
}
