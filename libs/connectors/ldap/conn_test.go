package ldap

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connector/httpx"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/secret"
	"github.com/muster-hr/muster/libs/testkit/slapd"
)

// calls remembers what arrived.
type calls struct {
	mu  sync.Mutex
	all []string
}

func (c *calls) see(method, _ string, _ []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, method)
}

func (c *calls) count(method string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, m := range c.all {
		if m == method {
			n++
		}
	}
	return n
}

// TestPrivacy: the password is only said inside verified TLS, or to a server on
// this machine that has none.
func TestPrivacy(t *testing.T) {
	seen := &calls{}
	w := real(t, slapd.Options{}, "ldap", &fake.Faults{}, seen.see)
	begin(t, w.sink(t, nil), "id-1", with(nil)).is("active", "hired")
	if seen.count("EXTENDED") != 1 || seen.count("BIND") != 1 {
		t.Errorf("calls %v, want StartTLS and one login", seen.all)
	}
	if f := begin(t, w.sink(t, map[string]any{"ca": slapd.NewAuthority(t).PEM}), "id-1", with(nil)).fails("active"); f.Class != fault.Target || f.Reason != "tls" {
		t.Errorf("an unknown authority: %v", f)
	}
	if seen.count("BIND") != 1 {
		t.Error("the password was said to a server that nobody vouches for")
	}

	seen = &calls{}
	plain := faked(t, nil, &fake.Faults{}, seen.see)
	begin(t, plain.sink(t, nil), "id-1", with(nil)).is("active", "hired")
	if seen.count("EXTENDED") != 1 {
		t.Error("TLS was not even asked for")
	}
	// The same server under a name that is not this machine's.
	binds := seen.count("BIND")
	a := plain.account()
	target := strings.TrimPrefix(plain.url, "ldap://")
	_, port, _ := net.SplitHostPort(target)
	a.BaseURL = "ldap://directory.example:" + port
	a.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, target)
	}
	s, err := Type.Sink(a)
	if err != nil {
		t.Fatal(err)
	}
	if f := begin(t, s, "id-2", with(nil)).fails("active"); f.Class != fault.Target || f.Reason != "tls" {
		t.Errorf("a server without TLS elsewhere: %v", f)
	}
	if seen.count("BIND") != binds {
		t.Error("the password was said in clear")
	}
}

// TestEndlessStartTLS: of an answer that has no end no more is read than one can
// be long.
func TestEndlessStartTLS(t *testing.T) {
	ours, theirs := net.Pipe()
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	said := make(chan int, 1)
	go func() {
		_, _ = theirs.Read(make([]byte, 1024))
		n, _ := theirs.Write([]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xf0, 0x04, 0x84, 0x7f, 0xff, 0xff, 0x00}) // 2 GiB are announced
		for chunk := make([]byte, 64<<10); n < 8*maxAnswer; {
			more, err := theirs.Write(chunk)
			if n += more; err != nil {
				break
			}
		}
		_ = theirs.Close()
		said <- n
	}()
	if _, err := startTLS(t.Context(), ours); err == nil {
		t.Error("no error")
	}
	_ = ours.Close()
	if n := <-said; n > maxAnswer {
		t.Errorf("%d bytes were read, want at most %d", n, maxAnswer)
	}
}

// TestGuard: connections go through the account's guarded dial.
func TestGuard(t *testing.T) {
	w := faked(t, nil, &fake.Faults{}, nil)
	a := w.account()
	a.Dial = httpx.Dial("ldaps://directory.example", nil)
	s, err := Type.Sink(a)
	if err != nil {
		t.Fatal(err)
	}
	if f := begin(t, s, "id-1", with(nil)).fails("active"); f.Class != fault.Target || f.Reason != "address_refused" {
		t.Errorf("an address of our own network: %v", f)
	}
}

// TestRefusedLoginIsNotRepeated: it would lock our own account out.
func TestRefusedLoginIsNotRepeated(t *testing.T) {
	seen := &calls{}
	w := faked(t, nil, &fake.Faults{}, seen.see)
	a := w.account()
	a.Secrets = map[string]secret.Value{"password": secret.New("old")}
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	a.Now = func() time.Time { return now }
	s, err := Type.Sink(a)
	if err != nil {
		t.Fatal(err)
	}
	l := begin(t, s, "id-1", with(nil))
	for range 3 {
		if f := l.fails("active"); f.Class != fault.Target || f.Reason != reasonAuth {
			t.Errorf("%v", f)
		}
	}
	if n := seen.count("BIND"); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
	now = now.Add(5 * time.Minute)
	l.fails("active")
	if n := seen.count("BIND"); n != 2 {
		t.Errorf("%d logins after the pause, want 2", n)
	}
}

// TestConnectionsAreKept, and one that the server has left or whose login it has
// forgotten is replaced without an error.
func TestConnectionsAreKept(t *testing.T) {
	seen := &calls{}
	w := faked(t, nil, &fake.Faults{}, seen.see)
	l := begin(t, w.sink(t, nil), "id-1", with(nil))
	l.is("active", "hired")
	l.say(map[string]any{"title": "A"}).is("active", "updated")
	if n := seen.count("BIND"); n != 1 {
		t.Errorf("%d logins for two deliveries", n)
	}
	for i, f := range []fake.Fault{
		{When: fake.AfterEffect, Times: 1, Match: fake.Match{Method: "SEARCH"}}, // cut
		{Times: 1, Match: fake.Match{Method: "SEARCH"}, Response: &fake.Response{Headers: map[string]string{"Result": "1"},
			Body: []byte(`"000004DC: LdapErr: DSID-0C090A71, comment: In order to perform this operation a successful bind must be completed on the connection., data 0, v3839"`)}},
	} {
		if err := w.faults.Add(f); err != nil {
			t.Fatal(err)
		}
		l.say(map[string]any{"title": fmt.Sprint("B", i)}).is("active", "updated")
		if n := seen.count("BIND"); n != 2+i {
			t.Errorf("%d logins, want %d", n, 2+i)
		}
	}
}

// TestConnectionsAreFew: no more than are set, however many deliveries.
func TestConnectionsAreFew(t *testing.T) {
	w := faked(t, nil, &fake.Faults{}, nil)
	a := w.account()
	a.Settings["connections"] = 2
	var mu sync.Mutex
	open, most := 0, 0
	dial := a.Dial
	a.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		open++
		most = max(most, open)
		return dial(ctx, network, address)
	}
	s, err := Type.Sink(a)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			d := connector.Delivery{ID: fmt.Sprint(i), Status: "active", Body: map[string]any{"attributes": person(fmt.Sprint("p", i))}}
			if _, err := s.Apply(t.Context(), d, nil); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if people, _ := w.state(t); len(people) != 20 || most > 2 {
		t.Errorf("%d people over %d connections", len(people), most)
	}
}

// TestSettingsThatCannotWork are refused before anything is called.
func TestSettingsThatCannotWork(t *testing.T) {
	good := func() connector.Account {
		a := connector.Account{BaseURL: "ldaps://directory.example", Settings: places("dc=brightfjord,dc=example"), Secrets: map[string]secret.Value{"password": secret.New("x")}}
		a.Settings["dialect"] = "openldap"
		return a
	}
	if _, err := Type.Sink(good()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*connector.Account){
		"no address":         func(a *connector.Account) { a.BaseURL = "" },
		"another protocol":   func(a *connector.Account) { a.BaseURL = "https://directory.example" },
		"a name in it":       func(a *connector.Account) { a.BaseURL = "ldaps://directory.example/dc=example" },
		"empty password":     func(a *connector.Account) { a.Secrets = nil },
		"no login":           func(a *connector.Account) { delete(a.Settings, "bind_dn") },
		"no name":            func(a *connector.Account) { a.Settings["people_dn"] = "people" },
		"outside of base_dn": func(a *connector.Account) { a.Settings["leavers_dn"] = "ou=leavers,dc=other" },
		"no certificate":     func(a *connector.Account) { a.Settings["ca"] = "-----BEGIN" },
		"no such file":       func(a *connector.Account) { a.Settings["ca"] = "/nowhere/ca.pem" },
	} {
		a := good()
		a.Settings = maps.Clone(a.Settings)
		change(&a)
		if _, err := Type.Sink(a); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// TestReservedAttributes: a mapping cannot open an account or set a password.
func TestReservedAttributes(t *testing.T) {
	w := faked(t, nil, &fake.Faults{}, nil)
	for _, name := range slices.Concat(ours, []string{"USERPASSWORD"}) {
		f := begin(t, w.sink(t, nil), "id-1", with(map[string]any{name: "x"})).fails("active")
		if f.Class != fault.Record || f.Reason != "reserved" {
			t.Errorf("%s: %v", name, f)
		}
	}
	f := begin(t, w.sink(t, nil), "id-1", with(map[string]any{"title": map[string]any{"a": "b"}})).fails("active")
	if f.Class != fault.Record || f.Path != "attributes.title" {
		t.Errorf("an object as a value: %v", f)
	}
	l := begin(t, w.sink(t, nil), "id-1", with(nil))
	l.d.Body["parent"] = "ou=people,dc=other"
	if f := l.fails("active"); f.Class != fault.Record || f.Path != "parent" {
		t.Errorf("a place outside: %v", f)
	}
}

// TestValues: numbers, truths, lists and empty texts become what a directory
// knows.
func TestValues(t *testing.T) {
	w := openLDAPWorld(t)
	l := begin(t, w.sink(t, nil), "id-1", with(map[string]any{"ou": []any{"B", "A"}, "carLicense": 7.0, "description": "", "initials": true}))
	l.is("active", "hired")
	e := w.Entry(t, "(uid=zofia)")
	ous := e.GetAttributeValues("ou")
	slices.Sort(ous)
	if !slices.Equal(ous, []string{"A", "B"}) || e.GetAttributeValue("carLicense") != "7" || e.GetAttributeValue("initials") != "TRUE" || e.GetAttributeValue("description") != "" {
		t.Errorf("%v", e.Attributes)
	}
	if r := l.say(map[string]any{"ou": []any{"A", "B"}}).is("active", "updated"); r.Outcome != "unchanged" {
		t.Errorf("the same in another order: %q", r.Outcome)
	}
	l.say(map[string]any{"ou": []any{}, "title": ""}).is("active", "updated")
	if e := w.Entry(t, "(uid=zofia)"); e.GetAttributeValue("ou") != "" || e.GetAttributeValue("title") != "" {
		t.Error("what was emptied is still there")
	}
	if _, ok := texts([]any{[]any{"a"}}); ok {
		t.Error("a list in a list is taken")
	}
}
