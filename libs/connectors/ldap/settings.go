package ldap

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/secret"
)

// The dialects.
const (
	openLDAP        = "openldap"
	activeDirectory = "ad"
)

// settings are an account's, read and judged.
type settings struct {
	host, port string
	tls        bool // from the first byte: ldaps
	roots      *x509.CertPool

	dialect  string
	bind     string
	password secret.Value

	base, people, leavers, groups   string // names of entries
	ourID, id, number, login, named string // attributes
	member                          string
	classes, once                   []string
	numbering, shutOnLeave, initial bool
}

func read(a connector.Account) (settings, error) {
	s := settings{
		dialect: a.Text("dialect"), bind: a.Text("bind_dn"), password: a.Secrets["password"],
		base: a.Text("base_dn"), people: a.Text("people_dn"), leavers: a.Text("leavers_dn"), groups: a.Text("groups_dn"),
		ourID: a.Text("our_id_attribute"), id: a.Text("id_attribute"), number: a.Text("number_attribute"),
		login: a.Text("login_attribute"), named: a.Text("rdn_attribute"), member: a.Text("group_member_attribute"),
		classes: a.List("object_classes"), once: a.List("create_only"),
		numbering: a.Text("login_taken") != "fail", shutOnLeave: a.Text("on_leave") == "disable", initial: a.Text("initial_password") != "none",
	}
	if err := s.address(a.BaseURL); err != nil {
		return s, err
	}
	// A name with an empty password is an anonymous login that some servers
	// answer with success (RFC 4513 section 5.1.2).
	if s.password.Reveal() == "" {
		return s, fmt.Errorf("the secret password is missing or empty")
	}
	for name, dn := range map[string]string{"bind_dn": s.bind, "base_dn": s.base, "people_dn": s.people} {
		if dn == "" {
			return s, fmt.Errorf("%s is missing", name)
		}
	}
	for name, dn := range map[string]string{"base_dn": s.base, "people_dn": s.people, "leavers_dn": s.leavers, "groups_dn": s.groups} {
		if _, err := parse(dn); err != nil {
			return s, fmt.Errorf("%s is not the name of an entry", name)
		}
	}
	for name, dn := range map[string]string{"people_dn": s.people, "leavers_dn": s.leavers} {
		if dn != "" && !below(dn, s.base) {
			return s, fmt.Errorf("%s is not below base_dn: who is there would not be found again", name)
		}
	}
	s.defaults()
	var err error
	s.roots, err = authorities(a.Text("ca"))
	return s, err
}

// address reads base_url.
func (s *settings) address(base string) error {
	u, err := url.Parse(base)
	switch {
	case err != nil || u.Hostname() == "" || (u.Scheme != "ldap" && u.Scheme != "ldaps"):
		return fmt.Errorf("base_url: write ldaps://HOST, or ldap://HOST for StartTLS")
	case u.Path != "" && u.Path != "/":
		return fmt.Errorf("base_url: write the name of the entry under base_dn, not into the address")
	}
	s.tls, s.host, s.port = u.Scheme == "ldaps", u.Hostname(), u.Port()
	switch {
	case s.port != "":
	case s.tls:
		s.port = "636"
	default:
		s.port = "389"
	}
	return nil
}

func (s *settings) defaults() {
	set := func(what *string, or, ad string) {
		if *what != "" {
			return
		}
		if *what = or; s.dialect == activeDirectory {
			*what = ad
		}
	}
	set(&s.id, "entryUUID", "objectGUID")
	set(&s.number, "employeeNumber", "employeeID")
	set(&s.login, "uid", "sAMAccountName")
	set(&s.named, "uid", "cn")
	set(&s.member, "member", "member")
	if len(s.classes) == 0 {
		s.classes = []string{"inetOrgPerson"}
		if s.dialect == activeDirectory {
			s.classes = []string{"top", "person", "organizationalPerson", "user"}
		}
	}
	if s.once == nil && s.dialect == activeDirectory {
		s.once = []string{"sAMAccountName"}
	}
}

// loopback tells whether the server is on this machine.
func (s settings) loopback() bool {
	ip, err := netip.ParseAddr(s.host)
	return s.host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

func (s settings) target() string { return net.JoinHostPort(s.host, s.port) }

// authorities reads certificates; nil stands for the system's.
func authorities(text string) (*x509.CertPool, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil //nolint:nilnil // no pool is what crypto/tls takes for the system's
	}
	pem := []byte(text)
	if filepath.IsAbs(text) {
		var err error
		if pem, err = os.ReadFile(text); err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca: there is no certificate in it: write PEM text, or the absolute path of a PEM file")
	}
	return pool, nil
}
