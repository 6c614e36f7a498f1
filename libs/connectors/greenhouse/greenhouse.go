// Package greenhouse reads what Greenhouse Recruiting pushes: an accepted offer
// becomes a pre-hire, a withdrawn one is taken back.
//
//	Greenhouse ──hire_candidate, unhire_candidate──► Webhook ──► Record (key: candidate id)
//
// Greenhouse pushes whole objects, so there is nothing to read afterwards, and
// it has no capability to write. Source of the facts: Greenhouse developer
// documentation, "Web hooks" (grnhse/greenhouse-api-docs).
package greenhouse

import (
	_ "embed"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connectors/greenhouse/fake"
)

//go:embed mapping.yaml
var mappingFile []byte

var defaultEvents = []string{"hire_candidate", "unhire_candidate"}

// Type is the connector as the table lists it.
var Type = connector.Type{
	Webhook: newWebhook,
	Settings: map[string]connector.Setting{
		"events": {
			Kind:    connector.SettingList,
			Default: defaultEvents,
			Doc:     "Actions that become records; every other authentic call is answered and ignored. The shipped mapping knows the two defaults and update_candidate, which is laid over the hire.",
		},
	},
	Secrets: map[string]connector.SecretUse{
		"webhook":          {Webhook: true, Doc: "Secret key of the web hook. Several web hooks with keys of their own: one key per line."},
		"webhook_previous": {Webhook: true, Optional: true, Doc: "The key before the last rotation, still accepted; late retries carry its signature for up to 15 hours. Remove it afterwards."},
	},
	FromVendor: mappingFile,
	Fake:       fake.New,
}
