package slapd

import "github.com/muster-hr/muster/libs/testkit/debian"

// program is the server; its folder is often not in PATH.
var program = debian.Program{
	Name: "slapd", Package: "slapd",
	Places: []string{"/usr/sbin/slapd", "/usr/local/sbin/slapd", "/usr/libexec/slapd", "/opt/homebrew/opt/openldap/libexec/slapd"},
}
