package ldap

import (
	"bytes"
	"context"
	"encoding/hex"
	"strings"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	goldap "github.com/go-ldap/ldap/v3"
	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
)

// nasty are texts full of signs that mean something in a name or a filter.
func nasty() *rapid.Generator[string] {
	sign := rapid.OneOf(rapid.SampledFrom([]rune(" #,+\"\\<>;=*()\x00/|&!~:\n'żØ漢")), rapid.Rune())
	return rapid.StringOfN(sign, 1, 12, -1)
}

// TestNamesSurvive: a value is one value of one attribute of one part of a
// name, and reads back as it was.
func TestNamesSurvive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := nasty().Draw(t, "value")
		dn := rdn("uid", value) + ",ou=people,dc=example"
		x, err := parse(dn)
		if err != nil {
			t.Fatalf("%q: %v", dn, err)
		}
		if len(x.RDNs) != 3 || len(x.RDNs[0].Attributes) != 1 || x.RDNs[0].Attributes[0].Value != value {
			t.Fatalf("%q is read as %+v", dn, x.RDNs[0].Attributes)
		}
		first, parent := split(dn)
		if first != rdn("uid", value) || parent != "ou=people,dc=example" {
			t.Fatalf("%q is split into %q and %q", dn, first, parent)
		}
		attribute, got, ok := naming(dn)
		if !ok || attribute != "uid" || got != value {
			t.Fatalf("%q is named by %s=%q", dn, attribute, got)
		}
		if !sameDN(dn, "UID="+hexed(value)+",OU=People,dc=example") || !below(dn, "OU=people,DC=example") || below(dn, "ou=leavers,dc=example") {
			t.Fatalf("%q is not where it is", dn)
		}
	})
}

// hexed writes every byte as a hex pair, as a server may.
func hexed(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteString(`\` + hex.EncodeToString([]byte{s[i]}))
	}
	return b.String()
}

// TestFiltersSurvive: a value is compared as it is, whatever is in it.
func TestFiltersSurvive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := nasty().Draw(t, "value")
		p, err := goldap.CompileFilter("(&(objectClass=person)(|" + clause("mail", value) + "))")
		if err != nil {
			t.Fatalf("%q: %v", value, err)
		}
		or := p.Children[1]
		if len(p.Children) != 2 || or.Tag != goldap.FilterOr || len(or.Children) != 1 {
			t.Fatalf("%q changes the filter", value)
		}
		eq := or.Children[0]
		if eq.Tag != goldap.FilterEqualityMatch || len(eq.Children) != 2 || eq.Children[1].Data.String() != value {
			t.Fatalf("%q is compared as %v", value, eq.Children)
		}
	})
}

// TestPeopleOfAnyName are made, found, renamed and found again; only the one is.
func TestPeopleOfAnyName(t *testing.T) {
	w := faked(t, nil, &fake.Faults{}, nil)
	sink := w.sink(t, map[string]any{"login_taken": "fail"})
	if _, err := sink.Apply(t.Context(), connector.Delivery{ID: "other", Status: "active", Body: map[string]any{"attributes": person("other")}}, nil); err != nil {
		t.Fatal(err)
	}
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		name, later := nasty().Draw(rt, "name"), nasty().Draw(rt, "later")
		number := "E-" + hex.EncodeToString([]byte{byte(n >> 8), byte(n)})
		d := connector.Delivery{ID: number, Status: "active", Body: map[string]any{"attributes": map[string]any{"uid": name + number, "cn": name, "sn": "S", "employeeNumber": number}}}
		r, err := sink.Apply(t.Context(), d, nil)
		if err != nil {
			rt.Fatal(err)
		}
		found, err := sink.Find(context.Background(), d)
		if err != nil || len(found) != 1 || !found[0].Sure || found[0].Refs[refID] != r.Refs[refID] {
			rt.Fatalf("found %+v, %v", found, err)
		}
		d.Refs, d.Before = r.Refs, d.Body
		d.Body = map[string]any{"attributes": map[string]any{"uid": later + number, "cn": later, "sn": "S", "employeeNumber": number}}
		again, err := sink.Apply(t.Context(), d, nil)
		if err != nil || again.Refs[refID] != r.Refs[refID] {
			rt.Fatalf("renamed: %v, %v", again.Refs, err)
		}
		people, _ := w.state(t)
		if p := people[r.Refs[refID]]; p["uid"] != later+number || p["cn"] != later {
			rt.Fatalf("%q became %v", later, p)
		}
	})
	if people, _ := w.state(t); len(people) != n+1 {
		t.Errorf("%d people, want %d", len(people), n+1)
	}
}

// TestNamesInTheRealOne: the property against a real server, with the worst.
func TestNamesInTheRealOne(t *testing.T) {
	w := openLDAPWorld(t)
	sink := w.sink(t, nil)
	for i, name := range []string{" a", "b ", "#c", `d\`, `"`, "<>", ";;", "a=b", "*", "(uid=*)", "a,b", "a+uid=b", "ż", "a\tb", `\2c`, "  "} {
		attributes := person("p" + string(rune('a'+i)))
		attributes["uid"] = name
		l := begin(t, sink, "id", attributes)
		l.is("active", "hired")
		l.d.Refs = nil
		if r := l.is("active", "updated"); r.Outcome != "unchanged" && strings.TrimSpace(name) == name {
			t.Errorf("%q is not as it was sent: %v", name, r.Sent)
		}
		if e := w.Entry(t, "(mail="+attributes["mail"].(string)+")"); strings.TrimSpace(e.GetAttributeValue("uid")) != strings.TrimSpace(name) {
			t.Errorf("%q became %q", name, e.GetAttributeValue("uid"))
		}
	}
}

// FuzzPostRead: what a server says is read or refused, never believed to be
// more than it is.
func FuzzPostRead(f *testing.F) {
	entry := ber.Encode(ber.ClassApplication, ber.TypeConstructed, 4, nil, "")
	entry.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "uid=a,dc=example", ""))
	entry.AppendChild(ber.NewSequence(""))
	m := ber.NewSequence("")
	m.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, 7, ""))
	m.AppendChild(ber.Encode(ber.ClassApplication, ber.TypeConstructed, 9, nil, ""))
	list := ber.Encode(ber.ClassContext, ber.TypeConstructed, 0, nil, "")
	list.AppendChild(goldap.NewControlString(oidPostRead, false, string(entry.Bytes())).Encode())
	m.AppendChild(list)
	if e, ok := postRead(m.Bytes()); !ok || e.DN != "uid=a,dc=example" {
		f.Fatalf("%+v, %t", e, ok)
	}
	f.Add(m.Bytes())
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, ok := postRead(b)
		if ok && (e.DN == "" || !bytes.Contains(b, []byte(e.DN))) {
			t.Errorf("made up %q", e.DN)
		}
	})
}
