package fake_test

import (
	"context"
	"crypto/tls"
	"net"
	"testing"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/muster-hr/muster/libs/connector/fake"
	ldapfake "github.com/muster-hr/muster/libs/connectors/ldap/fake"
	"github.com/muster-hr/muster/libs/testkit/slapd"
)

// filter is the value of an assertion.
func filter(text string) string {
	p, err := goldap.CompileFilter(text)
	if err != nil {
		panic(err) // ours
	}
	return string(p.Bytes())
}

func tlsFor(s *slapd.Server) *tls.Config {
	return &tls.Config{ServerName: "127.0.0.1", RootCAs: s.Roots, MinVersion: tls.VersionTLS12}
}

// seeds are requests as a client writes them.
func seeds(f *testing.F) [][]byte {
	f.Helper()
	v := ldapfake.New(fake.Options{})
	opener, ok := v.(interface {
		Open(context.Context) (ldapfake.Session, error)
	})
	if !ok {
		f.Fatal("it cannot be opened")
	}
	var out [][]byte
	server := &ldapfake.Server{Faults: &fake.Faults{}, Open: opener.Open, Saw: func(q *ldapfake.Request) { out = append(out, q.Raw) }}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, l) }()
	c, err := goldap.DialURL("ldap://" + l.Addr().String())
	if err != nil {
		f.Fatal(err)
	}
	_ = c.Bind("cn=hub,dc=example", "x")
	_ = add("uid=a,ou=people,dc=example", "objectClass", "inetOrgPerson", "cn", "a", "sn", "a")(c)
	_ = modify("uid=a,ou=people,dc=example", func(q *goldap.ModifyRequest) { q.Replace("title", []string{"t"}) },
		goldap.NewControlString("1.3.6.1.1.12", true, filter("(&(title=*)(|(cn=a*b)(!(sn>=c))(uid:1.2.840.113556.1.4.803:=2)))")))(c)
	_ = rename("uid=a,ou=people,dc=example", "uid=b", "ou=people,dc=example")(c)
	_ = count("(uid=a)")(c)
	_ = c.Del(goldap.NewDelRequest("uid=b,ou=people,dc=example", nil))
	_, _ = c.WhoAmI(nil)
	c.Close()
	cancel()
	if err := <-done; err != nil {
		f.Fatal(err)
	}
	return out
}
