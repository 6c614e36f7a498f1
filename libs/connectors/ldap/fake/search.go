package fake

import (
	"bytes"
	"maps"
	"slices"
	"strconv"
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"
)

// sizeLimit is the most that a search gives, as with slapd's default of 500.
const sizeLimit = 500

// search answers a search request.
func (s *session) search(q *Request) ([][]byte, int, error) {
	var messages [][]byte
	a := Answer{}
	v := s.v
	add := func(n *node) bool {
		if q.SizeLimit > 0 && len(messages) >= int(q.SizeLimit) || len(messages) >= sizeLimit {
			a.Code = 4
			return false
		}
		messages = append(messages, message(q.ID, found(n.dn, v.selected(n, q.Wanted))).Bytes())
		return true
	}
	switch {
	case q.DN == "" && q.Scope == 0:
		add(v.root())
	case same(q.DN, subschema) && q.Scope == 0:
		add(v.schema())
	case !s.bound && v.ad:
		a = Answer{Code: 1, Text: "000004DC: LdapErr: DSID-0C090A71, comment: In order to perform this operation a successful bind must be completed on the connection., data 0, v3839"}
	case !s.bound:
		a = Answer{Code: 8, Text: "authentication required"}
	default:
		var base *node
		if base, a = v.get(q.DN); base == nil {
			break
		}
		at, _ := normal(base.dn)
		for _, key := range slices.Sorted(maps.Keys(v.entries)) {
			n := v.entries[key]
			if within(n, key, at, q.Scope) && v.holds(n, q.Filter, 0) && !add(n) {
				break
			}
		}
	}
	return append(messages, a.encode(q)), a.Code, nil
}

func within(n *node, key, base string, scope int64) bool {
	switch scope {
	case 0:
		return key == base
	case 1:
		_, parent := cut(n.dn)
		return same(parent, base)
	}
	return key == base || strings.HasSuffix(key, ","+base)
}

const subschema = "cn=Subschema"

// root tells what the server can (RFC 4512 section 5.1). Active Directory has
// neither of the two controls.
func (v *directory) root() *node {
	n := &node{}
	n.set("objectClass", "top")
	n.set("subschemaSubentry", subschema)
	n.set("supportedControl", "1.2.840.113556.1.4.319")
	if !v.ad {
		n.set("supportedControl", "1.2.840.113556.1.4.319", oidPostRead, oidAssertion)
	}
	return n
}

func (v *directory) schema() *node {
	n := &node{dn: subschema}
	n.set("objectClass", "subschema")
	n.set("attributeTypes", "( 1.3.6.1.4.1.42.2.27.8.1.17 NAME 'pwdAccountLockedTime' )")
	return n
}

// operational attributes are given only to who names them.
var operational = []string{"pwdAccountLockedTime", "subschemaSubentry", "supportedControl", "attributeTypes"}

// selected are the attributes that a reader asked for; none stands for all but
// the operational ones. Passwords are never given.
func (v *directory) selected(n *node, wanted []string) []Attribute {
	asks := func(name string) bool {
		return slices.ContainsFunc(wanted, func(w string) bool { return strings.EqualFold(w, name) })
	}
	var out []Attribute
	for _, a := range n.values {
		hidden := slices.ContainsFunc(operational, func(o string) bool { return strings.EqualFold(o, a.Name) })
		if asks(a.Name) || !hidden && (len(wanted) == 0 || asks("*")) {
			out = append(out, a)
		}
	}
	for _, a := range v.own(n) {
		if asks(a.Name) {
			out = append(out, a)
		}
	}
	return out
}

// own are the attributes that the server makes.
func (v *directory) own(n *node) []Attribute {
	if v.ad {
		return []Attribute{{"objectGUID", []string{guid(n.uuid)}}}
	}
	return []Attribute{{"entryUUID", []string{n.uuid}}, {"entryCSN", []string{n.csn}}}
}

// guid is the binary form of an id, the first three groups reversed.
func guid(uuid string) string {
	var b []byte
	h := strings.ReplaceAll(uuid, "-", "")
	for i := 0; i+1 < len(h); i += 2 {
		x, err := strconv.ParseUint(h[i:i+2], 16, 8)
		if err != nil {
			return ""
		}
		b = append(b, byte(x))
	}
	if len(b) == 16 {
		slices.Reverse(b[0:4])
		slices.Reverse(b[4:6])
		slices.Reverse(b[6:8])
	}
	return string(b)
}

func filterOf(b []byte) (*ber.Packet, bool) {
	p, err := ber.ReadPacket(bytes.NewReader(b))
	return p, err == nil
}

// listOf reads a SEQUENCE OF texts.
func listOf(b []byte) []string {
	p, err := ber.ReadPacket(bytes.NewReader(b))
	if err != nil {
		return nil
	}
	var out []string
	for _, c := range p.Children {
		out = append(out, text(c))
	}
	return out
}

// maxDepth bounds how deep a filter may be nested.
const maxDepth = 32

// holds evaluates a filter (RFC 4511 section 4.5.1.7). What is undefined does
// not hold.
func (v *directory) holds(n *node, f *ber.Packet, depth int) bool {
	if f == nil || depth > maxDepth {
		return false
	}
	c := f.Children
	switch f.Tag {
	case 0:
		return !slices.ContainsFunc(c, func(x *ber.Packet) bool { return !v.holds(n, x, depth+1) })
	case 1:
		return slices.ContainsFunc(c, func(x *ber.Packet) bool { return v.holds(n, x, depth+1) })
	case 2:
		return len(c) == 1 && !v.holds(n, c[0], depth+1)
	case 3, 8: // equal, approximately equal
		return len(c) == 2 && v.equals(n, text(c[0]), text(c[1]))
	case 4:
		return len(c) == 2 && slices.ContainsFunc(v.valuesOf(n, text(c[0])), func(x string) bool { return contains(x, c[1].Children) })
	case 5:
		return len(c) == 2 && slices.ContainsFunc(v.valuesOf(n, text(c[0])), func(x string) bool { return x >= text(c[1]) })
	case 6:
		return len(c) == 2 && slices.ContainsFunc(v.valuesOf(n, text(c[0])), func(x string) bool { return x <= text(c[1]) })
	case 7:
		return len(v.valuesOf(n, text(f))) > 0
	case 9:
		return v.bits(n, c)
	}
	return false
}

func (v *directory) equals(n *node, name, value string) bool {
	if strings.EqualFold(name, "objectClass") {
		return n.is(value)
	}
	return slices.ContainsFunc(v.valuesOf(n, name), func(x string) bool { return matches(name, x, value) })
}

func (v *directory) valuesOf(n *node, name string) []string {
	for _, a := range v.own(n) {
		if strings.EqualFold(a.Name, name) {
			return a.Values
		}
	}
	return n.all(name)
}

// contains matches a substring filter: parts from the front, anywhere, at the end.
func contains(x string, parts []*ber.Packet) bool {
	x = strings.ToLower(x)
	for _, p := range parts {
		want := strings.ToLower(text(p))
		i := strings.Index(x, want)
		switch {
		case p.Tag == 0 && i != 0, i < 0:
			return false
		case p.Tag == 2:
			return strings.HasSuffix(x, want)
		}
		x = x[i+len(want):]
	}
	return true
}

// bits is the matching rule 1.2.840.113556.1.4.803: all bits are set.
func (v *directory) bits(n *node, parts []*ber.Packet) bool {
	var rule, name, value string
	for _, p := range parts {
		switch p.Tag {
		case 1:
			rule = text(p)
		case 2:
			name = text(p)
		case 3:
			value = text(p)
		}
	}
	want, err := strconv.ParseInt(value, 10, 64)
	have, err2 := strconv.ParseInt(n.one(name), 10, 64)
	return rule == "1.2.840.113556.1.4.803" && err == nil && err2 == nil && have&want == want
}
