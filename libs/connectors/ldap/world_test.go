package ldap

import (
	"context"
	"crypto/tls"
	"encoding/json"
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
	ldapfake "github.com/muster-hr/muster/libs/connectors/ldap/fake"
	"github.com/muster-hr/muster/libs/secret"
	"github.com/muster-hr/muster/libs/testkit/slapd"
)

// world is a directory behind a server that counts, disturbs and looks.
type world struct {
	*slapd.Server // nil for the fake
	fake.Vendor   // nil for a real server

	faults   *fake.Faults
	url      string
	settings map[string]any

	mu     sync.Mutex
	writes []fake.Write
}

// saw is told of each request.
type saw func(method, path string, body []byte)

func (w *world) account() connector.Account {
	a := connector.Account{
		Name: "ldap", BaseURL: w.url, Dial: httpx.Dial(w.url, nil), Settings: map[string]any{},
		Secrets: map[string]secret.Value{"password": secret.New("hub-of-a-test")},
	}
	for name, s := range Type.Settings {
		if s.Default != nil {
			a.Settings[name] = s.Default
		}
	}
	maps.Copy(a.Settings, w.settings)
	return a
}

// sink is a sink of the world, with settings laid over.
func (w *world) sink(t *testing.T, settings map[string]any) connector.Sink {
	t.Helper()
	a := w.account()
	maps.Copy(a.Settings, settings)
	s, err := Type.Sink(a)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// real is slapd behind a relay: the connector talks TLS with the relay, the
// relay with slapd.
func real(t *testing.T, o slapd.Options, scheme string, faults *fake.Faults, see saw) *world {
	t.Helper()
	return before(t, slapd.Start(t, o), o, scheme, faults, see)
}

// before is real for a server that is there already.
func before(t *testing.T, s *slapd.Server, o slapd.Options, scheme string, faults *fake.Faults, see saw) *world {
	t.Helper()
	w := &world{Server: s, faults: faults, settings: places(s.Base)}
	w.settings["ca"] = s.PEM
	if o.AD {
		w.settings["dialect"], w.settings["id_attribute"], w.settings["object_classes"] = "ad", "entryUUID", []string{"user"}
	}
	serve(t, w, &ldapfake.Server{
		Faults: w.faults, TLS: &tls.Config{Certificates: []tls.Certificate{s.Authority.Server}, MinVersion: tls.VersionTLS12},
		Open: func(ctx context.Context) (ldapfake.Session, error) {
			d := tls.Dialer{Config: &tls.Config{RootCAs: s.Roots, MinVersion: tls.VersionTLS12}}
			c, err := d.DialContext(ctx, "tcp", s.Secure)
			if err != nil {
				return nil, err
			}
			return &ldapfake.Relay{Conn: c, Sent: w.wrote}, nil
		},
	}, scheme, see)
	return w
}

// faked is the fake at its own door.
func faked(t *testing.T, settings map[string]string, faults *fake.Faults, see saw) *world {
	t.Helper()
	w := &world{faults: faults, settings: places("dc=brightfjord,dc=example")}
	all := map[string]string{"password": "hub-of-a-test"}
	for k, v := range w.settings {
		if text, ok := v.(string); ok {
			all[k] = text
		}
	}
	maps.Copy(all, settings)
	w.Vendor = ldapfake.New(fake.Options{Settings: all})
	opener, ok := w.Vendor.(interface {
		Open(context.Context) (ldapfake.Session, error)
	})
	if !ok {
		t.Fatal("the fake cannot be opened")
	}
	serve(t, w, &ldapfake.Server{Faults: w.faults, Open: opener.Open}, "ldap", see)
	return w
}

// openLDAPWorld is what most tests need: a real server over ldaps.
func openLDAPWorld(t *testing.T) *world {
	return real(t, slapd.Options{}, "ldaps", &fake.Faults{}, nil)
}

func places(base string) map[string]any {
	return map[string]any{
		"bind_dn": "cn=hub,ou=services," + base, "base_dn": base, "people_dn": "ou=people," + base,
		"leavers_dn": "ou=leavers," + base, "groups_dn": "ou=groups," + base,
	}
}

func serve(t *testing.T, w *world, server *ldapfake.Server, scheme string, see saw) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.url = scheme + "://" + l.Addr().String()
	if scheme == "ldaps" {
		l = tls.NewListener(l, server.TLS)
		server.TLS = nil
	}
	if see != nil {
		server.Saw = func(q *ldapfake.Request) { see(string(q.Op), "", said(q)) }
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// said are the values of a request, as JSON; passwords are left out.
func said(q *ldapfake.Request) []byte {
	out := map[string]any{}
	put := func(a ldapfake.Attribute) {
		if a.Name != "userPassword" && a.Name != "unicodePwd" {
			out[a.Name] = a.Values
		}
	}
	for _, a := range q.Attributes {
		put(a)
	}
	for _, c := range q.Changes {
		put(c.Attribute)
	}
	if q.NewRDN != "" {
		out["new rdn"], out["new superior"] = q.NewRDN, q.NewSuperior
	}
	if len(out) == 0 {
		return nil
	}
	b, _ := json.Marshal(out)
	return b
}

// wrote counts writes of a real server that took effect.
func (w *world) wrote(q *ldapfake.Request, code int) {
	if code != 0 || !slices.Contains(writing, string(q.Op)) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes = append(w.writes, fake.Write{At: time.Now(), Key: q.DN, Op: fake.Other})
}

var writing = []string{"ADD", "MODIFY", "MODRDN", "DELETE"}

// state is everybody in the directory, and the writes.
func (w *world) state(t *testing.T) (map[string]map[string]any, []fake.Write) {
	if w.Vendor != nil {
		return w.Log().State()
	}
	people := map[string]map[string]any{}
	for _, e := range w.Entries(t, "(objectClass=inetOrgPerson)") {
		p := map[string]any{"dn": e.DN}
		for _, a := range e.Attributes {
			name := strings.ToLower(a.Name)
			switch {
			case name == "pwdaccountlockedtime", name == "useraccountcontrol":
				p[a.Name] = a.Values[0]
			case name == "userpassword", name == "unicodepwd", operational(name):
			case len(a.Values) == 1:
				p[a.Name] = a.Values[0]
			default:
				p[a.Name] = strings.Join(a.Values, "|")
			}
		}
		people[e.GetAttributeValue("entryUUID")] = p
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return people, slices.Clone(w.writes)
}

func operational(name string) bool {
	return slices.Contains(strings.Fields("createtimestamp modifytimestamp creatorsname modifiersname entrycsn entryuuid entrydn structuralobjectclass subschemasubentry hassubordinates pwdchangedtime pwdlastset"), name)
}
