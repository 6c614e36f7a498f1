package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/muster-hr/muster/libs/mapping"
)

// Codes of problems. They are stable: scripts may look at them. Those of the
// mapping files are listed by package mapping.
const (
	CodeUnreadable       = "unreadable"        // a file or the folder cannot be read, or is too large
	CodeYAML             = "yaml"              // not YAML, or YAML we do not take (anchors, several documents)
	CodeUnknownFile      = "unknown_file"      // a file or folder that means nothing here
	CodeUnknownKey       = "unknown_key"       // a key that means nothing there
	CodeDuplicateKey     = "duplicate_key"     // a key that stands twice
	CodeMissing          = "missing"           // a file or key that must be there
	CodeWrongForm        = "wrong_form"        // a list where a text is expected, and so on
	CodeBadName          = "bad_name"          // a name that cannot be part of a subject
	CodeBadValue         = "bad_value"         // a word, number or zone that is not allowed
	CodeBadDuration      = "bad_duration"      // not a length of time
	CodeBadURL           = "bad_url"           // not https, or not a web address
	CodeInlineSecret     = "inline_secret"     // a secret in the file itself
	CodeUnknownSecret    = "unknown_secret"    // a secret the connector has no use for
	CodeMissingSecret    = "missing_secret"    // a secret the connector cannot do without
	CodeUnknownSetting   = "unknown_setting"   // a setting the connector does not have
	CodeMissingSetting   = "missing_setting"   // a setting the connector cannot do without
	CodeUnknownConnector = "unknown_connector" // no connector of that name
	CodeNoCapability     = "no_capability"     // the connector cannot do what the file asks for
	CodeCrossed          = "environment_crossed"
	CodeUnknownSource    = "unknown_source"
	CodeUnknownTarget    = "unknown_target"
	CodeUnknownField     = "unknown_field"     // not a canonical path
	CodeFieldTooFine     = "field_too_fine"    // below a field that is one value
	CodeMissingField     = "missing_field"     // a field the connector cannot do without
	CodeUndeclaredCustom = "undeclared_custom" // custom.<name> without a class
	CodeNoAuthority      = "no_authority"      // nobody may set a field that is delivered or mapped
	CodeNoPurpose        = "no_purpose"        // sensitive without purpose or legal basis
	CodeSamePerson       = "same_person_twice"
	CodeUnknownMapping   = "unknown_mapping" // no such mapping file
	CodeNoMapping        = "no_mapping"      // neither a file nor a shipped mapping
	CodeUnusedMapping    = "unused_mapping"  // a mapping file nobody uses
	CodeMappingReads     = "mapping_reads"   // a rule reads what the allow-list does not hold
	CodeBadCondition     = "bad_condition"   // `when` is not a condition
)

// Codes lists them all.
var Codes = []string{
	CodeUnreadable,
	CodeYAML,
	CodeUnknownFile,
	CodeUnknownKey,
	CodeDuplicateKey,
	CodeMissing,
	CodeWrongForm,
	CodeBadName,
	CodeBadValue,
	CodeBadDuration,
	CodeBadURL,
	CodeInlineSecret,
	CodeUnknownSecret,
	CodeMissingSecret,
	CodeUnknownSetting,
	CodeMissingSetting,
	CodeUnknownConnector,
	CodeNoCapability,
	CodeCrossed,
	CodeUnknownSource,
	CodeUnknownTarget,
	CodeUnknownField,
	CodeFieldTooFine,
	CodeMissingField,
	CodeUndeclaredCustom,
	CodeNoAuthority,
	CodeNoPurpose,
	CodeSamePerson,
	CodeUnknownMapping,
	CodeNoMapping,
	CodeUnusedMapping,
	CodeMappingReads,
	CodeBadCondition,
}

// place is where something stands. Lines and columns count from 1.
type place struct {
	file         string
	line, column int
}

// problems collects what is wrong, in any order.
type problems struct{ list []mapping.Problem }

// add notes a problem; fix says what to write instead.
func (p *problems) add(at place, code, fix, format string, args ...any) {
	p.list = append(p.list, mapping.Problem{
		File: at.file, Line: max(at.line, 1), Column: max(at.column, 1),
		Code: code, Message: fmt.Sprintf(format, args...), Fix: fix,
	})
}

// sorted gives each problem once, by file, line, column and code; nil if there
// are none.
func (p *problems) sorted() []mapping.Problem {
	slices.SortFunc(p.list, func(a, b mapping.Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Code, b.Code), cmp.Compare(a.Message, b.Message))
	})
	return slices.CompactFunc(p.list, func(a, b mapping.Problem) bool { return a == b })
}

// oneOf is a fix that lists what may be written, the closest first.
func oneOf(got string, allowed []string) string {
	if c, ok := closest(got, allowed); ok {
		return "write " + c
	}
	switch len(allowed) {
	case 0:
		return "remove it"
	case 1:
		return "write " + allowed[0]
	}
	return "write one of " + strings.Join(allowed, ", ")
}

// closest is the word that differs in the fewest letters, if few enough for a
// slip of the finger.
func closest(got string, words []string) (string, bool) {
	best, at := "", len(got)/3+2
	for _, w := range words {
		if d := distance(strings.ToLower(got), strings.ToLower(w)); d < at {
			best, at = w, d
		}
	}
	return best, best != ""
}

// distance counts the letters to insert, delete, replace or swap with their
// neighbour to make b of a.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 { // not a slip of the finger, and quadratic
		return 64
	}
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
