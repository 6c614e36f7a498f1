package ldap

import (
	"strings"

	goldap "github.com/go-ldap/ldap/v3"
)

// parse reads the name of an entry (RFC 4514). "" is the root.
func parse(dn string) (*goldap.DN, error) { return goldap.ParseDN(dn) }

// sameDN compares names as a directory does: by their parts and without case.
// A server writes hex escapes where a client wrote a backslash before the sign.
func sameDN(a, b string) bool {
	x, err := parse(a)
	y, err2 := parse(b)
	return err == nil && err2 == nil && x.EqualFold(y)
}

// below tells whether a name is under a base, or is it.
func below(dn, base string) bool {
	x, err := parse(dn)
	y, err2 := parse(base)
	return err == nil && err2 == nil && (y.EqualFold(x) || y.AncestorOfFold(x))
}

// rdn writes an attribute and its value as the first part of a name.
func rdn(attribute, value string) string { return attribute + "=" + escape(value) }

// escape writes a value in a name (RFC 4514 section 2.4). What is not ASCII
// stays as it is.
func escape(value string) string {
	var b strings.Builder
	for i := range len(value) {
		c := value[i]
		switch {
		case c == 0:
			b.WriteString(`\00`)
			continue
		case c < ' ' || c == 0x7f: // allowed as they are, but no reader likes them
			const digits = "0123456789abcdef"
			b.Write([]byte{'\\', digits[c>>4], digits[c&15]})
			continue
		case strings.IndexByte(`,+"\<>;=`, c) >= 0,
			c == '#' && i == 0,
			c == ' ' && (i == 0 || i == len(value)-1):
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// split cuts a name into its first part and the rest, as they are written.
func split(dn string) (first, parent string) {
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

// naming gives the attribute and the value that an entry is named by; ok is
// false for a name of several attributes, which we do not change.
func naming(dn string) (attribute, value string, ok bool) {
	first, _ := split(dn)
	x, err := parse(first)
	if err != nil || len(x.RDNs) != 1 || len(x.RDNs[0].Attributes) != 1 {
		return "", "", false
	}
	a := x.RDNs[0].Attributes[0]
	return a.Type, a.Value, true
}

// clause is one comparison of a filter with its value escaped (RFC 4515).
func clause(attribute, value string) string {
	return "(" + attribute + "=" + goldap.EscapeFilter(value) + ")"
}
