// Package ldap brings people to a directory over LDAP (RFC 4511): OpenLDAP and
// others that keep people as inetOrgPerson, or Active Directory. One
// connector, two dialects.
//
//	pre_hire     made, shut          lock | userAccountControl 514
//	active       attributes, open    no lock | bit 0x2 clear
//	terminated   shut, out of groups, moved to the leavers; never deleted
//	rehired      found again, moved back, opened
//
// The name of an entry (DN) is where it stands, not who it is: it changes with
// a rename or a move. Entries are followed by entryUUID or objectGUID.
//
// Sources: RFC 4511, 4514 (names), 4515 (filters), 4527 (post-read), 4528
// (assertion), draft-behera-ldap-password-policy, Microsoft's AD schema
// (learn.microsoft.com/windows/win32/adschema), and OpenLDAP 2.5 as run.
package ldap

import (
	_ "embed"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	vendorfake "github.com/muster-hr/muster/libs/connectors/ldap/fake"
)

//go:embed to.yaml
var toVendor []byte

// Type is the connector's line in the table.
var Type = connector.Type{
	Sink:    newSink,
	Check:   newCheck,
	Schemes: []string{"ldaps", "ldap"},
	Needs:   []string{"employment.status"}, // who left is shut out by it
	Settings: map[string]connector.Setting{
		"dialect":                {Kind: connector.SettingText, Default: openLDAP, Words: []string{openLDAP, activeDirectory}, Doc: "Kind of directory; it decides how an account is shut and the defaults of the attributes below."},
		"bind_dn":                {Kind: connector.SettingText, Required: true, Doc: "Name that we log in with; it needs to write below people_dn and leavers_dn and nothing else."},
		"base_dn":                {Kind: connector.SettingText, Required: true, Doc: "Where people are looked for; it covers people_dn and leavers_dn."},
		"people_dn":              {Kind: connector.SettingText, Required: true, Doc: "Where a new person is made, unless the mapping gives a parent."},
		"leavers_dn":             {Kind: connector.SettingText, Doc: "Where people who left are moved. Unset: they stay where they are."},
		"groups_dn":              {Kind: connector.SettingText, Doc: "Groups below it lose a person who left. Unset: groups are not touched."},
		"group_member_attribute": {Kind: connector.SettingText, Default: "member", Doc: "Attribute of a group that holds the names of its members."},
		"ca":                     {Kind: connector.SettingText, Doc: "Certificates of the authority behind the server's, as PEM text or the absolute path of a PEM file. Unset: the system's."},
		"our_id_attribute":       {Kind: connector.SettingText, Doc: "Attribute that takes our employee id; its object class must allow it. Unset: none is written."},
		"id_attribute":           {Kind: connector.SettingText, Doc: "Attribute that identifies an entry for good. Unset: entryUUID, with ad objectGUID."},
		"number_attribute":       {Kind: connector.SettingText, Doc: "Attribute that holds the employee number. Unset: employeeNumber, with ad employeeID."},
		"login_attribute":        {Kind: connector.SettingText, Doc: "Attribute that holds the login name. Unset: uid, with ad sAMAccountName."},
		"rdn_attribute":          {Kind: connector.SettingText, Doc: "Attribute that names an entry. Unset: uid, with ad cn."},
		"object_classes":         {Kind: connector.SettingList, Doc: "Object classes of a new entry. Unset: inetOrgPerson, with ad top, person, organizationalPerson, user."},
		"create_only":            {Kind: connector.SettingList, Doc: "Attributes that are written when an entry is made and stay for life. Unset: none, with ad sAMAccountName."},
		"login_taken":            {Kind: connector.SettingText, Default: "number", Words: []string{"number", "fail"}, Doc: "What happens when another person has the name: the next free number is put behind it, or the delivery becomes a dead letter."},
		"on_leave":               {Kind: connector.SettingText, Default: "keep", Words: []string{"keep", "disable"}, Doc: "What happens to the account of a person on leave."},
		"initial_password":       {Kind: connector.SettingText, Default: "random", Words: []string{"random", "none"}, Doc: "With ad: an account gets a random password that nobody knows before it is opened, and must change it. none: something else sets it, or the domain's policy asks for none."},
		"connections":            {Kind: connector.SettingInt, Default: 4, Doc: "Connections at the same time."},
		"bind_pause":             {Kind: connector.SettingDuration, Default: 5 * time.Minute, Doc: "How long no login is tried after one was refused, so that our own account is not locked out."},
		"consistency":            {Kind: connector.SettingDuration, Default: time.Duration(0), Doc: "How long a write may stay invisible to a search. Name one domain controller in base_url and leave it at 0; replication between several takes seconds to minutes (unverified)."},
	},
	Secrets: map[string]connector.SecretUse{
		"password": {API: true, Doc: "Password of bind_dn; it is only sent inside TLS, or to this machine."},
	},
	ToVendor: toVendor,
	Fake:     vendorfake.New,
}
