// Package scim brings people to any product that speaks SCIM 2.0 (RFC 7643,
// RFC 7644): identity providers and many applications. The RFC leaves much
// open, so what a server can is asked of it and learnt from its refusals.
//
//	pre_hire               POST, active false
//	active                 POST | PATCH of what differs, active true
//	terminated, withdrawn  PATCH active false, alone; then the rest
//	rehired                found again, active true
//
// Sources: RFC 7643, RFC 7644, the client samples of elimity-com/scim, Slack's
// and Microsoft's pages on SCIM, and SCIMMY 1.3 as run.
package scim

import (
	_ "embed"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	vendorfake "github.com/muster-hr/muster/libs/connectors/scim/fake"
)

//go:embed to.yaml
var toVendor []byte

// Type is the connector's line in the table.
var Type = connector.Type{
	Sink:  newSink,
	Check: newCheck,
	Needs: []string{"employment.status"}, // who left is shut out by it
	Settings: map[string]connector.Setting{
		"auth":              {Kind: connector.SettingText, Default: "bearer", Words: []string{"bearer", "basic"}, Doc: "How the token is sent: as a bearer token, or by Basic, then the token is USER:PASSWORD."},
		"external_id":       {Kind: connector.SettingText, Default: ourID, Words: []string{ourID, ourNumber}, Doc: "What goes into externalId, by which an account is found again: our employee id, or the employee number."},
		"patch_style":       {Kind: connector.SettingText, Default: styleAuto, Words: []string{styleAuto, stylePath, stylePathless, stylePathlessAdd, stylePut}, Doc: "Form of an update; auto asks ServiceProviderConfig and learns from refusals (unverified for servers that know one form only)."},
		"pre_hire":          {Kind: connector.SettingText, Default: "inactive", Words: []string{"inactive", "none"}, Doc: "Before the first day an account is made that is not active, or none."},
		"on_leave":          {Kind: connector.SettingText, Default: "keep", Words: []string{"keep", "deactivate"}, Doc: "What happens to the account of a person on leave."},
		"terminated_action": {Kind: connector.SettingText, Default: "deactivate", Words: []string{"deactivate", "delete"}, Doc: "What happens to the account of a person who left; delete is for products in which DELETE deactivates, in most it is final."},
		"scan_limit":        {Kind: connector.SettingInt, Default: 5000, Doc: "Most accounts that are listed to find one person, on a server that ignores filters or compares them by case."},
		"consistency":       {Kind: connector.SettingDuration, Default: 5 * time.Second, Doc: "How long a write may stay invisible to a filter; the RFC does not say (unverified)."},
	},
	Secrets: map[string]connector.SecretUse{
		"token": {API: true, Doc: "Token that may read and write users."},
	},
	ToVendor: toVendor,
	Fake:     vendorfake.New,
}
