// Package moodle brings people to Moodle, a self-hosted learning platform, as
// learners: an account with a profile, memberships of cohorts and enrolments.
//
//	pre_hire              created, then suspended (or left open, or not made)
//	active                open
//	leave                 open, or suspended
//	terminated, withdrawn suspended; cohorts, enrolments and results stay
//
// Every call is a form to one address, and every answer is 200: whether it is
// an error stands in the body. Source of the protocol: the code of Moodle 5
// (public/user/externallib.php, public/cohort/externallib.php,
// public/enrol/manual/externallib.php, public/webservice/rest/locallib.php).
package moodle

import (
	_ "embed"

	"github.com/muster-hr/muster/libs/connector"
	vendorfake "github.com/muster-hr/muster/libs/connectors/moodle/fake"
)

//go:embed to.yaml
var toVendor []byte

// Words of the settings pre_hire and leave.
const (
	suspend = "suspend"
	open    = "open"
	none    = "none"
)

// Type is the connector's line in the table.
var Type = connector.Type{
	Sink:  newSink,
	Check: newCheck,
	Needs: []string{"employment.status"}, // who left is shut out by it
	Settings: map[string]connector.Setting{
		"auth":            {Kind: connector.SettingText, Default: "oauth2", Doc: "How a new learner logs in: the name of a Moodle authentication plugin, for example oauth2, saml2, oidc, ldap or manual."},
		"create_password": {Kind: connector.SettingBool, Default: false, Doc: "Moodle makes a password and mails it to each new learner; needed with auth manual and email, which keep passwords in Moodle."},
		"our_id_field":    {Kind: connector.SettingText, Doc: "Short name of a custom profile field that takes our employee id; it must exist first. Unset: none is written."},
		"pre_hire":        {Kind: connector.SettingText, Default: suspend, Words: []string{suspend, open, none}, Doc: "What a person who has not started gets: a suspended account, an open one (learning before the first day), or none."},
		"leave":           {Kind: connector.SettingText, Default: open, Words: []string{open, suspend}, Doc: "Whether the account of a person on leave stays open."},
		"role_id":         {Kind: connector.SettingInt, Default: 5, Doc: "Role of an enrolment; 5 is the student of a site as installed (unverified for yours)."},
		"read_back":       {Kind: connector.SettingBool, Default: true, Doc: "Read a new learner once and compare: Moodle cleans values it does not like and leaves out fields it does not have, both without an error."},
		"batch":           {Kind: connector.SettingInt, Default: 20, Doc: "Learners in one call at most, when several wait; 1 sends each alone."},
		"calls":           {Kind: connector.SettingInt, Default: 2, Doc: "Calls at the same time; the PHP workers of a site are few."},
		"max_input_vars":  {Kind: connector.SettingInt, Default: 1000, Doc: "PHP's limit of form fields, above which the rest is cut off without a word (unverified for yours)."},
	},
	Secrets: map[string]connector.SecretUse{
		"token": {API: true, Doc: "Permanent web-service token of a service user."},
	},
	ToVendor: toVendor,
	Fake:     vendorfake.New,
}
