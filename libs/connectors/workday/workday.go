// Package workday reads people from Workday by one custom report that is
// enabled as a web service (RaaS), as JSON.
//
//	Workday ◄──report, as of a day──  Source ──► records, a framed full read
//
// A report has no paging and may be hundreds of megabytes: it is read as it
// comes, row by row, and given on in pages. Its columns have the names that the
// report's maker chose, so the shipped mapping fits a report built for it.
// The SOAP services are not needed and not spoken: whatever the mapping wants is
// a column of the report.
//
// Sources: public connectors for RaaS and their tests (ianlopshire/go-workday,
// singer-io/tap-workday, NangoHQ/integration-templates), Microsoft's notes on
// as-of dates and hires ahead (Workday integration reference for Entra ID).
package workday

import (
	_ "embed"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	vendorfake "github.com/muster-hr/muster/libs/connectors/workday/fake"
)

//go:embed from.yaml
var fromFile []byte

// Type is the connector's line in the table. There is no webhook that a
// customer could point at us, and nothing is written.
var Type = connector.Type{
	Source:  newSource,
	Answers: newAnswers,
	Check:   newCheck,
	Settings: map[string]connector.Setting{
		"tenant": {Kind: connector.SettingText, Required: true, Doc: "The tenant, as in the address of the report."},
		"report": {Kind: connector.SettingText, Required: true, Doc: "Owner and name of the report, as in its address: ISU_MUSTER/Muster_Workers."},
		"user":   {Kind: connector.SettingText, Doc: "The integration system user, for the secret password; not needed with OAuth."},
		"prompts": {Kind: connector.SettingTable, Doc: "The report's prompts and what is answered: a value, or {as_of} (the day the report is read for), {moment} (when the read began), {since} or {since_day} " +
			"(when the last one began, a prompt that only reads of changes have). Unset: no prompt, and every read is of everybody."},
		"key":         {Kind: connector.SettingText, Default: defaultKey, Doc: "Column with the person's key. The WID of a person differs between the tenants of a company."},
		"zone":        {Kind: connector.SettingText, Default: "UTC", Doc: "Time zone in which days of as-of prompts are reckoned, as in Europe/Dublin."},
		"full_every":  {Kind: connector.SettingDuration, Default: 24 * time.Hour, Doc: "Time between two reads of everybody, when a prompt has {since}: between them, only changes are read. Without such a prompt every read is of everybody."},
		"overlap":     {Kind: connector.SettingDuration, Default: 10 * time.Minute, Doc: "How far a read of changes reaches back behind the one before; unverified: how late an entry shows in a report."},
		"ahead":       {Kind: connector.SettingInt, Default: 0, Doc: "Days: every read also reads the report as of today and so many days, for those who are hired by then. Needs a prompt with {as_of}. 0: none."},
		"hire_date":   {Kind: connector.SettingText, Default: "Hire_Date", Doc: "Column with the day of hire, for ahead."},
		"active":      {Kind: connector.SettingText, Default: "Active", Doc: "Column that is 1 for who works today, for ahead."},
		"page_size":   {Kind: connector.SettingInt, Default: 500, Doc: "Records that are made durable between two cursors."},
		"max_row":     {Kind: connector.SettingInt, Default: 1 << 20, Doc: "Bytes above which a row is refused, and with it the read."},
		"max_bytes":   {Kind: connector.SettingInt, Default: 4 << 30, Doc: "Bytes above which a report is refused, unpacked."},
		"max_refused": {Kind: connector.SettingInt, Default: 100, Doc: "Number of refused rows above which a read is given up."},
		"timeout":     {Kind: connector.SettingDuration, Default: time.Hour, Doc: "Time for a whole report; it may run half an hour before its first byte."},
	},
	Secrets: map[string]connector.SecretUse{
		"password":      {API: true, Optional: true, Doc: "Password of the integration system user. Exempt it from expiry."},
		"client_id":     {API: true, Optional: true, Doc: "Client id of an API client for integrations, instead of user and password."},
		"client_secret": {API: true, Optional: true, Doc: "Its client secret."},
		"refresh_token": {API: true, Optional: true, Doc: "Its refresh token, made not to expire."},
	},
	FromVendor: fromFile,
	Fake:       vendorfake.New,
}
