// Package bamboohr speaks with BambooHR, as a source and as a target.
//
//	BambooHR ──event-based webhook─► Webhook ──► hint ──► Reader ──► Record
//	BambooHR ──field-based webhook─► Webhook ──► partial Record
//	         ◄──employees/changed──  Source  ──► hints
//	         ◄──create, update, row  Sink
//
// A record is the employee's own fields as the vendor sent them, with the rows
// of its history tables beside them: {"id": …, …, "tables": {"jobInfo": […]}}.
// Source of the facts: documentation.bamboohr.com and the vendor's SDK.
package bamboohr

import (
	_ "embed"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connectors/bamboohr/fake"
)

//go:embed from.yaml
var fromFile []byte

//go:embed to.yaml
var toFile []byte

// defaultFields are read when the account does not say otherwise: those that
// the shipped mapping knows. Without a list the vendor answers with the id only.
var defaultFields = []string{
	"employeeNumber", "status", "firstName", "middleName", "lastName", "preferredName",
	"gender", "dateOfBirth", "maritalStatus", "ssn", "sin", "nin",
	"workEmail", "homeEmail", "workPhone", "workPhoneExtension", "mobilePhone", "homePhone",
	"address1", "address2", "city", "state", "stateCode", "zipcode", "country",
	"hireDate", "originalHireDate", "terminationDate", "employmentHistoryStatus",
	"jobTitle", "department", "division", "location", "supervisorEId",
	"payRate", "payType", "paidPer", "payRateEffectiveDate",
}

// The history tables that the shipped mapping knows.
const (
	tableJob          = "jobInfo"
	tableStatus       = "employmentStatus"
	tableCompensation = "compensation"
)

var defaultTables = []string{tableJob, tableStatus, tableCompensation}

// Type is the connector as the table lists it.
var Type = connector.Type{
	Webhook: newWebhook,
	Reader:  newReader,
	Answers: newAnswers,
	Source:  newSource,
	Sink:    newSink,
	Check:   newCheck,
	Settings: map[string]connector.Setting{
		"fields":           {Kind: connector.SettingList, Default: defaultFields, Doc: "Fields that are read of an employee, at most 400; fields that the key may not see are left out by the vendor without a word."},
		"extra_fields":     {Kind: connector.SettingList, Doc: "Fields that are read besides, for example customShirtSize."},
		"tables":           {Kind: connector.SettingList, Default: defaultTables, Doc: "History tables that are read of an employee; one call each."},
		"our_id_field":     {Kind: connector.SettingText, Doc: "A custom text field for the id that Muster gives a person, for example customMusterId; makes an interrupted create recognisable. Unset: none is written."},
		"overlap":          {Kind: connector.SettingDuration, Default: time.Minute, Doc: "How far a poll and a search reach back behind their mark; unverified: whether the vendor's mark is inclusive."},
		"max_age":          {Kind: connector.SettingDuration, Default: time.Duration(0), Doc: "Refuse webhooks whose timestamp is older or younger than this; 0 accepts any. Unverified: whether a retry (up to 2 h 35 min later) has a new timestamp, so a short window may lose retries for good."},
		"consistency":      {Kind: connector.SettingDuration, Default: time.Duration(0), Doc: "How long a created employee may stay invisible to a search; unverified, the vendor documents no delay."},
		"terminated_label": {Kind: connector.SettingText, Default: "Terminated", Doc: "The employment status that ends an employment, in the account's language."},
		"rehire_label":     {Kind: connector.SettingText, Default: "Full-Time", Doc: "The employment status of somebody who comes back, when the mapping gives no employmentHistoryStatus."},
	},
	Secrets: map[string]connector.SecretUse{
		"webhook":          {Webhook: true, Optional: true, Doc: "privateKey of the webhook, shown once when it was registered; needed to receive webhooks. Several webhooks: one key per line."},
		"webhook_previous": {Webhook: true, Optional: true, Doc: "The key of the webhook that is being replaced; still accepted."},
		"api_key":          {API: true, Doc: "API key of a user who may see and, for a target, edit the fields in question."},
	},
	FromVendor: fromFile,
	ToVendor:   toFile,
	Fake:       fake.New,
}
