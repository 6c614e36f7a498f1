package ldap

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"strings"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connector/sinktest"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/testkit/slapd"
)

// life is one person's way through a directory.
type life struct {
	t    *testing.T
	sink connector.Sink
	d    connector.Delivery
}

func begin(t *testing.T, s connector.Sink, id string, attributes map[string]any) *life {
	return &life{t, s, connector.Delivery{ID: id, Event: "e", Body: map[string]any{"attributes": attributes}}}
}

// with are attributes laid over those of zofia.
func with(over map[string]any) map[string]any {
	out, _ := body(sinktest.Sample)["attributes"].(map[string]any)
	out["uid"] = "zofia"
	maps.Copy(out, over)
	return out
}

// person has nothing in common with another one.
func person(name string) map[string]any {
	return map[string]any{"uid": name, "cn": name, "sn": name, "mail": name + "@brightfjord.example", "employeeNumber": "E-" + name}
}

// say changes attributes; nil clears.
func (l *life) say(attributes map[string]any) *life {
	was, _ := l.d.Body["attributes"].(map[string]any)
	now := maps.Clone(was)
	maps.Copy(now, attributes)
	l.d.Before, l.d.Body = l.d.Body, map[string]any{"attributes": now, "parent": l.d.Body["parent"]}
	return l
}

// is brings the person to a status.
func (l *life) is(status, event string) connector.Receipt {
	l.t.Helper()
	l.d.Status, l.d.Type = status, "hr.employee."+event+".v1"
	r, err := l.sink.Apply(l.t.Context(), l.d, nil)
	if err != nil {
		l.t.Fatalf("%s: %v", event, err)
	}
	l.d.Refs = r.Refs
	l.d.Before = l.d.Body
	return r
}

// fails brings the error of what must fail.
func (l *life) fails(status string) *fault.Error {
	l.t.Helper()
	l.d.Status = status
	_, err := l.sink.Apply(l.t.Context(), l.d, nil)
	if err == nil {
		l.t.Fatal("no error")
	}
	return fault.Of(err)
}

// setPassword is what a help desk does.
func setPassword(t *testing.T, w *world, dn, password string) {
	t.Helper()
	q := goldap.NewModifyRequest(dn, nil)
	q.Replace("userPassword", []string{password})
	if err := w.Root().Modify(q); err != nil {
		t.Fatal(err)
	}
}

func add(t *testing.T, w *world, dn string, attributes map[string][]string) {
	t.Helper()
	q := goldap.NewAddRequest(dn, nil)
	for k, v := range attributes {
		q.Attribute(k, v)
	}
	if err := w.Root().Add(q); err != nil {
		t.Fatal(err)
	}
}

func shutOut(err error) bool {
	return goldap.IsErrorWithCode(err, goldap.LDAPResultInvalidCredentials)
}

// TestLifeInOpenLDAP: who has not begun and who has left cannot log in, by the
// word of the real server; names, places and groups follow.
func TestLifeInOpenLDAP(t *testing.T) {
	w := openLDAPWorld(t)
	sink := w.sink(t, nil)
	zofia := begin(t, sink, "id-1", with(nil))
	zofia.is("pre_hire", "preboarded")
	id := zofia.d.Refs[refID]
	e := w.Entry(t, "(uid=zofia)")
	if e.GetAttributeValue("entryUUID") != id || e.GetAttributeValue("pwdAccountLockedTime") != locked || e.GetAttributeValue("userPassword") != "" {
		t.Fatalf("before the first day: %v, refs %v", e.Attributes, zofia.d.Refs)
	}
	zofia.is("active", "hired")
	setPassword(t, w, e.DN, "first-day")
	if err := w.Login(e.DN, "first-day"); err != nil {
		t.Errorf("on the first day: %v", err)
	}

	// Mover: the name, with every sign that has a meaning in one, and the place.
	const nasty = `#Kowalska, Zofia + "Z" <x>;=\ ` + "ż"
	zofia.d.Body["parent"] = "ou=payroll,ou=people," + w.Base
	zofia.say(map[string]any{"uid": nasty, "title": "Head", "telephoneNumber": "+47 1", "departmentNumber": nil}).is("active", "updated")
	e = w.Entry(t, "(title=Head)")
	if e.GetAttributeValue("entryUUID") != id || e.GetAttributeValue("uid") != nasty || len(e.GetAttributeValues("uid")) != 1 {
		t.Errorf("renamed: %q of %s", e.GetAttributeValues("uid"), e.GetAttributeValue("entryUUID"))
	}
	if !below(e.DN, "ou=payroll,ou=people,"+w.Base) || !sameDN(zofia.d.Refs[refDN], e.DN) {
		t.Errorf("moved to %s, remembered %s", e.DN, zofia.d.Refs[refDN])
	}
	zofia.say(map[string]any{"uid": "zofia.kowalska", "telephoneNumber": nil}).is("active", "updated")
	if e = w.Entry(t, "(uid=zofia.kowalska)"); e.GetAttributeValue("telephoneNumber") != "" {
		t.Error("what was cleared is still there")
	}
	if err := w.Login(e.DN, "first-day"); err != nil {
		t.Errorf("after the rename: %v", err)
	}

	add(t, w, "cn=payroll,ou=groups,"+w.Base, map[string][]string{"objectClass": {"groupOfNames"}, "cn": {"payroll"}, "member": {e.DN, w.BindDN}})
	zofia.is("terminated", "terminated")
	e = w.Entry(t, "(uid=zofia.kowalska)")
	if !below(e.DN, "ou=leavers,"+w.Base) || e.GetAttributeValue("pwdAccountLockedTime") != locked {
		t.Errorf("who left is at %s, locked %q", e.DN, e.GetAttributeValue("pwdAccountLockedTime"))
	}
	if members := w.Entry(t, "(cn=payroll)").GetAttributeValues("member"); len(members) != 1 || members[0] != w.BindDN {
		t.Errorf("members of the group: %v", members)
	}
	if err := w.Login(e.DN, "first-day"); !shutOut(err) {
		t.Errorf("who left logs in: %v", err)
	}
	if r := zofia.is("terminated", "updated"); r.Outcome != "unchanged" {
		t.Errorf("once more: %q", r.Outcome)
	}

	// A help desk that resets a leaver's password lifts the lock; the next
	// delivery shuts it again, with a password that nobody knows.
	setPassword(t, w, e.DN, "help")
	if err := w.Login(e.DN, "help"); err != nil {
		t.Fatalf("the server has changed: a reset does not lift the lock: %v", err)
	}
	zofia.is("terminated", "updated")
	if err := w.Login(e.DN, "help"); !shutOut(err) {
		t.Errorf("after a reset who left logs in: %v", err)
	}

	zofia.d.Refs, zofia.d.Body["parent"] = nil, nil
	zofia.say(map[string]any{"title": "Back"}).is("active", "rehired")
	e = w.Entry(t, "(title=Back)")
	if e.GetAttributeValue("entryUUID") != id || !sameDN(e.DN, "uid=zofia.kowalska,ou=people,"+w.Base) || e.GetAttributeValue("pwdAccountLockedTime") != "" {
		t.Errorf("who came back: %s at %s, locked %q", e.GetAttributeValue("entryUUID"), e.DN, e.GetAttributeValue("pwdAccountLockedTime"))
	}
	if err := w.Login(e.DN, "help"); !shutOut(err) {
		t.Errorf("the old password opens the account again: %v", err)
	}
}

// TestLifeInActiveDirectory: one bit is set and cleared, the others stay; a
// login name stays for life; who begins gets a password first.
func TestLifeInActiveDirectory(t *testing.T) {
	for name, open := range map[string]func(*testing.T) *world{
		"OpenLDAP as Active Directory": func(t *testing.T) *world {
			return real(t, slapd.Options{AD: true, NoPolicy: true}, "ldaps", &fake.Faults{}, nil)
		},
		"fake": func(t *testing.T) *world { return faked(t, map[string]string{"dialect": "ad"}, &fake.Faults{}, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t)
			s, err := newTarget(w.adAccount())
			if err != nil {
				t.Fatal(err)
			}
			attributes, _ := adBody(sinktest.Sample)["attributes"].(map[string]any)
			zofia := begin(t, s, "id-1", attributes)
			look := func(what string, uac, parent string) *entry {
				t.Helper()
				c, err := s.pool.get(t.Context(), false)
				if err != nil {
					t.Fatal(err)
				}
				defer s.pool.put(c)
				e, err := c.at(t.Context(), zofia.d.Refs[refDN], s.attributes(wanted{}))
				if err != nil || e == nil {
					t.Fatalf("%s: nobody at %s: %v", what, zofia.d.Refs[refDN], err)
				}
				if e.one("userAccountControl") != uac || !below(e.dn, parent+","+s.base) || e.one("sAMAccountName") != "zlukasikzak" {
					t.Errorf("%s: %s, control %s, login %s", what, e.dn, e.one("userAccountControl"), e.one("sAMAccountName"))
				}
				return e
			}
			zofia.is("pre_hire", "preboarded")
			id := zofia.d.Refs[refID]
			if len(id) != 36 || strings.Count(id, "-") != 4 {
				t.Errorf("the id is %q", id)
			}
			look("before the first day", "514", "ou=people")
			zofia.is("active", "hired")
			e := look("on the first day", "512", "ou=people")
			c, err := s.pool.get(t.Context(), false)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.replace(t.Context(), e, nil, change{"userAccountControl", []string{"66048"}}); err != nil { // never expires
				t.Fatal(err)
			}
			s.pool.put(c)
			zofia.say(map[string]any{"cn": "Zofia Żak, née #1", "sn": "Żak", "sAMAccountName": "zzak"}).is("active", "updated")
			look("renamed", "66048", "ou=people")
			zofia.is("terminated", "terminated")
			look("who left", "66050", "ou=leavers")
			zofia.d.Refs = nil
			zofia.is("pre_hire", "rehired")
			look("comes back", "66050", "ou=people")
			zofia.is("active", "updated")
			look("is back", "66048", "ou=people")
			if zofia.d.Refs[refID] != id {
				t.Errorf("another entry: %s, was %s", zofia.d.Refs[refID], id)
			}
		})
	}
}

// TestShutByHand: an account that somebody shut after an incident is not opened
// by a change that has nothing to do with it, only when access begins again;
// and one that is made anew is open.
func TestShutByHand(t *testing.T) {
	for dialect, shut := range map[string]change{
		"openldap": {"pwdAccountLockedTime", []string{locked}},
		"ad":       {"userAccountControl", []string{"514"}},
	} {
		t.Run(dialect, func(t *testing.T) {
			w := faked(t, map[string]string{"dialect": dialect}, &fake.Faults{}, nil)
			a := w.account()
			a.Settings["dialect"] = dialect
			s, err := newTarget(a)
			if err != nil {
				t.Fatal(err)
			}
			attributes := person("zofia")
			if dialect == "ad" {
				attributes, _ = adBody(sinktest.Sample)["attributes"].(map[string]any)
			}
			zofia := begin(t, s, "id-1", attributes)
			by := func(do func(*conn, *entry)) {
				t.Helper()
				c, err := s.pool.get(t.Context(), false)
				if err != nil {
					t.Fatal(err)
				}
				defer s.pool.put(c)
				e, err := c.at(t.Context(), zofia.d.Refs[refDN], append(s.attributes(wanted{}), "title"))
				if err != nil || e == nil {
					t.Fatalf("nobody at %s: %v", zofia.d.Refs[refDN], err)
				}
				do(c, e)
			}
			look := func(what, title string, want bool) {
				t.Helper()
				by(func(_ *conn, e *entry) {
					if s.isShut(e) != want || e.one("title") != title {
						t.Errorf("%s: shut %t, title %q", what, s.isShut(e), e.one("title"))
					}
				})
			}
			is := func(status, event string) {
				t.Helper()
				zofia.is(status, event)
				zofia.d.Was = status
			}
			zofia.say(map[string]any{"title": "Analyst"})
			is("active", "hired")
			look("hired", "Analyst", false)
			by(func(c *conn, e *entry) {
				if _, err := c.replace(t.Context(), e, nil, shut); err != nil {
					t.Fatal(err)
				}
			})
			zofia.say(map[string]any{"title": "Head"})
			is("active", "updated")
			look("after a change", "Head", true)
			is("terminated", "terminated")
			is("active", "rehired")
			look("who came back", "Head", false)
			by(func(c *conn, e *entry) {
				if err := c.ldap.Del(goldap.NewDelRequest(e.dn, nil)); err != nil {
					t.Fatal(err)
				}
			})
			is("active", "updated")
			look("made anew", "Head", false)
			// Shut by us, and before that was recorded the end is taken back.
			zofia.d.Status, zofia.d.Type = "terminated", "hr.employee.terminated.v1"
			saved := zofia.d.Refs
			_, err = s.Apply(t.Context(), zofia.d, func(_ context.Context, refs connector.Refs) error {
				saved = maps.Clone(refs)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			zofia.d.Refs = saved
			is("active", "updated")
			look("the end was taken back", "Head", false)
		})
	}
}

func (w *world) adAccount() connector.Account {
	a := w.account()
	a.Settings["dialect"] = "ad"
	return a
}

// TestLeave: kept, or shut and opened without another password.
func TestLeave(t *testing.T) {
	w := openLDAPWorld(t)
	kept := begin(t, w.sink(t, nil), "id-1", person("ada"))
	kept.is("active", "hired")
	if r := kept.is("leave", "leave_started"); r.Outcome != "unchanged" {
		t.Errorf("a leave that is kept: %q", r.Outcome)
	}
	shut := begin(t, w.sink(t, map[string]any{"on_leave": "disable"}), "id-2", person("bea"))
	shut.is("active", "hired")
	dn := shut.d.Refs[refDN]
	setPassword(t, w, dn, "known")
	shut.is("leave", "leave_started")
	if err := w.Login(dn, "known"); !shutOut(err) {
		t.Errorf("on leave: %v", err)
	}
	shut.is("active", "leave_ended")
	if err := w.Login(dn, "known"); err != nil {
		t.Errorf("after the leave: %v", err)
	}
	shut.is("leave", "leave_started")
	shut.is("terminated", "terminated") // shut already, and with a password that somebody knows
	if r := shut.is("terminated", "updated"); r.Outcome != "unchanged" {
		t.Errorf("once more: %q", r.Outcome)
	}
	shut.is("active", "rehired")
	if err := w.Login(shut.d.Refs[refDN], "known"); !shutOut(err) {
		t.Errorf("who left during the leave has the old password: %v", err)
	}
}

// TestManager: by the manager's entryUUID or name; one who is not there is left
// out and clears nothing; a renamed one stays the same.
func TestManager(t *testing.T) {
	w := openLDAPWorld(t)
	sink := w.sink(t, nil)
	boss := begin(t, sink, "id-1", person("boss"))
	boss.is("active", "hired")
	zofia := begin(t, sink, "id-2", with(nil))
	manager := func() string { return w.Entry(t, "(uid=zofia)").GetAttributeValue("manager") }
	for _, c := range []struct {
		name string
		said any
		want string
	}{
		{"an id that nobody has", "00000000-0000-1041-9fdd-000000000000", ""},
		{"a name that nobody has", "uid=nobody,ou=people," + w.Base, ""},
		{"an entryUUID", boss.d.Refs[refID], boss.d.Refs[refDN]},
		{"nobody again", "uid=nobody,ou=people," + w.Base, boss.d.Refs[refDN]},
		{"cleared", nil, ""},
		{"a name", boss.d.Refs[refDN], boss.d.Refs[refDN]},
	} {
		zofia.say(map[string]any{"manager": c.said}).is("active", "updated")
		if got := manager(); got != c.want {
			t.Errorf("%s: the manager is %q, want %q", c.name, got, c.want)
		}
	}
	boss.say(map[string]any{"uid": `the, "boss"`}).is("active", "updated")
	// The server repairs references after its answer, and says nothing when it has.
	for until := time.Now().Add(10 * time.Second); !sameDN(manager(), boss.d.Refs[refDN]); {
		if time.Now().After(until) {
			t.Fatalf("the renamed manager is %q, want %q", manager(), boss.d.Refs[refDN])
		}
		runtime.Gosched()
	}
	before := len(w.writes)
	if r := zofia.say(map[string]any{"manager": boss.d.Refs[refDN]}).is("active", "updated"); r.Outcome != "unchanged" || len(w.writes) != before {
		t.Errorf("the same manager, written otherwise: %q", r.Outcome)
	}
	delete(zofia.d.Body["attributes"].(map[string]any), "manager")
	zofia.say(nil).is("active", "updated")
	if manager() == "" {
		t.Error("a manager who was not said is cleared")
	}
}

// TestGroupThatNeedsItsLastMember: the person is shut out and moved all the
// same, and somebody is told.
func TestGroupThatNeedsItsLastMember(t *testing.T) {
	w := openLDAPWorld(t)
	zofia := begin(t, w.sink(t, nil), "id-1", with(nil))
	zofia.is("active", "hired")
	add(t, w, "cn=only,ou=groups,"+w.Base, map[string][]string{"objectClass": {"groupOfNames"}, "cn": {"only"}, "member": {zofia.d.Refs[refDN]}})
	if f := zofia.fails("terminated"); f.Class != fault.Record || f.Reason != "last_member" {
		t.Errorf("%v", f)
	}
	if e := w.Entry(t, "(uid=zofia)"); e.GetAttributeValue("pwdAccountLockedTime") != locked || !below(e.DN, "ou=leavers,"+w.Base) {
		t.Errorf("%s is not shut out", e.DN)
	}
}

// TestPlacesThatAreMissing stop the target: no single person is wrong.
func TestPlacesThatAreMissing(t *testing.T) {
	w := openLDAPWorld(t)
	for name, settings := range map[string]map[string]any{
		"people":  {"people_dn": "ou=none," + w.Base},
		"leavers": {"leavers_dn": "ou=none," + w.Base},
		"groups":  {"groups_dn": "ou=none," + w.Base},
	} {
		t.Run(name, func(t *testing.T) {
			l := begin(t, w.sink(t, settings), "id-"+name, person(name))
			var f *fault.Error
			if name == "people" {
				f = l.fails("active")
			} else {
				l.is("active", "hired")
				f = l.fails("terminated")
			}
			if f.Class != fault.Target || f.Reason != "parent_missing" {
				t.Errorf("%v", f)
			}
			c, err := Type.Check(func() connector.Account { a := w.account(); maps.Copy(a.Settings, settings); return a }())
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Check(t.Context()); !is(err, "parent_missing") {
				t.Errorf("check: %v", err)
			}
		})
	}
}

// TestCheck: a server that can lock passes; one without the overlay, a wrong
// password and a foreign certificate do not.
func TestCheck(t *testing.T) {
	w := openLDAPWorld(t)
	check := func(change func(*connector.Account)) error {
		a := w.account()
		if change != nil {
			change(&a)
		}
		c, err := Type.Check(a)
		if err != nil {
			t.Fatal(err)
		}
		return c.Check(t.Context())
	}
	if err := check(nil); err != nil {
		t.Errorf("a good account: %v", err)
	}
	other := slapd.NewAuthority(t)
	if f := fault.Of(check(func(a *connector.Account) { a.Settings["ca"] = other.PEM })); f == nil || f.Class != fault.Target || f.Reason != "tls" {
		t.Errorf("another authority: %v", f)
	}
	w = real(t, slapd.Options{NoPolicy: true}, "ldaps", &fake.Faults{}, nil)
	if f := fault.Of(check(nil)); f == nil || f.Class != fault.Target || f.Reason != "no_password_policy" {
		t.Errorf("without a password policy: %v", f)
	}
	zofia := begin(t, w.sink(t, nil), "id-1", with(nil))
	zofia.is("active", "hired")
	if f := zofia.fails("terminated"); f.Class != fault.Target || f.Reason != "no_password_policy" {
		t.Errorf("a leaver without a password policy: %v", f)
	}
	if _, err := authorities("no certificate"); err == nil || errors.Is(err, nil) {
		t.Error("a text without a certificate is taken")
	}
}
