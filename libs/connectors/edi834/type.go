// Package edi834 tells an insurance carrier about benefit enrolments: files in
// the format X12 834 005010X220A1, brought over SFTP, and the carrier's answers
// to them, TA1 and 999.
//
//	change ► Piece   what the carrier was told against what it shall know:
//	                 the person's loops, every value checked
//	file   ► Build   envelope, header, the loops of all, counts
//	       ► Put     temporary name, size, rename
//	answer ► Answers TA1, 999 ► the person whose segment was refused
//
// Only changes are sent, never a full file: in a full file, somebody left out
// is somebody whose cover may end.
//
// Sources: the readings of the guide in pyx12 (834.5010.X220.A1.v2.xml,
// 999.5010X231.A1.xml) and stupidedi (X220A1-BE834.rb), X12's examples for
// 005010X220 and its interpretation 1775.
package edi834

import (
	_ "embed"
	"maps"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/sftpx"
	vendorfake "github.com/muster-hr/muster/libs/connectors/edi834/fake"
)

//go:embed to.yaml
var toVendor []byte

// Type is the connector's line in the table.
var Type = connector.Type{
	Files:    newFiles,
	Check:    newCheck,
	Schemes:  sftpx.Schemes,
	Needs:    []string{"employment.status"}, // cover ends by it, not by a day alone
	Settings: settings(),
	Secrets:  sftpx.Secrets(),
	ToVendor: toVendor,
	Sandbox: connector.Sandbox{
		Settings: map[string]any{"host_key": []string{vendorfake.HostKey()}, "usage": "T"},
		Secrets:  map[string]string{"private_key": vendorfake.ClientKey()},
	},
	Fake: vendorfake.New,
}

const (
	text     = connector.SettingText
	number   = connector.SettingInt
	boolean  = connector.SettingBool
	duration = connector.SettingDuration
	table    = connector.SettingTable
)

func settings() map[string]connector.Setting {
	out := sftpx.Settings()
	for _, s := range []map[string]connector.Setting{transport, envelope, parties, members} {
		maps.Copy(out, s)
	}
	return out
}

// transport says where files and answers lie.
var transport = map[string]connector.Setting{
	"folder":         {Kind: text, Doc: "Folder on the server that files go into. Unset: where a login stands."},
	"answers_folder": {Kind: text, Doc: "Folder on the server where the carrier's answers lie; only read. Needed unless answers is none."},
	"name":           {Kind: text, Default: "834_{yyyymmdd}_{sequence}.x12", Doc: "Name of a file: {sequence} is its number, {control} the same with nine digits, {yyyymmdd} and {hhmmss} when it was built."},
	"answers":        {Kind: text, Default: "999", Words: []string{"999", "ta1", "none"}, Doc: "What ends a file: 999, the acknowledgement of its content; ta1, that of its envelope, from carriers who send nothing else; none, nothing is awaited."},
	"answer_within":  {Kind: duration, Default: 24 * time.Hour, Doc: "How long the carrier may take to answer before a person is told. Nothing is ever sent again because of it."},
	"first_number":   {Kind: number, Default: 1, Doc: "Number of the first file; where another program sent before, one above its last."},
	"set_size":       {Kind: number, Default: 0, Doc: "People's changes in a transaction set at most; a refused set refuses everybody in it. 0: one set for all."},
}

// envelope says how the file is written.
var envelope = map[string]connector.Setting{
	"usage":                {Kind: text, Required: true, Words: []string{"T", "P"}, Doc: "ISA15: P enrols people and is refused outside of environment production; T is refused within."},
	"sender":               {Kind: text, Required: true, Doc: "ISA06: our id, at most 15 characters."},
	"sender_qualifier":     {Kind: text, Default: "ZZ", Doc: "ISA05: what kind of id that is: ZZ agreed, 30 tax id, 01 D-U-N-S, …"},
	"receiver":             {Kind: text, Required: true, Doc: "ISA08: the carrier's id."},
	"receiver_qualifier":   {Kind: text, Default: "ZZ", Doc: "ISA07."},
	"application_sender":   {Kind: text, Doc: "GS02. Unset: as sender."},
	"application_receiver": {Kind: text, Doc: "GS03. Unset: as receiver."},
	"ta1_requested":        {Kind: boolean, Default: true, Doc: "ISA14: we ask for a TA1."},
	"element_separator":    {Kind: text, Default: "*", Doc: "One character; it is replaced by a blank where a value holds it, as the others are."},
	"component_separator":  {Kind: text, Default: ":", Doc: "ISA16."},
	"repetition_separator": {Kind: text, Default: "^", Doc: "ISA11."},
	"segment_terminator":   {Kind: text, Default: "~", Doc: "One character."},
	"line_break":           {Kind: text, Default: "none", Words: []string{"none", "lf", "crlf"}, Doc: "What follows each segment terminator."},
	"character_set":        {Kind: text, Default: "extended", Words: []string{"basic", "extended"}, Doc: "basic: capitals, digits and some marks, so no e-mail addresses; extended: small letters, @, # and more. There are never accents: letters lose them, and a name in another script is refused."},
	"upper_case":           {Kind: boolean, Default: true, Doc: "All text is written in capitals; always with the basic set."},
	"reference":            {Kind: text, Default: "{control}-{set}", Doc: "BGN02, with the placeholders of name and {set}, the number of the set in its file."},
	"zone":                 {Kind: text, Default: "UTC", Doc: "Time zone of the dates and times in the file, as in America/New_York."},
	"zone_code":            {Kind: text, Doc: "BGN05, what the zone is called there: ET, CT, MT, PT, UT, … Unset: left out."},
	"totals":               {Kind: boolean, Doc: "QTY segments with how many members, dependants and employees a set has."},
	"file_date":            {Kind: boolean, Doc: "DTP*007 with the day of the file."},
}

// parties are those that the file speaks of.
var parties = map[string]connector.Setting{
	"sponsor_name":         {Kind: text, Required: true, Doc: "N1*P5: the employer."},
	"sponsor_id":           {Kind: text, Required: true, Doc: "N104 of the sponsor."},
	"sponsor_id_qualifier": {Kind: text, Default: "FI", Words: []string{"FI", "24", "94", "ZZ"}, Doc: "N103 of the sponsor: FI and 24 tax id, 94 the carrier's code."},
	"payer_name":           {Kind: text, Required: true, Doc: "N1*IN: the insurer."},
	"payer_id":             {Kind: text, Required: true, Doc: "N104 of the payer."},
	"payer_id_qualifier":   {Kind: text, Default: "FI", Words: []string{"FI", "94", "XV"}, Doc: "N103 of the payer."},
	"master_policy":        {Kind: text, Doc: "REF*38 of the file. Unset: left out."},
	"policy":               {Kind: text, Doc: "REF*1L of each member: the group or policy number. Unset: left out."},
}

// members say how people and their cover are told.
var members = map[string]connector.Setting{
	"client_refs":        {Kind: table, Doc: "Further REF segments of a subscriber: qualifier (17, 23, 3H, 4A, 6O, ABB, D3, DX, F6, P5, QQ, ZZ) → name below `reporting` in the body, as in DX: department. Sent at enrolment and when they change."},
	"subscriber_id":      {Kind: text, Default: "number", Words: []string{"number", "ssn"}, Doc: "REF*0F, which ties a family together: subscriber.number of the body (the employee number), or the social security number."},
	"member_id":          {Kind: text, Default: "ssn", Words: []string{"ssn", "number", "none"}, Doc: "NM109: ssn (qualifier 34); number, subscriber.number for subscribers (ZZ); none."},
	"member_id_missing":  {Kind: text, Default: "omit", Words: []string{"omit", "hold"}, Doc: "What happens to somebody without that id: omit sends them without, hold refuses the change. Placeholders are never sent."},
	"term_style":         {Kind: text, Default: "every_coverage", Words: []string{"every_coverage", "every_member", "subscriber"}, Doc: "Who is named when a subscriber's cover ends: all members with each coverage; all members; the subscriber alone."},
	"coverage_end":       {Kind: text, Default: "end_of_month", Words: []string{"end_of_month", "same_day", "end_of_next_month", "end_of_previous_month"}, Doc: "Last day of cover, from the last day of employment or the day a change holds from, where the election itself names no end."},
	"change_date":        {Kind: text, Default: "303", Words: []string{"303", "348"}, Doc: "How the day of a changed coverage is told: 303 (maintenance effective) beside the begin of the benefit in 348, or in 348 alone."},
	"plan_change":        {Kind: text, Default: "change", Words: []string{"change", "replace"}, Doc: "Another plan of the same kind: change is one HD*001 with the new plan; replace ends the old one the day before and adds the new one."},
	"tier_on_dependants": {Kind: boolean, Doc: "HD05 also on dependants."},
	"dependants_listed":  {Kind: boolean, Default: true, Doc: "An election whose tier covers others must say whom; false lets it pass without."},
	"plan_map":           {Kind: table, Doc: "Plan → HD03 and HD04, as in med-ppo: HLT PPO-500, with a policy number of its own as in HLT PPO-500 1L=448210-02; none: another carrier's plan. HD03 is HLT, PPO, HMO, POS, EPO, DEN, VIS, PDG, HE, STD, LTD, LTC, …; there is none for life insurance, which is always left out."},
	"other_plans":        {Kind: text, Default: "hold", Words: []string{"hold", "skip"}, Doc: "What happens to a plan that plan_map does not list: hold refuses the person's change, skip leaves the plan out."},
	"tier_map":           {Kind: table, Doc: "Coverage → HD05, over the shipped ones: employee EMP, employee_spouse and employee_partner ESP, employee_children ECH, family FAM, spouse SPO, children CHD, spouse_children SPC."},
	"relationship_map":   {Kind: table, Doc: "Relationship → INS02, over the shipped ones: spouse 01, child 19, partner and domestic_partner 53, stepchild 17, adopted_child 09, foster_child 10, ward 15, ex_spouse 25, sponsored 23, other G8. One that is in neither refuses the change."},
	"reason_map":         {Kind: table, Doc: "Reason of an election or of a termination → INS04, over the shipped ones: marriage 32, divorce 01, birth 02, adoption 05, death 03, retirement 04. Another reason becomes the general code of what changed."},
	"pre_hire":           {Kind: boolean, Doc: "Elections of people who have not begun are sent too."},
}
