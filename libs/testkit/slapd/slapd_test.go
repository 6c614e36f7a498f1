package slapd_test

import (
	"testing"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/muster-hr/muster/libs/testkit/slapd"
)

// TestStart: the server is private, empty, and what it promises to be.
func TestStart(t *testing.T) {
	s := slapd.Start(t, slapd.Options{})
	if err := s.Login(s.BindDN, s.Password); err != nil {
		t.Fatalf("log in over ldaps: %v", err)
	}
	if err := s.Login(s.BindDN, "wrong"); !goldap.IsErrorWithCode(err, goldap.LDAPResultInvalidCredentials) {
		t.Errorf("a wrong password: %v", err)
	}
	c, err := goldap.DialURL("ldap://" + s.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Bind(s.BindDN, s.Password); !goldap.IsErrorWithCode(err, goldap.LDAPResultConfidentialityRequired) {
		t.Errorf("a login without TLS: %v", err)
	}
	if people := s.Entries(t, "(objectClass=inetOrgPerson)"); len(people) != 0 {
		t.Errorf("%d people in a fresh directory", len(people))
	}
}
