// Package fake is a directory with memory that speaks LDAP: entries, names,
// unique values, references that follow a rename, password locks, and the
// answers of OpenLDAP 2.5 with the overlays unique, refint and ppolicy, or of
// Active Directory as far as it is documented.
//
// It is written on the BER library of go-ldap: the servers that exist for Go
// know neither renames nor controls in answers.
//
// Settings: those of the account ("dialect", "bind_dn", "base_dn", "people_dn",
// "leavers_dn", "groups_dn"; defaults below dc=example) and its secret
// "password" (unset: any but the empty one); "places" (further entries for
// places, separated by ";"), "manager_must_exist" ("yes": a manager who is no
// entry is refused, as Active Directory may do), "confidential" ("yes": no login
// without TLS).
package fake

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/muster-hr/muster/libs/connector/fake"
)

// directory is the memory of one directory.
type directory struct {
	o        fake.Options
	log      fake.Log
	ad       bool
	bind     string
	password string

	mu      sync.Mutex
	entries map[string]*node // by normal name
	made    int
	changes int
}

// New makes a directory with its places and nobody in it.
func New(o fake.Options) fake.Vendor {
	v := &directory{o: o, ad: o.Settings["dialect"] == "ad", password: o.Settings["password"], entries: map[string]*node{}}
	set := func(name, otherwise string) string {
		if s := o.Settings[name]; s != "" {
			return s
		}
		return otherwise
	}
	base := set("base_dn", "dc=example")
	v.bind = set("bind_dn", "cn=hub,"+base)
	places := []string{base, set("people_dn", "ou=people,"+base), o.Settings["leavers_dn"], o.Settings["groups_dn"]}
	for _, dn := range append(places, strings.Split(o.Settings["places"], ";")...) {
		v.plant(dn)
	}
	return v
}

// plant makes an entry for a place, and those above it.
func (v *directory) plant(dn string) {
	key, err := normal(dn)
	if err != nil || key == "" || v.entries[key] != nil {
		return
	}
	first, parent := cut(dn)
	if above, err := normal(parent); err == nil && above != "" && v.entries[above] == nil && strings.Contains(strings.ToLower(parent), "ou=") {
		v.plant(parent)
	}
	n := v.node(dn)
	name, value, _ := strings.Cut(first, "=")
	n.set("objectClass", "organizationalUnit")
	n.set(name, value)
	v.entries[key] = n
}

// Log is the memory that the sandbox shows.
func (v *directory) Log() *fake.Log { return &v.log }

// Do knows no verb: people are hired in HR.
func (v *directory) Do(_ context.Context, verb string, _ map[string]any) (map[string]any, error) {
	return nil, fake.ErrUnknownVerb(verb)
}

// ServeHTTP has nothing to serve.
func (v *directory) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "this fake speaks LDAP, at a door of its own", http.StatusNotFound)
}

// Serve answers LDAP.
func (v *directory) Serve(ctx context.Context, l net.Listener, f *fake.Faults) error {
	return (&Server{Open: v.Open, Faults: f}).Serve(ctx, l)
}

// Open is a connection on which nobody is logged in yet.
func (v *directory) Open(context.Context) (Session, error) { return &session{v: v}, nil }

type session struct {
	v     *directory
	bound bool
}

// Close forgets the login.
func (s *session) Close() { s.bound = false }

// Answer answers one request.
func (s *session) Answer(q *Request) ([][]byte, int, error) {
	s.v.mu.Lock()
	defer s.v.mu.Unlock()
	if q.Op == OpSearch {
		return s.search(q)
	}
	a := s.write(q)
	return [][]byte{a.encode(q)}, a.Code, nil
}

func (s *session) write(q *Request) Answer {
	v := s.v
	switch {
	case q.Op == OpBind:
		a := v.login(q)
		s.bound = a.Code == 0
		return a
	case q.Op == OpExtended:
		return Answer{Code: 2, Text: "unsupported extended operation"}
	case !s.bound && v.ad:
		return Answer{Code: 1, Text: "000004DC: LdapErr: DSID-0C090A71, comment: In order to perform this operation a successful bind must be completed on the connection., data 0, v3839"}
	case !s.bound:
		return Answer{Code: 8, Text: "authentication required"}
	}
	for _, c := range q.Controls {
		if c.Critical && c.OID != oidAssertion && c.OID != oidPostRead {
			return Answer{Code: 12, Text: "critical extension is not recognized"}
		}
	}
	if a := v.asserted(q); a.Code != 0 {
		return a
	}
	switch q.Op {
	case OpAdd:
		return v.add(q)
	case OpModify:
		return v.modify(q)
	case OpRename:
		return v.rename(q)
	case OpDelete:
		return v.remove(q)
	}
	return Answer{Code: 53, Text: "this fake does not do that"}
}

// login checks a simple bind. An account that is shut is not let in.
func (v *directory) login(q *Request) Answer {
	refused := Answer{Code: 49}
	if v.ad {
		refused.Text = "80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, data 52e, v4563"
	}
	switch {
	case q.Password == "":
		return Answer{Code: 53, Text: "unauthenticated bind (DN with no password) disallowed"}
	case v.o.Settings["confidential"] == "yes":
		return Answer{Code: 13, Text: "TLS confidentiality required"}
	case same(q.DN, v.bind):
		if v.password == "" || q.Password == v.password {
			return Answer{}
		}
		return refused
	}
	key, err := normal(q.DN)
	if err != nil {
		return Answer{Code: 34, Text: "invalid DN"}
	}
	n := v.entries[key]
	if n == nil || n.password == "" || n.password != q.Password {
		return refused
	}
	if v.shut(n) {
		if v.ad {
			refused.Text = "80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, data 533, v4563"
		}
		return refused
	}
	return Answer{}
}

// wrote notes an effect in the memory that the sandbox shows.
func (v *directory) wrote(n *node, op fake.Op, body any) {
	now := v.o.Time()
	v.changes++
	n.csn = fmt.Sprintf("%s#%06d#000#000000", now.Format("20060102150405.000000Z"), v.changes)
	if !n.person() {
		return
	}
	v.log.Put(n.uuid, v.show(n))
	v.log.Wrote(fake.Write{At: now, Key: n.uuid, Op: op, Body: body})
}

// show is a person as the sandbox shows it.
func (v *directory) show(n *node) map[string]any {
	out := map[string]any{"dn": n.dn, "disabled": v.shut(n)}
	for _, a := range n.values {
		if len(a.Values) == 1 {
			out[a.Name] = a.Values[0]
			continue
		}
		list := make([]any, len(a.Values))
		for i, x := range a.Values {
			list[i] = x
		}
		out[a.Name] = list
	}
	return out
}
