// Package typeform reads answers to Typeform's forms: pushed when somebody
// submits one, and polled to catch up.
//
//	Typeform ──form_response──► Webhook ──► Record (key: response token)
//	         ◄──responses of a form──  Source, Answers ──► the same Record
//
// A record's body is a [survey.Response] as JSON, not a person: answers are of
// class survey, and transform links them to who gave them. A completed response never
// changes, so its token is the id of its record wherever it comes from. Source
// of the facts: typeform.com/developers/webhooks and /developers/responses.
package typeform

import (
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connectors/typeform/fake"
)

// defaultRespondent are usual names of hidden fields and what they hold.
var defaultRespondent = map[string]string{
	"employee_id": byExternalID, "employee_number": byNumber, "email": byEmail,
}

const (
	defaultOverlap = 10 * time.Minute
	defaultBase    = "https://api.typeform.com"
)

// Type is the connector as the table lists it.
var Type = connector.Type{
	Webhook: newWebhook,
	Source:  newSource,
	Answers: newAnswers,
	Check:   newCheck,
	Survey:  true,
	BaseURL: defaultBase,
	Settings: map[string]connector.Setting{
		"forms":          {Kind: connector.SettingList, Doc: "Ids of the forms that are polled; needed with a schedule. Webhooks are taken from every form that sends them signed."},
		"respondent":     {Kind: connector.SettingTable, Default: defaultRespondent, Doc: "Hidden fields that say who answered, each with external_id, employee_number or email. They stand in the link and can be changed by whoever opens it."},
		"email_question": {Kind: connector.SettingText, Doc: "Reference of an e-mail question that says who answered, where no hidden field does."},
		"enps":           {Kind: connector.SettingText, Doc: "Reference of the question whose answer from 0 to 10 is the eNPS. Unset: every question of type nps."},
		"scales":         {Kind: connector.SettingTable, Doc: "Ends of a scale by the question's reference, as in `mgr: 1-5`. Typeform sends only the number."},
		"page_size":      {Kind: connector.SettingInt, Default: 1000, Doc: "Responses in one polled page, at most 1000."},
		"overlap":        {Kind: connector.SettingDuration, Default: defaultOverlap, Doc: "How far a poll reaches back behind the newest response it has seen: the API shows a response some seconds after it was submitted (unverified how many)."},
	},
	Secrets: map[string]connector.SecretUse{
		"webhook":          {Webhook: true, Optional: true, Doc: "Secret of the webhook, which you choose; needed to receive webhooks. Several forms with secrets of their own: one per line."},
		"webhook_previous": {Webhook: true, Optional: true, Doc: "The secret before the last rotation, still accepted; retries come for up to 10 hours."},
		"token":            {API: true, Optional: true, Doc: "Personal access token, or access token of an OAuth application; needed to poll."},
	},
	Fake: fake.New,
}
