// Package httpconn is the connector for systems that have none of their own:
// it takes signed JSON webhooks of a form that the company describes, and it
// writes people to any JSON API by templates of method and path.
//
//	source: verify (signature or credential) → split into records → key, version
//	target: look up (optional) → create | update | disable → remember the id
package httpconn

import (
	"github.com/muster-hr/muster/libs/connector"
	vendorfake "github.com/muster-hr/muster/libs/connectors/http/fake"
)

// Type is the connector's line in the table. It ships no mapping: what the
// fields mean is the company's to say.
var Type = connector.Type{
	Webhook:  newWebhook,
	Sink:     newSink,
	Check:    newCheck,
	Settings: settings,
	Secrets: map[string]connector.SecretUse{
		"webhook": {Webhook: true, Optional: true, Doc: "What the sender proves itself with: the signing key, the token, or user:password; one per line while it is being replaced."},
		"api":     {API: true, Optional: true, Doc: "What we prove ourselves with at the target: the token, or user:password."},
	},
	Fake: vendorfake.New,
}

const (
	text     = connector.SettingText
	number   = connector.SettingInt
	boolean  = connector.SettingBool
	duration = connector.SettingDuration
	list     = connector.SettingList
	table    = connector.SettingTable
)

var settings = map[string]connector.Setting{
	// Both directions.
	"auth":        {Kind: text, Default: "none", Words: []string{"none", "bearer", "basic", "header"}, Doc: "How a credential travels, towards us in a source and from us in a target."},
	"auth.header": {Kind: text, Doc: "The header that carries the secret when auth is header."},

	// Source: proof of origin.
	"signature.header":           {Kind: text, Doc: "The header with the signature; unset: none is expected, then auth must say something."},
	"signature.over":             {Kind: text, Default: "{body}", Doc: "What is signed, from {body}, {ts} and {id}."},
	"signature.format":           {Kind: text, Default: "{hex}", Doc: "How the header reads, from {hex}, {b64}, {b64url} and {ts}, as in sha256={hex}."},
	"signature.algorithm":        {Kind: text, Default: "sha256", Words: []string{"sha256", "sha512", "sha1"}, Doc: "The hash of the HMAC."},
	"signature.timestamp_header": {Kind: text, Doc: "The header with {ts}."},
	"signature.id_header":        {Kind: text, Doc: "The header with {id}."},
	"signature.key_encoding":     {Kind: text, Default: "text", Words: []string{"text", "base64", "hex"}, Doc: "How the secret is written."},
	"signature.max_age":          {Kind: duration, Doc: "How far {ts} may be from now, either way; unset: any, which lets old calls be sent again."},

	// Source: what is in a call. A place is a path below the record, or
	// "$.path" from the top of the message, "header:NAME", or "=text".
	"records":        {Kind: text, Doc: "Path of the records in the message, as in employees[*]; unset: the whole message is one."},
	"key":            {Kind: text, Default: "id", Doc: "Place of the person's id at the source."},
	"event":          {Kind: text, Doc: "Place of the source's word for what happened, as in $.type or =employee.updated."},
	"id":             {Kind: text, Doc: "Place of what a repeat of the message has equal; unset: the content itself."},
	"version.path":   {Kind: text, Doc: "Place of the record's version; when set, every record must have it."},
	"version.scale":  {Kind: text, Default: "sequence", Words: []string{"sequence", "time"}, Doc: "What the version is: a whole number that counts up, or an RFC 3339 time."},
	"partial":        {Kind: boolean, Doc: "Records carry only what changed."},
	"deleted":        {Kind: text, Doc: "Place of what tells that the person is gone from the source."},
	"deleted.values": {Kind: list, Default: []string{"true"}, Doc: "The values of that place that mean gone, compared without case."},
	"success_status": {Kind: number, Default: 202, Doc: "Status of our answer to an authentic call."},

	// Target. Templates know {id} (our id), {key} (the target's id), {verb}
	// (create, update, disable) and {type} (the event type).
	"method":         {Kind: text, Default: "PUT", Doc: "Method of a write."},
	"path":           {Kind: text, Default: "/people/{id}", Doc: "Path of a write below the base URL."},
	"query":          {Kind: table, Doc: "Query of every write; values may hold the same placeholders."},
	"headers":        {Kind: table, Doc: "Fixed headers of every call; never for secrets."},
	"create.method":  {Kind: text, Doc: "Method of the first write of a person."},
	"create.path":    {Kind: text, Doc: "Path of the first write."},
	"update.method":  {Kind: text, Doc: "Method of later writes; PATCH sends only what changed (RFC 7396)."},
	"update.path":    {Kind: text, Doc: "Path of later writes."},
	"disable.method": {Kind: text, Doc: "Method for a person who left; DELETE sends no body. Unset: written like an update."},
	"disable.path":   {Kind: text, Doc: "Path for a person who left."},
	"lookup.path":    {Kind: text, Doc: "Path with query that finds a person, from {id}, {employee_number}, {work_email} and {username}, or, with {event} (the id of a change, as body: event sends it), what finds one change that was sent; unset: nothing is looked up."},
	"lookup.result":  {Kind: text, Default: "id", Doc: "Path of the target's id in the answer, as in items[0].id."},
	"lookup.window":  {Kind: duration, Doc: "How long a write may stay invisible to the lookup."},
	"ref":            {Kind: text, Doc: "Where the answer to a create names the target's id: a path, or Location for the last segment of that header."},
	"idempotency":    {Kind: text, Doc: "\"header NAME\": sends a key derived from the event; \"method\": the method is safe to repeat by itself, as PUT to {id} is."},
	"body":           {Kind: text, Default: "fields", Words: []string{"fields", "event"}, Doc: "What is sent: the mapped fields, or {id, type, version, body} around them."},
	"classes":        {Kind: table, Doc: "What a status means where it differs from the usual, as in 409: done; words: done, record, target, throttled, transient."},
	"state_like":     {Kind: boolean, Default: true, Doc: "The target wants the newest state; false: every change in order."},
}
