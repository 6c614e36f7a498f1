package fake

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	goldap "github.com/go-ldap/ldap/v3"
)

// node is an entry.
type node struct {
	dn       string
	uuid     string
	csn      string
	password string
	values   []Attribute
}

// node makes an entry with an id of its own.
func (v *directory) node(dn string) *node {
	v.made++
	v.changes++
	return &node{
		dn: dn, uuid: fmt.Sprintf("%08x-0000-4000-8000-%012x", v.made, v.made*7919),
		csn: fmt.Sprintf("%s#%06d#000#000000", v.o.Time().Format("20060102150405.000000Z"), v.changes),
	}
}

func (n *node) clone() *node {
	c := *n
	c.values = make([]Attribute, len(n.values))
	for i, a := range n.values {
		c.values[i] = Attribute{a.Name, slices.Clone(a.Values)}
	}
	return &c
}

func (n *node) index(name string) int {
	return slices.IndexFunc(n.values, func(a Attribute) bool { return strings.EqualFold(a.Name, name) })
}

func (n *node) all(name string) []string {
	if i := n.index(name); i >= 0 {
		return n.values[i].Values
	}
	return nil
}

func (n *node) one(name string) string {
	if v := n.all(name); len(v) > 0 {
		return v[0]
	}
	return ""
}

// set replaces the values of an attribute; none removes it.
func (n *node) set(name string, values ...string) {
	i := n.index(name)
	switch {
	case len(values) == 0 && i >= 0:
		n.values = slices.Delete(n.values, i, i+1)
	case len(values) == 0:
	case i >= 0:
		n.values[i].Values = slices.Clone(values)
	default:
		n.values = append(n.values, Attribute{name, slices.Clone(values)})
	}
}

func (n *node) has(name, value string) bool {
	return slices.ContainsFunc(n.all(name), func(x string) bool { return matches(name, x, value) })
}

// person tells people from places and groups.
func (n *node) person() bool {
	return n.is("inetOrgPerson") || n.is("user") || n.is("person")
}

func (n *node) is(class string) bool {
	return slices.ContainsFunc(n.all("objectClass"), func(x string) bool { return inherits(x, class) })
}

// above are the object classes that one stands for.
var above = map[string]string{
	"inetorgperson": "organizationalperson", "user": "organizationalperson", "organizationalperson": "person",
}

func inherits(class, from string) bool {
	for c := strings.ToLower(class); c != ""; c = above[c] {
		if c == strings.ToLower(from) {
			return true
		}
	}
	return strings.EqualFold(from, "top")
}

// locked is the time of a lock that only an administrator takes away.
const locked = "000001010000Z"

// shut tells whether an account is shut.
func (v *directory) shut(n *node) bool {
	if v.ad {
		uac, _ := strconv.ParseInt(n.one("userAccountControl"), 10, 64)
		return uac&2 != 0
	}
	return n.one("pwdAccountLockedTime") == locked
}

// attributes that hold names of entries; they follow a rename.
var references = []string{"manager", "member", "secretary", "owner"}

func isReference(name string) bool {
	return slices.ContainsFunc(references, func(r string) bool { return strings.EqualFold(r, name) })
}

// matches compares values as directories do.
func matches(name, a, b string) bool {
	return strings.EqualFold(a, b) || isReference(name) && same(a, b)
}

// normal is a name in a form that can be compared.
func normal(dn string) (string, error) {
	x, err := goldap.ParseDN(dn)
	if err != nil {
		return "", err
	}
	return strings.ToLower(x.String()), nil
}

func same(a, b string) bool {
	x, err := normal(a)
	y, err2 := normal(b)
	return err == nil && err2 == nil && x == y
}

// cut parts a name into its first part and the rest.
func cut(dn string) (first, parent string) {
	for i := 0; i < len(dn); i++ {
		switch dn[i] {
		case '\\':
			i++
		case ',':
			return dn[:i], strings.TrimLeft(dn[i+1:], " ")
		}
	}
	return dn, ""
}
