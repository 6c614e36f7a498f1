// Package gusto brings people into Gusto, a payroll for the United States, and
// hears from it by webhook.
//
//	hire       employee ► home and work address ► job ► first compensation ► W-4, state tax ► benefits
//	raise      a further compensation with its effective date
//	leaver     a termination on the last day of work; withdrawn again, moved, rehired
//
// Everything in Gusto is an object of its own with a version of its own, and
// there is no idempotency key. So every step reads, compares and writes with
// the version it read: a step that is done already costs a read and changes
// nothing, which is how an interrupted delivery goes on in the middle.
//
// Source of the protocol: docs.gusto.com (embedded payroll and app
// integrations) and the API description in Gusto/gusto-typescript-client.
package gusto

import (
	_ "embed"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	vendorfake "github.com/muster-hr/muster/libs/connectors/gusto/fake"
)

//go:embed from.yaml
var fromFile []byte

//go:embed to.yaml
var toFile []byte

// apiVersion is what this connector was written against.
const apiVersion = "2025-06-15"

// production is where Gusto is; its demo is api.gusto-demo.com.
const production = "https://api.gusto.com"

// Type is the connector's line in the table.
var Type = connector.Type{
	Webhook: newWebhook,
	Reader:  newReader,
	Sink:    newSink,
	Check:   newCheck,
	Needs:   []string{"employment.status"}, // an employment ends by it
	Settings: map[string]connector.Setting{
		"company":                 {Kind: connector.SettingText, Required: true, Doc: "UUID of the company in Gusto."},
		"api_version":             {Kind: connector.SettingText, Default: apiVersion, Doc: "X-Gusto-API-Version of every call."},
		"time_zone":               {Kind: connector.SettingText, Default: "America/New_York", Doc: "Zone of the company's calendar: decides which day today is, where a change has no day of its own."},
		"self_onboarding":         {Kind: connector.SettingBool, Default: false, Doc: "Gusto invites the new employee to enter the rest; needs the personal e-mail."},
		"locations":               {Kind: connector.SettingTable, Doc: "Our names of work locations and the UUIDs of the company's locations in Gusto. A name that is not in it is looked for as a city, or as \"city, state\", among them."},
		"benefits":                {Kind: connector.SettingTable, Doc: "Our codes of deductions and the UUIDs of the company's benefits in Gusto. A code that is not in it is looked for among their descriptions."},
		"off_cycle_final_pay":     {Kind: connector.SettingList, Doc: "States, as in CA, whose leavers get their last pay by an off-cycle payroll (run_termination_payroll); \"*\" is every state. Such a termination cannot be withdrawn."},
		"file_new_hire_report":    {Kind: connector.SettingBool, Default: true, Doc: "Gusto files a new-hire report for somebody who comes back."},
		"send_federal_taxes":      {Kind: connector.SettingBool, Default: true, Doc: "Send W-4 values; the call is described for Embedded only, so App Integrations may lack it (unverified)."},
		"send_state_taxes":        {Kind: connector.SettingBool, Default: true, Doc: "Send state withholding; described for Embedded only, as above (unverified)."},
		"consistency":             {Kind: connector.SettingDuration, Default: 5 * time.Second, Doc: "How long a new employee may stay invisible to a search; Gusto names no time (unverified)."},
		"events":                  {Kind: connector.SettingList, Default: defaultEvents, Doc: "Event types of a webhook that are followed; a trailing * stands for any ending. All others are answered and ignored."},
		"verification_token_file": {Kind: connector.SettingText, Doc: "Where the verification token of a webhook's handshake is written while no webhook secret is configured; for setting up only."},
		"token_file":              {Kind: connector.SettingText, Doc: "Where the tokens of the last refresh are kept: a refresh token is good for one use (unverified), so the next start needs the new one. Processes that share the refresh token share the file."},
	},
	Secrets: map[string]connector.SecretUse{
		"token":            {API: true, Doc: "OAuth 2.0 access token of the company; good for two hours unless it can be refreshed."},
		"refresh_token":    {API: true, Optional: true, Doc: "Refresh token; with client_id and client_secret the access token is renewed when Gusto refuses it."},
		"client_id":        {API: true, Optional: true, Doc: "Client id of the application, for refreshing."},
		"client_secret":    {API: true, Optional: true, Doc: "Client secret of the application, for refreshing."},
		"webhook":          {Webhook: true, Optional: true, Doc: "Verification token of the webhook subscription, which signs every call. Several: one per line."},
		"webhook_previous": {Webhook: true, Optional: true, Doc: "The token of the subscription that is being replaced; still accepted."},
	},
	BaseURL:    production,
	FromVendor: fromFile,
	ToVendor:   toFile,
	Fake:       vendorfake.New,
}
