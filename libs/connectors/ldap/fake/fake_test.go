package fake_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/muster-hr/muster/libs/connector/fake"
	ldapfake "github.com/muster-hr/muster/libs/connectors/ldap/fake"
	"github.com/muster-hr/muster/libs/testkit/slapd"
)

const base = "dc=brightfjord,dc=example"

// open starts a fake and gives its address.
func open(t *testing.T, settings map[string]string, f *fake.Faults) (string, fake.Vendor) {
	t.Helper()
	all := map[string]string{
		"password": "hub-of-a-test", "bind_dn": "cn=hub,ou=services," + base, "base_dn": base, "people_dn": "ou=people," + base,
		"leavers_dn": "ou=leavers," + base, "groups_dn": "ou=groups," + base,
	}
	for k, v := range settings {
		all[k] = v
	}
	v := ldapfake.New(fake.Options{Settings: all})
	listener, ok := v.(fake.Listener)
	if !ok {
		t.Fatal("it does not listen")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- listener.Serve(ctx, l, f) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String(), v
}

func login(t *testing.T, address, dn, password string) *goldap.Conn {
	t.Helper()
	c, err := goldap.DialURL("ldap://" + address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Bind(dn, password); err != nil {
		t.Fatal(err)
	}
	return c
}

func add(dn string, attributes ...string) func(*goldap.Conn) error {
	return func(c *goldap.Conn) error {
		q := goldap.NewAddRequest(dn, nil)
		for i := 0; i+1 < len(attributes); i += 2 {
			q.Attribute(attributes[i], []string{attributes[i+1]})
		}
		return c.Add(q)
	}
}

func modify(dn string, change func(*goldap.ModifyRequest), controls ...goldap.Control) func(*goldap.Conn) error {
	return func(c *goldap.Conn) error {
		q := goldap.NewModifyRequest(dn, controls)
		change(q)
		return c.Modify(q)
	}
}

func rename(dn, rdn, above string) func(*goldap.Conn) error {
	return func(c *goldap.Conn) error { return c.ModifyDN(goldap.NewModifyDNRequest(dn, rdn, true, above)) }
}

func count(filter string) func(*goldap.Conn) error {
	return func(c *goldap.Conn) error {
		r, err := c.Search(goldap.NewSearchRequest(base, goldap.ScopeWholeSubtree, goldap.NeverDerefAliases, 0, 0, false, filter, []string{"cn"}, nil))
		if err != nil {
			return err
		}
		return goldap.NewError(uint16(1000+len(r.Entries)), nil) // a number to compare
	}
}

// TestAnswersAreTheRealOnes: one script against the fake and a real OpenLDAP,
// whose result codes must be equal call by call.
func TestAnswersAreTheRealOnes(t *testing.T) {
	const zofia, jan = "uid=zofia,ou=people," + base, "uid=jan,ou=people," + base
	wrong := goldap.NewControlString("1.3.6.1.1.12", true, filter("(title=Nobody)"))
	right := goldap.NewControlString("1.3.6.1.1.12", true, filter("(title=Head)"))
	unknown := goldap.NewControlString("1.2.3.4", true, "")
	script := []struct {
		name string
		call func(*goldap.Conn) error
	}{
		{"add", add(zofia, "objectClass", "inetOrgPerson", "cn", "Zofia", "sn", "Żak", "uid", "zofia", "employeeNumber", "E-1", "mail", "z@x.example")},
		{"add again", add(zofia, "objectClass", "inetOrgPerson", "cn", "Zofia", "sn", "Żak", "uid", "zofia")},
		{"add, number taken", add(jan, "objectClass", "inetOrgPerson", "cn", "Jan", "sn", "N", "uid", "jan", "employeeNumber", "e-1")},
		{"add, sn missing", add(jan, "objectClass", "inetOrgPerson", "cn", "Jan", "uid", "jan")},
		{"add, empty value", add(jan, "objectClass", "inetOrgPerson", "cn", "Jan", "sn", "N", "uid", "jan", "telephoneNumber", "")},
		{"add, parent missing", add("uid=jan,ou=none,"+base, "objectClass", "inetOrgPerson", "cn", "Jan", "sn", "N", "uid", "jan")},
		{"add, no name", add("Jan, N", "objectClass", "inetOrgPerson", "cn", "Jan", "sn", "N")},
		{"add, value of the name left out", add(jan, "objectClass", "inetOrgPerson", "cn", "Jan", "sn", "N", "manager", zofia)},
		{"modify nobody", modify("uid=none,ou=people,"+base, func(q *goldap.ModifyRequest) { q.Replace("title", []string{"x"}) })},
		{"replace what is absent", modify(zofia, func(q *goldap.ModifyRequest) { q.Replace("title", []string{"Head"}) })},
		{"clear what is absent", modify(zofia, func(q *goldap.ModifyRequest) { q.Replace("mobile", nil) })},
		{"delete what is absent", modify(zofia, func(q *goldap.ModifyRequest) { q.Delete("mobile", nil) })},
		{"add what is there", modify(zofia, func(q *goldap.ModifyRequest) { q.Add("title", []string{"Head"}) })},
		{"replace by an empty text", modify(zofia, func(q *goldap.ModifyRequest) { q.Replace("title", []string{""}) })},
		{"change the name", modify(zofia, func(q *goldap.ModifyRequest) { q.Replace("uid", []string{"z"}) })},
		{"clear what is needed", modify(zofia, func(q *goldap.ModifyRequest) { q.Replace("sn", nil) })},
		{"an address of another", modify(jan, func(q *goldap.ModifyRequest) { q.Replace("mail", []string{"Z@X.example"}) })},
		{"assert what is not so", modify(zofia, func(q *goldap.ModifyRequest) { q.Replace("title", []string{"x"}) }, wrong)},
		{"assert what is so", modify(zofia, func(q *goldap.ModifyRequest) { q.Replace("title", []string{"Head"}) }, right)},
		{"a critical control that nobody knows", modify(zofia, func(q *goldap.ModifyRequest) { q.Replace("title", []string{"x"}) }, unknown)},
		{"lock", modify(zofia, func(q *goldap.ModifyRequest) { q.Replace("pwdAccountLockedTime", []string{"000001010000Z"}) })},
		{"find the locked", count("(pwdAccountLockedTime=*)")},
		{"reset the password", modify(zofia, func(q *goldap.ModifyRequest) { q.Replace("userPassword", []string{"a-password"}) })},
		{"find none locked", count("(pwdAccountLockedTime=*)")},
		{"two passwords", modify(zofia, func(q *goldap.ModifyRequest) { q.Replace("userPassword", []string{"a", "b"}) })},
		{"rename to a taken name", rename(zofia, "uid=jan", "")},
		{"rename to a missing place", rename(zofia, "uid=zofia", "ou=none,"+base)},
		{"rename nobody", rename("uid=none,ou=people,"+base, "uid=x", "")},
		{"move", rename(zofia, "uid=zofia", "ou=leavers,"+base)},
		{"move again from the old place", rename(zofia, "uid=zofia", "ou=leavers,"+base)},
		{"find by class above", count("(objectClass=organizationalPerson)")},
		{"find by part", count("(&(cn=zo*a)(!(uid=jan)))")},
		{"find by either", count("(|(uid=JAN)(employeeNumber=E-1))")},
		{"find by what nobody knows", count("(madeUp=x)")},
		{"group", add("cn=g,ou=groups,"+base, "objectClass", "groupOfNames", "cn", "g", "member", jan)},
		{"its last member", modify("cn=g,ou=groups,"+base, func(q *goldap.ModifyRequest) { q.Delete("member", []string{jan}) })},
		{"not a member", modify("cn=g,ou=groups,"+base, func(q *goldap.ModifyRequest) { q.Delete("member", []string{zofia}) })},
		{"delete", func(c *goldap.Conn) error { return c.Del(goldap.NewDelRequest(jan, nil)) }},
		{"delete again", func(c *goldap.Conn) error { return c.Del(goldap.NewDelRequest(jan, nil)) }},
	}
	s := slapd.Start(t, slapd.Options{})
	theirs, err := goldap.DialURL("ldap://" + s.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	if err := theirs.StartTLS(tlsFor(s)); err != nil {
		t.Fatal(err)
	}
	if err := theirs.Bind(s.BindDN, s.Password); err != nil {
		t.Fatal(err)
	}
	address, _ := open(t, nil, &fake.Faults{})
	ours := login(t, address, "cn=hub,ou=services,"+base, "hub-of-a-test")
	for _, x := range script {
		want, got := code(x.call(theirs)), code(x.call(ours))
		if got != want {
			t.Errorf("%s: the fake answers %d, OpenLDAP %d", x.name, got, want)
		}
	}
}

func code(err error) int {
	if err == nil {
		return 0
	}
	e, ok := errors.AsType[*goldap.Error](err)
	if !ok {
		return -1
	}
	return int(e.ResultCode)
}

// TestLogins: who is let in.
func TestLogins(t *testing.T) {
	for _, c := range []struct {
		name, dn, password string
		settings           map[string]string
		want               int
	}{
		{"the hub", "CN=hub,OU=services," + base, "hub-of-a-test", nil, 0},
		{"a wrong password", "cn=hub,ou=services," + base, "x", nil, 49},
		{"nobody", "cn=nobody," + base, "x", nil, 49},
		{"no name", "nobody", "x", nil, 34},
		{"in clear", "cn=hub,ou=services," + base, "hub-of-a-test", map[string]string{"confidential": "yes"}, 13},
	} {
		address, _ := open(t, c.settings, &fake.Faults{})
		conn, err := goldap.DialURL("ldap://" + address)
		if err != nil {
			t.Fatal(err)
		}
		if got := code(conn.Bind(c.dn, c.password)); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
		if c.want != 0 {
			if got := code(count("(cn=*)")(conn)); got != 8 {
				t.Errorf("%s sees %d", c.name, got)
			}
		}
		conn.Close()
	}
}

// TestActiveDirectory: an account is opened only with a password, a login is
// one person's, and nobody is made with a manager who is not there.
func TestActiveDirectory(t *testing.T) {
	address, v := open(t, map[string]string{"dialect": "ad", "manager_must_exist": "yes"}, &fake.Faults{})
	c := login(t, address, "cn=hub,ou=services,"+base, "hub-of-a-test")
	const zofia = "CN=Zofia,OU=people," + base
	for _, x := range []struct {
		name string
		call func(*goldap.Conn) error
		want int
	}{
		{"open from the start", add(zofia, "objectClass", "user", "sAMAccountName", "z", "userAccountControl", "512"), 53},
		{"with a password", add(zofia, "objectClass", "user", "sAMAccountName", "z", "userAccountControl", "514", "unicodePwd", "x"), 53},
		{"a manager who is not there", add(zofia, "objectClass", "user", "sAMAccountName", "z", "userAccountControl", "514", "manager", "CN=x,"+base), 19},
		{"shut", add(zofia, "objectClass", "user", "sAMAccountName", "z", "userAccountControl", "514"), 0},
		{"the login again", add("CN=Zoe,OU=people,"+base, "objectClass", "user", "sAMAccountName", "Z", "userAccountControl", "514"), 68},
		{"open without a password", modify(zofia, func(q *goldap.ModifyRequest) { q.Replace("userAccountControl", []string{"512"}) }), 53},
		{"password", modify(zofia, func(q *goldap.ModifyRequest) { q.Replace("unicodePwd", []string{"x"}) }), 0},
		{"open", modify(zofia, func(q *goldap.ModifyRequest) { q.Replace("userAccountControl", []string{"512"}) }), 0},
		{"none is shut", count("(userAccountControl:1.2.840.113556.1.4.803:=2)"), 1000},
		{"one is normal", count("(userAccountControl:1.2.840.113556.1.4.803:=512)"), 1001},
	} {
		if got := code(x.call(c)); got != x.want {
			t.Errorf("%s: %d, want %d", x.name, got, x.want)
		}
	}
	people, writes := v.Log().State()
	if len(people) != 1 || len(writes) != 3 || writes[0].Op != fake.Create || writes[2].Op != fake.Enable {
		t.Errorf("%d people, writes %+v", len(people), writes)
	}
	for _, w := range writes {
		if body, _ := w.Body.(map[string]any); body["unicodePwd"] == "x" {
			t.Error("the memory shows a password")
		}
	}
}

// TestFaultsOfACall: refused before the effect, cut after it, held until the
// faults are cleared, and all of it in the request log.
func TestFaultsOfACall(t *testing.T) {
	f := &fake.Faults{}
	address, v := open(t, nil, f)
	c := login(t, address, "cn=hub,ou=services,"+base, "hub-of-a-test")
	make := func(c *goldap.Conn, uid string) int {
		return code(add("uid="+uid+",ou=people,"+base, "objectClass", "inetOrgPerson", "cn", uid, "sn", uid)(c))
	}
	there := func() int { people, _ := v.Log().State(); return len(people) }
	let := func(x fake.Fault) {
		t.Helper()
		x.Match.Method = "ADD"
		f.Clear()
		if err := f.Add(x); err != nil {
			t.Fatal(err)
		}
	}
	let(fake.Fault{Status: 503})
	if got := make(c, "a"); got != 52 || there() != 0 {
		t.Errorf("503: %d, %d people", got, there())
	}
	let(fake.Fault{Response: &fake.Response{Headers: map[string]string{"Result": "51"}, Body: []byte(`"busy"`)}})
	if got := make(c, "a"); got != 51 || there() != 0 {
		t.Errorf("busy: %d, %d people", got, there())
	}
	let(fake.Fault{When: fake.AfterEffect, Status: 500})
	if got := make(c, "a"); got != 80 || there() != 1 {
		t.Errorf("after the effect: %d, %d people", got, there())
	}
	let(fake.Fault{When: fake.AfterEffect, Hold: true, Times: 1})
	held := login(t, address, "cn=hub,ou=services,"+base, "hub-of-a-test")
	answer := make2(func() int { return make(held, "b") })
	for f.Held().Now != 1 { // the call is on its way; nothing else signals that it is held
		select {
		case got := <-answer:
			t.Fatalf("it was not held: %d", got)
		default:
		}
	}
	if there() != 2 {
		t.Errorf("%d people while the answer is held", there())
	}
	f.Clear()
	if got := <-answer; got != 0 {
		t.Errorf("after it was let go: %d", got)
	}
	let(fake.Fault{When: fake.AfterEffect})
	if got := make(c, "c"); got >= 0 && got < 200 || there() != 3 {
		t.Errorf("cut: %d, %d people", got, there())
	}
	var seen []int
	for _, s := range f.Requests() {
		if s.Method == "ADD" {
			seen = append(seen, s.Status)
		}
	}
	if want := []int{503, 429, 500, 200, 0}; len(seen) != len(want) || seen[0] != want[0] || seen[1] != want[1] || seen[2] != want[2] || seen[3] != want[3] || seen[4] != want[4] {
		t.Errorf("the log says %v, want %v", seen, want)
	}
}

func make2(f func() int) chan int {
	out := make(chan int, 1)
	go func() { out <- f() }()
	return out
}

// TestSizeLimit: part of what was found comes with the error.
func TestSizeLimit(t *testing.T) {
	address, _ := open(t, nil, &fake.Faults{})
	c := login(t, address, "cn=hub,ou=services,"+base, "hub-of-a-test")
	r, err := c.Search(goldap.NewSearchRequest(base, goldap.ScopeWholeSubtree, goldap.NeverDerefAliases, 2, 0, false, "(ou=*)", nil, nil))
	if code(err) != 4 || r == nil || len(r.Entries) != 2 {
		t.Errorf("%v, %v", r, err)
	}
}

// FuzzReadRequest: any bytes are a request or an error.
func FuzzReadRequest(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	v := ldapfake.New(fake.Options{})
	opener, ok := v.(interface {
		Open(context.Context) (ldapfake.Session, error)
	})
	if !ok {
		f.Fatal("it cannot be opened")
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := ldapfake.ReadRequest(bytes.NewReader(b))
		if err != nil {
			return
		}
		if len(q.Raw) == 0 || !bytes.HasPrefix(b, q.Raw) {
			t.Errorf("%d bytes of %d were read as something else", len(q.Raw), len(b))
		}
		s, err := opener.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Answer(q); err != nil { // whatever it asks for, an answer comes
			t.Error(err)
		}
	})
}
