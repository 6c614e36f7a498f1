// Package slapd starts a real OpenLDAP server for a test: TLS and StartTLS with
// certificates of its own, the overlays unique, refint and ppolicy, a user that
// may write, and nobody in it. Or the same server in the clothes of Active
// Directory, as far as a small schema goes. Everything is gone with the test.
package slapd

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"

	_ "embed"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/muster-hr/muster/libs/testkit/debian"
)

//go:embed slapd.conf.tmpl
var conf string

//go:embed ad.schema
var adSchema string

//go:embed seed.ldif.tmpl
var seed string

// Options of a server. The zero value is an OpenLDAP as inetOrgPerson knows it.
type Options struct {
	AD       bool // users with sAMAccountName and userAccountControl
	NoPolicy bool // without the password policy overlay: nothing can be locked
}

// Server is a running slapd.
type Server struct {
	*Authority
	Address  string // HOST:PORT of ldap://, with StartTLS
	Secure   string // HOST:PORT of ldaps://
	Base     string // and below it ou=people, ou=leavers, ou=groups, ou=services
	BindDN   string // may write
	Password string

	root *goldap.Conn
}

const rootPassword = "root-of-a-test"

// Start gives a fresh server. Where slapd is missing and is not ours to
// install, the test fails and names the command.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	path, err := program.Path()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Authority: NewAuthority(t), Base: "dc=brightfjord,dc=example", Password: "hub-of-a-test"}
	s.BindDN = "cn=hub,ou=services," + s.Base
	dir := folder(t)
	for try := 1; ; try++ {
		err := s.start(t, path, dir, o)
		if err == nil {
			break
		}
		if try == 3 { // another process may take a port between the look and the start
			t.Fatal(err)
		}
	}
	if s.root, err = s.dial("cn=root,"+s.Base, rootPassword); err != nil {
		t.Fatalf("log in as root: %v", err)
	}
	t.Cleanup(func() { _ = s.root.Close() })
	return s
}

// folder is short-lived and private; slapd runs as who runs the test.
func folder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// start writes the files, fills the database and runs the server.
func (s *Server) start(t testing.TB, path, dir string, o Options) error {
	var err error
	if s.Address, err = free(t.Context()); err != nil {
		return err
	}
	if s.Secure, err = free(t.Context()); err != nil {
		return err
	}
	schemas, err := schemaFolder(path)
	if err != nil {
		return err
	}
	values := map[string]any{
		"Dir": dir, "Base": s.Base, "BindDN": s.BindDN, "Password": s.Password, "RootPassword": rootPassword,
		"Schemas": schemas, "Modules": moduleFolder(), "AD": o.AD, "Policy": !o.NoPolicy,
	}
	for name, text := range map[string]string{"slapd.conf": conf, "seed.ldif": seed} {
		var b bytes.Buffer
		if err := template.Must(template.New(name).Parse(text)).Execute(&b, values); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o600); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "ad.schema"), []byte(adSchema), 0o600); err != nil {
		return err
	}
	if err := s.write(dir); err != nil {
		return err
	}
	if err := refill(filepath.Join(dir, "db")); err != nil {
		return err
	}
	file := filepath.Join(dir, "slapd.conf")
	add := exec.CommandContext(t.Context(), path, "-T", "add", "-f", file, "-l", filepath.Join(dir, "seed.ldif"))
	if out, err := add.CombinedOutput(); err != nil {
		return fmt.Errorf("fill the directory: %w\n%s", err, out)
	}
	log := &bytes.Buffer{}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), path, "-f", file, "-d", "0", "-h", "ldap://"+s.Address+" ldaps://"+s.Secure)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = debian.DieWithParent()
	if err := cmd.Start(); err != nil {
		return err
	}
	p := &process{Cmd: cmd, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		p.err = cmd.Wait()
	}()
	t.Cleanup(p.stop)
	return s.await(p, log)
}

func refill(db string) error { return errors.Join(os.RemoveAll(db), os.Mkdir(db, 0o700)) }

// process is a running server; err is set once ended is closed.
type process struct {
	*exec.Cmd
	ended chan struct{}
	err   error
}

func (p *process) stop() {
	_ = p.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		_ = p.Process.Kill()
		<-p.ended
	}
}

// await waits until the server takes connections.
func (s *Server) await(p *process, log *bytes.Buffer) error {
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); {
		select {
		case <-p.ended:
			return fmt.Errorf("slapd ended: %w\n%s", p.err, log)
		case <-time.After(10 * time.Millisecond):
		}
		if c, err := s.dial("cn=root,"+s.Base, rootPassword); err == nil {
			return c.Close()
		}
	}
	return fmt.Errorf("slapd does not answer\n%s", log)
}

// dial logs in over ldaps.
func (s *Server) dial(dn, password string) (*goldap.Conn, error) {
	c, err := goldap.DialURL("ldaps://"+s.Secure, goldap.DialWithTLSConfig(&tls.Config{RootCAs: s.Roots, MinVersion: tls.VersionTLS12}))
	if err != nil {
		return nil, err
	}
	if err := c.Bind(dn, password); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// Login tells what a login as an entry comes to: nil, or the server's error.
func (s *Server) Login(dn, password string) error {
	c, err := s.dial(dn, password)
	if err == nil {
		err = c.Close()
	}
	return err
}

// Root is a connection that may do everything.
func (s *Server) Root() *goldap.Conn { return s.root }

// Entries are all that a filter finds, with operational attributes.
func (s *Server) Entries(t testing.TB, filter string) []*goldap.Entry {
	t.Helper()
	r, err := s.root.Search(goldap.NewSearchRequest(s.Base, goldap.ScopeWholeSubtree, goldap.NeverDerefAliases, 0, 0, false, filter, []string{"*", "+"}, nil))
	if err != nil {
		t.Fatalf("look into the directory: %v", err)
	}
	return r.Entries
}

// Entry is the only one that a filter finds.
func (s *Server) Entry(t testing.TB, filter string) *goldap.Entry {
	t.Helper()
	found := s.Entries(t, filter)
	if len(found) != 1 {
		t.Fatalf("%d entries match %s, want one", len(found), filter)
	}
	return found[0]
}

// Empty takes out everybody, and every group.
func (s *Server) Empty(t testing.TB) {
	t.Helper()
	for _, e := range s.Entries(t, "(|(objectClass=inetOrgPerson)(objectClass=groupOfNames))") {
		if err := s.root.Del(goldap.NewDelRequest(e.DN, nil)); err != nil {
			t.Fatalf("empty the directory: %v", err)
		}
	}
}

func free(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// schemaFolder is where the server's own schemas are.
func schemaFolder(path string) (string, error) {
	guesses := []string{"/etc/ldap/schema", "/etc/openldap/schema", filepath.Join(filepath.Dir(path), "../etc/openldap/schema"), "/opt/homebrew/etc/openldap/schema"}
	for _, g := range guesses {
		if _, err := os.Stat(filepath.Join(g, "inetorgperson.schema")); err == nil {
			return g, nil
		}
	}
	return "", fmt.Errorf("slapd is there, its schemas are not: looked in %s", strings.Join(guesses, ", "))
}

// moduleFolder is where overlays are; "" where they are built in.
func moduleFolder() string {
	guesses := []string{"/usr/lib/ldap", "/usr/lib64/openldap", "/usr/lib/openldap", "/usr/libexec/openldap"}
	i := slices.IndexFunc(guesses, func(g string) bool { _, err := os.Stat(filepath.Join(g, "ppolicy.so")); return err == nil })
	if i < 0 {
		return ""
	}
	return guesses[i]
}
