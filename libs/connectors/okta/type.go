// Package okta brings people to Okta, the identity provider: a profile and a
// lifecycle state, from which Okta itself opens and closes the accounts in the
// applications behind it. One wrong deactivation here fans out.
//
//	pre_hire              create?activate=false        STAGED
//	active                activate | unsuspend         ACTIVE
//	leave                 suspend                      SUSPENDED
//	terminated, withdrawn deactivate (or suspend)      DEPROVISIONED
//
// Source of the protocol: https://developer.okta.com/docs/api/rest/users.html,
// the OpenAPI file of okta/okta-sdk-golang, and Okta's list of error codes.
package okta

import (
	_ "embed"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	vendorfake "github.com/muster-hr/muster/libs/connectors/okta/fake"
)

//go:embed to.yaml
var toVendor []byte

// Type is the connector's line in the table.
var Type = connector.Type{
	Sink:  newSink,
	Check: newCheck,
	Needs: []string{"employment.status"}, // who left is shut out by it
	Settings: map[string]connector.Setting{
		"auth":                  {Kind: connector.SettingText, Default: "ssws", Words: []string{"ssws", "bearer"}, Doc: "How the token is sent: an API token (ssws), or an OAuth 2.0 access token (bearer)."},
		"our_id_attribute":      {Kind: connector.SettingText, Doc: "Custom profile attribute that takes our employee id; it must exist in the profile schema first. Unset: none is written."},
		"activate_send_email":   {Kind: connector.SettingBool, Default: false, Doc: "Okta mails the activation link to the person."},
		"deactivate_send_email": {Kind: connector.SettingBool, Default: false, Doc: "Okta mails the administrators that somebody was deactivated."},
		"consistency":           {Kind: connector.SettingDuration, Default: 10 * time.Second, Doc: "How long a write may stay invisible to search; Okta says eventually and names no time (unverified)."},
		"terminated_action":     {Kind: connector.SettingText, Default: "deactivate", Words: []string{"deactivate", "suspend"}, Doc: "What happens to the account of a person who left; deactivate takes them out of every application."},
	},
	Secrets: map[string]connector.SecretUse{
		"token": {API: true, Doc: "API token or access token; it needs okta.users.read and okta.users.manage."},
	},
	ToVendor: toVendor,
	Fake:     vendorfake.New,
}
