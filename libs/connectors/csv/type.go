// Package csv reads people from files of values separated by a delimiter
// (RFC 4180 and its dialects) that a partner lays down on an SFTP server, and
// writes a payroll's change files to one. What follows is the reading; target.go
// begins the writing.
//
//	look    one feed: a folder and a pattern of names; whole files only
//	check   replay, sequence, size, hash, encoding, header, trailer, row count
//	rows    rejected ones are listed, above a limit the file is refused
//	pages   records by key; a full roster is a framed full read
//	away    archived, deleted or left, once its last page is durable
//
// Nothing of a file becomes a record before all its checks have passed. There is
// no standard behind any of this: every agreement fixes names, columns and
// proofs of its own, so they are settings.
//
// Sources: RFC 4180, golang/go 9588 (the mark before a quoted header), and the
// file guides of UKG HRSD, Sage People, PerformYard, Continu, Merge and others
// for what goes wrong.
package csv

import (
	_ "embed"
	"maps"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/sftpx"
	vendorfake "github.com/muster-hr/muster/libs/connectors/csv/fake"
)

// Type is the connector's line in the table. It ships no mapping of what it
// reads: what those columns mean is the company's to say.
var Type = connector.Type{
	Source:  newSource,
	Answers: newAnswers,
	Files:   newFiles,
	Check:   newCheck,
	Schemes: sftpx.Schemes,
	Needs:   []string{"employment.status"}, // a row is made of how it changes
	Settings: merged(sftpx.Settings(), map[string]connector.Setting{
		"folder": {Kind: text, Doc: "Folder on the server, of the feed or for our files. Unset: where a login stands."},
		"name":   {Kind: text, For: connector.AsSource, Default: "*.csv", Doc: "Names of the feed's files: `*` stands for any text, {sequence} for a number that counts up by one, {date} for YYYYMMDD or YYYY-MM-DD, {time} for YYYYMMDDThhmmssZ; the latter two order the files."},
		"kind":   {Kind: text, For: connector.AsSource, Required: true, Words: []string{full, changed, partial}, Doc: "What a file holds: full, everybody; changed, whole rows of those who changed; partial, rows that hold only what changed."},

		"key":         {Kind: text, For: connector.AsSource, Required: true, Doc: "Column with the person's key at the source."},
		"key_pattern": {Kind: text, For: connector.AsSource, Doc: "Regular expression that the whole key fits, as in `E\\d{5}`; a row whose key does not is rejected."},
		"columns":     {Kind: list, Doc: "Columns that a file must have; others are counted and left out. Unset: all are taken, and only the key must be there. Of a target: the columns that are written, in their order; unset: those of a payroll change file."},
		"required":    {Kind: list, For: connector.AsSource, Doc: "Columns that must not be empty in any row."},
		"header":      {Kind: boolean, For: connector.AsSource, Default: true, Doc: "Whether the first line names the columns; without it, columns gives their order."},
		"header_case": {Kind: text, For: connector.AsSource, Default: "fold", Words: []string{"fold", "exact"}, Doc: "Whether the letter case of column names counts. With fold, columns that no setting names are lower case."},
		"ordered":     {Kind: boolean, For: connector.AsSource, Doc: "The columns must stand in the order of columns."},
		"rows":        {Kind: text, For: connector.AsSource, Default: oneRow, Words: []string{oneRow, grouped}, Doc: "one: a row is a record, and a key that stands twice is rejected; grouped: all rows of a key are one record, {\"key\", \"rows\": […]}."},
		"empty":       {Kind: text, For: connector.AsSource, Words: []string{"cleared", "unsaid"}, Doc: "What an empty cell means. Unset: cleared, in a partial file unsaid."},
		"clear":       {Kind: text, Doc: "Word in a cell that clears the value, as in #CLEAR. A target without one gives up who has a value to clear: an empty cell says nothing."},

		"delimiter": {Kind: text, Default: "comma", Words: []string{"comma", "semicolon", "tab", "pipe"}, Doc: "What separates cells."},
		"quote":     {Kind: text, For: connector.AsSource, Default: "double", Words: []string{"double", "single", "none"}, Doc: "What wraps a cell with delimiters in it; the same mark inside is doubled."},
		"encoding":  {Kind: text, Default: "utf-8", Words: []string{"utf-8", "windows-1252", "utf-16le"}, Doc: "Encoding of the files, decoded strictly: what does not fit refuses the file. A byte order mark of that encoding is taken off."},

		"row_type":       {Kind: text, Doc: "First cell of a row of values, where rows have types, as in D. Of a target: what the column record_type says; unset: D."},
		"trailer":        {Kind: text, For: connector.AsSource, Doc: "First cell of the last line, as in T. A file without that line is truncated."},
		"trailer_count":  {Kind: number, For: connector.AsSource, Doc: "Which cell of the trailer holds the number of rows, counted from 1."},
		"trailer_sha256": {Kind: number, For: connector.AsSource, Doc: "Which cell of the trailer holds the SHA-256 of all bytes before it, in hex."},
		"manifest":       {Kind: text, Doc: "Name of the JSON file beside each file that proves it, as in {name}.manifest.json, where {name} is the file's without its last extension. Of file, bytes, sha256, detail_rows, sequence and previous_sequence those that are there are checked. Of a target: brought after each file; unset: there is none."},
		"marker":         {Kind: text, For: connector.AsSource, Doc: "Name of the file that is laid down last, as in {name}.done; without it a file is not taken."},
		"stable_for":     {Kind: duration, For: connector.AsSource, Default: time.Minute, Doc: "How long size and time of a file must have stayed the same, seen on two looks. 0 takes files at first sight, for senders who rename."},

		"gap":                  {Kind: text, For: connector.AsSource, Words: []string{"wait", "take"}, Doc: "What happens when a sequence is missing: both tell; wait leaves the file until the missing one is there. Unset: wait, for full files take."},
		"max_bytes":            {Kind: number, For: connector.AsSource, Default: 64 << 20, Doc: "Size above which a file is refused."},
		"max_rejected":         {Kind: number, For: connector.AsSource, Default: 100, Doc: "Number of rejected rows above which the file is refused."},
		"max_rejected_percent": {Kind: number, For: connector.AsSource, Default: 10, Doc: "Share of rejected rows above which the file is refused; a single row never counts by its share."},
		"page_size":            {Kind: number, For: connector.AsSource, Default: 2000, Doc: "Records that are made durable between two cursors."},
		"archive":              {Kind: text, For: connector.AsSource, Doc: "Folder on the server that files are moved to once they are taken. Unset: they stay."},
		"refused":              {Kind: text, For: connector.AsSource, Doc: "Folder on the server that refused files are moved to. Unset: they stay."},
		"delete":               {Kind: boolean, For: connector.AsSource, Doc: "Files are deleted once they are taken, instead of archived."},
	}, targetSettings()),
	Secrets: sftpx.Secrets(),
	Sandbox: connector.Sandbox{
		Settings: map[string]any{"host_key": []string{vendorfake.HostKey()}},
		Secrets:  map[string]string{"private_key": vendorfake.ClientKey()},
	},
	ToVendor: toVendor,
	Fake:     vendorfake.New,
}

//go:embed to.yaml
var toVendor []byte

// targetSettings are those of the files that we write.
func targetSettings() map[string]connector.Setting {
	all := map[string]connector.Setting{
		"file_name":         {Kind: text, Default: defaultName, Doc: "Name of a file: {sequence} is its number, which must be in it, {time} and {date} when it was built (UTC), {company}, {sender} and {feed} the settings of these names."},
		"company_code":      {Kind: text, Doc: "What the receiver calls the company: the column company_code."},
		"sender":            {Kind: text, Doc: "What the receiver calls us, in the manifest."},
		"feed":              {Kind: text, Default: "PAYCHG", Doc: "What the receiver calls these files."},
		"line_ending":       {Kind: text, Default: "crlf", Words: []string{"crlf", "lf"}, Doc: "What ends a line."},
		"byte_order_mark":   {Kind: boolean, Doc: "Files begin with the mark of their encoding."},
		"trailer_line":      {Kind: list, Default: []string{"T", "{company}", "{rows}", "{sha256}"}, Doc: "Cells of the last line: {rows} counts the rows of values, {sha256} is of all bytes before the line. An empty list: there is no such line."},
		"names_in_all_rows": {Kind: boolean, Doc: "Names stand in all rows, for a receiver that matches by them; else only where they are told."},
		"required_hire":     {Kind: list, Default: []string{colFamily, colGiven, colHired}, Doc: "Columns that a HIRE row must have; who has them not is given up, not sent by half."},
		"required_pay":      {Kind: list, Default: []string{colRate, colCurrency}, Doc: "Columns that a PAY row must have."},
		"encryption":        {Kind: connector.SettingTable, Doc: "What the manifest tells of keys, as recipient_key and signed_by, where a gateway behind us encrypts the files. We do not."},
		"encrypted_suffix":  {Kind: text, Default: ".pgp", Doc: "What that gateway adds to a file's name; in the manifest only if encryption is set."},
		"ack":               {Kind: text, Default: "none", Words: []string{"none", "files"}, Doc: "How the receiver answers: not at all, so that a file that is there is the end of what can be said; or by an acknowledgement and a file of rejected rows."},
		"ack_folder":        {Kind: text, Doc: "Folder on the server where the answers lie. Unset: folder."},
		"ack_name":          {Kind: text, Default: "{name}.ack.json", Doc: "Name of an acknowledgement, where {name} is the file's without its last extension."},
		"rejects_name":      {Kind: text, Default: "{name}.rejects.csv", Doc: "Name of a file of rejected rows, if the acknowledgement names none."},
		"ack_within":        {Kind: duration, Default: 24 * time.Hour, Doc: "How long an answer may take before somebody is told. A file is never sent again for want of one."},
		"first_sequence":    {Kind: number, Default: 1, Doc: "Number of the first file, where a receiver counts on from those of a program before us."},
	}
	for name, s := range all {
		s.For = connector.AsTarget
		all[name] = s
	}
	return all
}

const (
	text     = connector.SettingText
	number   = connector.SettingInt
	boolean  = connector.SettingBool
	duration = connector.SettingDuration
	list     = connector.SettingList
)

// Kinds of files, and what a record is.
const (
	full    = "full"
	changed = "changed"
	partial = "partial"

	oneRow  = "one"
	grouped = "grouped"
)

func merged(all ...map[string]connector.Setting) map[string]connector.Setting {
	out := map[string]connector.Setting{}
	for _, m := range all {
		maps.Copy(out, m)
	}
	return out
}
