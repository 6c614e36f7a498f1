package ldap

import (
	"maps"
	"sync"
	"testing"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connector/sinktest"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/testkit/slapd"
)

// TestNameOfAnother: a number is put behind it, and stays.
func TestNameOfAnother(t *testing.T) {
	w := openLDAPWorld(t)
	sink := w.sink(t, nil)
	begin(t, sink, "id-1", person("jan")).is("active", "hired")
	second := begin(t, sink, "id-2", person("jan"))
	second.say(map[string]any{"employeeNumber": "E-2", "mail": "jan.2@brightfjord.example"}).is("active", "hired")
	third := begin(t, sink, "id-3", person("jan"))
	third.say(map[string]any{"employeeNumber": "E-3", "mail": "jan.3@brightfjord.example"}).is("active", "hired")
	if got := w.Entry(t, "(employeeNumber=E-3)"); got.GetAttributeValue("uid") != "jan3" || !sameDN(got.DN, third.d.Refs[refDN]) {
		t.Errorf("the third is %s", got.DN)
	}
	if r := second.say(map[string]any{"title": "T"}).is("active", "updated"); len(r.Sent) != 1 || r.Sent[0] != "attributes.title" {
		t.Errorf("sent %v", r.Sent)
	}
	if got := w.Entry(t, "(employeeNumber=E-2)").GetAttributeValue("uid"); got != "jan2" {
		t.Errorf("the second became %s", got)
	}
	// A rename to a name that somebody has gets a number too.
	other := begin(t, sink, "id-4", person("olga"))
	other.is("active", "hired")
	other.say(map[string]any{"uid": "jan"}).is("active", "updated")
	if got := w.Entry(t, "(employeeNumber=E-olga)").GetAttributeValue("uid"); got != "jan4" {
		t.Errorf("renamed to %s", got)
	}
	fails := begin(t, w.sink(t, map[string]any{"login_taken": "fail"}), "id-5", person("jan"))
	if f := fails.say(map[string]any{"employeeNumber": "E-5", "mail": "jan.5@brightfjord.example"}).fails("active"); f.Class != fault.Record || f.Reason != reasonExists {
		t.Errorf("%v", f)
	}
}

// TestCommonNameOfAnother: in Active Directory the name within a place must
// differ, the display name not.
func TestCommonNameOfAnother(t *testing.T) {
	w := faked(t, map[string]string{"dialect": "ad"}, &fake.Faults{}, nil)
	s, err := newTarget(w.adAccount())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct{ cn, login string }{{"Jan Novák", "jnovak"}, {"Jan Novák 2", "jnovak2"}} {
		n := string(rune('1' + i))
		l := begin(t, s, "id-"+n, map[string]any{"cn": "Jan Novák", "sn": "Novák", "displayName": "Jan Novák", "sAMAccountName": "jnovak", "employeeID": n, "mail": n + "@brightfjord.example"})
		r := l.is("active", "hired")
		people, _ := w.state(t)
		p := people[r.Refs[refID]]
		if p == nil || p["cn"] != want.cn || p["sAMAccountName"] != want.login || p["displayName"] != "Jan Novák" {
			t.Errorf("person %s is %v", n, p)
		}
	}
}

// TestAdoption: whose entry it is decides; an entry that says of nobody is for
// a person to decide, and nothing is touched.
func TestAdoption(t *testing.T) {
	for _, c := range []struct {
		name   string
		there  map[string][]string
		ours   map[string]any
		reason string // "" adopts
	}{
		{"the number is ours", map[string][]string{"uid": {"handmade"}, "employeeNumber": {"E-10417"}}, nil, ""},
		{"no number, our e-mail", map[string][]string{"uid": {"zofia"}, "mail": {"Zofia.Lukasik-Zak@Brightfjord.example"}}, nil, ""},
		{"no number, no e-mail, our login", map[string][]string{"uid": {"zofia"}}, nil, reasonExists},
		{"our id, another number", map[string][]string{"uid": {"x"}, "objectClass": {"inetOrgPerson", "hubPerson"}, "hubId": {"id-1"}, "employeeNumber": {"E-old"}}, nil, ""},
		{"another's id, our number", map[string][]string{"uid": {"x"}, "objectClass": {"inetOrgPerson", "hubPerson"}, "hubId": {"id-2"}, "employeeNumber": {"E-10417"}}, nil, reasonExists},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := openLDAPWorld(t)
			there := map[string][]string{"objectClass": {"inetOrgPerson"}, "cn": {"Somebody"}, "sn": {"Else"}}
			maps.Copy(there, c.there)
			add(t, w, "uid="+there["uid"][0]+",ou=people,"+w.Base, there)
			was := w.Entry(t, "(cn=Somebody)")
			l := begin(t, w.sink(t, map[string]any{"our_id_attribute": "hubId", "object_classes": []string{"inetOrgPerson", "hubPerson"}}), "id-1", with(c.ours))
			if c.reason != "" {
				if f := l.fails("active"); f.Class != fault.Record || f.Reason != c.reason {
					t.Errorf("%v, want %s", f, c.reason)
				}
				if now := w.Entry(t, "(cn=Somebody)"); now.GetAttributeValue("entryCSN") != was.GetAttributeValue("entryCSN") {
					t.Error("it was touched")
				}
				return
			}
			r := l.is("active", "hired")
			if r.Refs[refID] != was.GetAttributeValue("entryUUID") || len(w.Entries(t, "(objectClass=inetOrgPerson)")) != 1 {
				t.Errorf("refs %v", r.Refs)
			}
			if now := w.Entry(t, "(employeeNumber=E-10417)"); now.GetAttributeValue("uid") != "zofia" || now.GetAttributeValue("hubId") != "id-1" {
				t.Errorf("it is %s, ours is %q", now.DN, now.GetAttributeValue("hubId"))
			}
		})
	}
}

// TestTwoEntriesOfOnePerson are for somebody to decide.
func TestTwoEntriesOfOnePerson(t *testing.T) {
	w := real(t, slapd.Options{AD: true}, "ldaps", &fake.Faults{}, nil) // its numbers need not be unique
	for _, uid := range []string{"a", "b"} {
		add(t, w, "cn="+uid+",ou=people,"+w.Base, map[string][]string{"objectClass": {"user"}, "cn": {uid}, "sn": {uid}, "employeeID": {"E-10417"}})
	}
	attributes, _ := adBody(sinktest.Sample)["attributes"].(map[string]any)
	l := begin(t, w.sink(t, nil), "id-1", attributes)
	if f := l.fails("active"); f.Class != fault.Record || f.Reason != "ambiguous" {
		t.Errorf("%v", f)
	}
	found, err := l.sink.Find(t.Context(), l.d)
	if err != nil || len(found) != 2 || found[0].Sure || found[1].Sure {
		t.Errorf("found %+v, %v", found, err)
	}
}

// TestChangedMeanwhile: what somebody else writes between our look and our
// write is not lost, and a name that moved is found again.
func TestChangedMeanwhile(t *testing.T) {
	for name, c := range map[string]struct {
		strike string
		change map[string]any
		act    func(*testing.T, *world, string)
	}{
		"a change": {"MODIFY", map[string]any{"title": "New"}, func(t *testing.T, w *world, dn string) {
			q := goldap.NewModifyRequest(dn, nil)
			q.Replace("description", []string{"by somebody else"})
			if err := w.Root().Modify(q); err != nil {
				t.Error(err)
			}
		}},
		"a rename before a change": {"MODIFY", map[string]any{"title": "New"}, func(t *testing.T, w *world, dn string) {
			if err := w.Root().ModifyDN(goldap.NewModifyDNRequest(dn, "uid=else", true, "ou=payroll,ou=people,"+w.Base)); err != nil {
				t.Error(err)
			}
		}},
		"the same rename by somebody else": {"MODRDN", map[string]any{"uid": "sofia"}, func(t *testing.T, w *world, dn string) {
			if err := w.Root().ModifyDN(goldap.NewModifyDNRequest(dn, "uid=sofia", true, "")); err != nil {
				t.Error(err)
			}
		}},
		"a deletion": {"MODIFY", map[string]any{"title": "New"}, func(t *testing.T, w *world, dn string) {
			if err := w.Root().Del(goldap.NewDelRequest(dn, nil)); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var w *world
			var once sync.Once
			var dn string
			armed := false
			w = real(t, slapd.Options{}, "ldaps", &fake.Faults{}, func(method, _ string, _ []byte) {
				if armed && method == c.strike {
					once.Do(func() { c.act(t, w, dn) })
				}
			})
			l := begin(t, w.sink(t, nil), "id-1", with(nil))
			l.is("active", "hired")
			dn, armed = l.d.Refs[refDN], true
			l.say(c.change).is("active", "updated")
			for k, v := range c.change {
				if got := w.Entry(t, "(employeeNumber=E-10417)").GetAttributeValue(k); got != v {
					t.Errorf("%s is %q", k, got)
				}
			}
			if name == "a change" && w.Entry(t, "(employeeNumber=E-10417)").GetAttributeValue("description") == "" {
				t.Error("the other's change is lost")
			}
		})
	}
}

// TestLostAnswers of the calls after the first: the next attempt goes on where
// the last one stopped, by search alone.
func TestLostAnswers(t *testing.T) {
	w := openLDAPWorld(t)
	l := begin(t, w.sink(t, nil), "id-1", with(nil))
	l.is("active", "hired")
	for status, strikes := range map[string][]string{"terminated": {"MODIFY", "MODRDN"}} {
		for _, strike := range strikes {
			if err := w.faults.Add(fake.Fault{When: fake.AfterEffect, Times: 1, Match: fake.Match{Method: strike}}); err != nil {
				t.Fatal(err)
			}
			if f := l.fails(status); f.Class != fault.Transient {
				t.Errorf("%s: %v", strike, f)
			}
			w.faults.Clear()
		}
	}
	l.is("terminated", "terminated")
	if e := w.Entry(t, "(uid=zofia)"); !below(e.DN, "ou=leavers,"+w.Base) || e.GetAttributeValue("pwdAccountLockedTime") != locked {
		t.Errorf("left half done at %s", e.DN)
	}
}

var _ connector.Sink = (*sink)(nil)
