package fake

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/muster-hr/muster/libs/connector/fake"
)

// Controls that this directory knows (RFC 4527, RFC 4528).
const (
	oidPostRead  = "1.3.6.1.1.13.2"
	oidAssertion = "1.3.6.1.1.12"
)

// get finds an entry, or says how far its name exists.
func (v *directory) get(dn string) (*node, Answer) {
	key, err := normal(dn)
	if err != nil {
		return nil, Answer{Code: 34, Text: "invalid DN"}
	}
	if n := v.entries[key]; n != nil {
		return n, Answer{}
	}
	a := Answer{Code: 32}
	for up := dn; up != ""; {
		_, up = cut(up)
		if key, err := normal(up); err == nil && v.entries[key] != nil {
			a.Matched = v.entries[key].dn
			break
		}
	}
	return nil, a
}

// unique are attributes that no two people share.
func (v *directory) unique() []string {
	if v.ad {
		return []string{"sAMAccountName", "userPrincipalName"}
	}
	return []string{"uid", "employeeNumber", "mail"}
}

// check judges an entry as it would be after a write.
func (v *directory) check(n, self *node) Answer {
	for _, a := range n.values {
		for i, x := range a.Values {
			if x == "" {
				return Answer{Code: 21, Text: fmt.Sprintf("%s: value #%d invalid per syntax", a.Name, i)}
			}
		}
	}
	if !n.person() {
		return Answer{}
	}
	for _, must := range []string{"cn", "sn"} {
		if n.one(must) == "" && !v.ad {
			return Answer{Code: 65, Text: fmt.Sprintf("object class 'inetOrgPerson' requires attribute '%s'", must)}
		}
	}
	for _, name := range v.unique() {
		for _, x := range n.all(name) {
			for _, other := range v.entries {
				if other == self || !other.person() || !other.has(name, x) {
					continue
				}
				if v.ad {
					return Answer{Code: 68, Text: "00000524: UpdErr: DSID-031A11E2, problem 6005 (ENTRY_EXISTS), data 0"}
				}
				return Answer{Code: 19, Text: "non-unique attributes found with (|(" + name + "=" + x + "))"}
			}
		}
	}
	if m := n.one("manager"); m != "" && v.o.Settings["manager_must_exist"] == "yes" {
		if key, err := normal(m); err != nil || v.entries[key] == nil {
			return Answer{Code: 19, Text: "0000208D: NameErr: DSID-03100245, problem 2001 (NO_OBJECT), data 0"}
		}
	}
	if v.ad && !v.shut(n) && n.password == "" {
		return Answer{Code: 53, Text: "0000052D: SvcErr: DSID-031A12D2, problem 5003 (WILL_NOT_PERFORM), data 0"}
	}
	return Answer{}
}

func (v *directory) add(q *Request) Answer {
	key, err := normal(q.DN)
	if err != nil || key == "" {
		return Answer{Code: 34, Text: "invalid DN"}
	}
	if v.entries[key] != nil {
		return Answer{Code: 68}
	}
	_, parent := cut(q.DN)
	if _, a := v.get(parent); a.Code != 0 {
		return a
	}
	n := v.node(q.DN)
	for _, a := range q.Attributes {
		if len(a.Values) == 0 {
			return Answer{Code: 2, Text: "no values for attribute type"}
		}
		if a.Name == "userPassword" || a.Name == "unicodePwd" {
			if v.ad {
				return Answer{Code: 53, Text: "0000052D: SvcErr: DSID-031A12D2, problem 5003 (WILL_NOT_PERFORM), data 0"}
			}
			n.password = a.Values[0]
			continue
		}
		n.set(a.Name, a.Values...)
	}
	first, _ := cut(q.DN)
	if name, value, ok := firstOf(first); ok && !n.has(name, value) {
		n.set(name, append(slices.Clone(n.all(name)), value)...)
	}
	if a := v.check(n, nil); a.Code != 0 {
		return a
	}
	v.entries[key] = n
	v.wrote(n, fake.Create, shown(q.Attributes))
	return v.done(q, n)
}

// firstOf reads the first part of a name.
func firstOf(rdn string) (name, value string, ok bool) {
	x, err := goldap.ParseDN(rdn)
	if err != nil || len(x.RDNs) != 1 || len(x.RDNs[0].Attributes) == 0 {
		return "", "", false
	}
	a := x.RDNs[0].Attributes[0]
	return a.Type, a.Value, true
}

func (v *directory) modify(q *Request) Answer {
	old, a := v.get(q.DN)
	if old == nil {
		return a
	}
	n := old.clone()
	for _, c := range q.Changes {
		if a := v.change(n, c); a.Code != 0 {
			return a
		}
	}
	first, _ := cut(n.dn)
	if name, value, ok := firstOf(first); ok && !n.has(name, value) {
		return Answer{Code: 64, Text: fmt.Sprintf("value of naming attribute '%s' is not present in entry", name)}
	}
	if a := v.check(n, old); a.Code != 0 {
		return a
	}
	op := fake.Update
	switch was, is := v.shut(old), v.shut(n); {
	case was && !is:
		op = fake.Enable
	case !was && is:
		op = fake.Disable
	}
	*old = *n
	body := map[string]any{}
	for _, c := range q.Changes {
		for k, x := range shown([]Attribute{c.Attribute}) {
			body[k] = x
		}
	}
	v.wrote(old, op, body)
	return v.done(q, old)
}

func (v *directory) change(n *node, c Change) Answer {
	if isPassword(c.Name) {
		if len(c.Values) != 1 {
			return Answer{Code: 19, Text: "Password policy only allows one password value"}
		}
		n.password = c.Values[0]
		n.set("pwdAccountLockedTime") // a reset of the password lifts a lock
		return Answer{}
	}
	have := slices.Clone(n.all(c.Name))
	switch c.Kind {
	case 2:
		n.set(c.Name, c.Values...)
	case 0:
		for _, x := range c.Values {
			if n.has(c.Name, x) {
				return Answer{Code: 20, Text: fmt.Sprintf("modify/add: %s: value #0 already exists", c.Name)}
			}
		}
		n.set(c.Name, append(have, c.Values...)...)
	case 1:
		left := slices.DeleteFunc(have, func(x string) bool {
			return len(c.Values) == 0 || slices.ContainsFunc(c.Values, func(y string) bool { return matches(c.Name, x, y) })
		})
		if len(left) == len(n.all(c.Name)) {
			return Answer{Code: 16, Text: fmt.Sprintf("modify/delete: %s: no such attribute", c.Name)}
		}
		if len(left) == 0 && n.is("groupOfNames") && strings.EqualFold(c.Name, "member") {
			return Answer{Code: 65, Text: "object class 'groupOfNames' requires attribute 'member'"}
		}
		n.set(c.Name, left...)
	}
	return Answer{}
}

func isPassword(name string) bool {
	return strings.EqualFold(name, "userPassword") || strings.EqualFold(name, "unicodePwd")
}

func (v *directory) rename(q *Request) Answer {
	n, a := v.get(q.DN)
	if name, value, ok := firstOf(q.NewRDN); ok && !v.ad { // the overlay unique looks first, even for an entry that is not there
		if a := v.check(&node{values: []Attribute{{"objectClass", []string{"inetOrgPerson"}}, {"cn", []string{"-"}}, {"sn", []string{"-"}}, {name, []string{value}}}}, n); a.Code == 19 {
			return a
		}
	}
	if n == nil {
		return a
	}
	_, parent := cut(n.dn)
	if q.NewSuperior != "" {
		if _, a := v.get(q.NewSuperior); a.Code != 0 {
			return Answer{Code: a.Code, Matched: a.Matched, Text: "new superior not found"}
		}
		parent = q.NewSuperior
	}
	name, value, ok := firstOf(q.NewRDN)
	key, err := normal(q.NewRDN + "," + parent)
	if !ok || err != nil {
		return Answer{Code: 34, Text: "invalid new RDN"}
	}
	if other := v.entries[key]; other != nil && other != n {
		return Answer{Code: 68}
	}
	next := n.clone()
	first, _ := cut(n.dn)
	if oldName, oldValue, ok := firstOf(first); ok && q.DeleteOld {
		next.set(oldName, slices.DeleteFunc(slices.Clone(next.all(oldName)), func(x string) bool { return strings.EqualFold(x, oldValue) })...)
	}
	if !next.has(name, value) {
		next.set(name, append(slices.Clone(next.all(name)), value)...)
	}
	next.dn = q.NewRDN + "," + parent
	if a := v.check(next, n); a.Code != 0 {
		return a
	}
	was, _ := normal(n.dn)
	before := n.dn
	delete(v.entries, was)
	*n = *next
	v.entries[key] = n
	for _, other := range v.entries { // as the overlay refint does, and Active Directory
		for i, a := range other.values {
			for j, x := range a.Values {
				if isReference(a.Name) && same(x, before) {
					other.values[i].Values[j] = n.dn
				}
			}
		}
		if other.person() && other != n {
			v.log.Put(other.uuid, v.show(other))
		}
	}
	v.wrote(n, fake.Update, map[string]any{"dn": n.dn})
	return v.done(q, n)
}

func (v *directory) remove(q *Request) Answer {
	n, a := v.get(q.DN)
	if n == nil {
		return a
	}
	key, _ := normal(n.dn)
	delete(v.entries, key)
	v.wrote(n, fake.Delete, nil)
	v.log.Put(n.uuid, nil)
	return Answer{}
}

// asserted refuses a write whose entry is not as it was read.
func (v *directory) asserted(q *Request) Answer {
	for _, c := range q.Controls {
		if c.OID != oidAssertion {
			continue
		}
		n, a := v.get(q.DN)
		if n == nil {
			return a
		}
		f, ok := filterOf(c.Value)
		if !ok || !v.holds(n, f, 0) {
			return Answer{Code: 122}
		}
	}
	return Answer{}
}

// done is a success, with the entry as it is now where that was asked for.
func (v *directory) done(q *Request, n *node) Answer {
	for _, c := range q.Controls {
		if c.OID == oidPostRead {
			value := found(n.dn, v.selected(n, listOf(c.Value))).Bytes()
			return Answer{Controls: []Control{{OID: oidPostRead, Value: value}}}
		}
	}
	return Answer{}
}

// shown are attributes as the log of writes keeps them: no passwords.
func shown(attributes []Attribute) map[string]any {
	out := map[string]any{}
	for _, a := range attributes {
		switch {
		case isPassword(a.Name):
			out[a.Name] = "(a password)"
		case len(a.Values) == 0:
			out[a.Name] = nil
		case len(a.Values) == 1:
			out[a.Name] = a.Values[0]
		default:
			out[a.Name] = strconv.Itoa(len(a.Values)) + " values"
		}
	}
	return out
}
