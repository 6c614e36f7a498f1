package mapping

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v3"
)

// Problem is one thing that is wrong in a mapping file. All of them are listed
// at once. Line and Column count from 1; columns count characters.
type Problem struct {
	File         string
	Line, Column int
	Code         string // stable, for scripts: one of the Code constants
	Message      string // what is wrong
	Fix          string // what to write instead
}

// String is `file:line:column: message [code]; fix`.
func (p Problem) String() string {
	s := fmt.Sprintf("%s:%d:%d: %s [%s]", p.File, p.Line, p.Column, p.Message, p.Code)
	if p.Fix != "" {
		s += "; " + p.Fix
	}
	return s
}

// The codes of problems in mapping files.
const (
	CodeYAML         = "yaml"              // not YAML, or YAML that is not taken (anchors, several documents)
	CodeWrongForm    = "wrong_form"        // a list where a text is expected, and so on
	CodeUnknownKey   = "unknown_key"       // a key or operator that does not exist
	CodeDuplicateKey = "duplicate_key"     // a key that stands twice
	CodeMissing      = "missing"           // something that must be there
	CodeNoSource     = "no_source"         // a rule that says nothing about where the value comes from
	CodeTwoSources   = "two_sources"       // a rule with from and const, and so on
	CodeBadPath      = "bad_path"          // a path that cannot be read
	CodeUnknownRoot  = "unknown_root"      // $something that does not exist
	CodeUnknownField = "unknown_field"     // not a canonical field
	CodeWholeField   = "whole_field"       // an object or list where one field below it is meant
	CodeConflict     = "conflict"          // two rules that write the same place
	CodeOperator     = "wrong_operator"    // an operator that does not fit the field or the direction
	CodeBadValue     = "bad_value"         // a constant that the field does not take
	CodeBadLayout    = "bad_layout"        // a date layout that does not name a day
	CodeBadCEL       = "bad_cel"           // an expression that does not compile
	CodeCustom       = "undeclared_custom" // custom.<name> without a class
	CodeExtend       = "bad_extend"        // extend without a shipped mapping, or a rule that drops nothing
)

// report collects the problems of one file.
type report struct {
	file string
	src  []string // lines, for positions inside block texts
	list []Problem
}

func (r *report) add(line, column int, code, fix, format string, args ...any) {
	r.list = append(r.list, Problem{r.file, line, column, code, fmt.Sprintf(format, args...), fix})
}

// problem reports what is wrong at a node.
func (r *report) problem(n *yaml.Node, code, fix, format string, args ...any) {
	r.add(n.Line, n.Column, code, fix, format, args...)
}

// inside reports a problem within a text: line from 0, column in characters
// from 0. The quote of a quoted text and the indent of a block are counted in.
func (r *report) inside(n *yaml.Node, line, column int, code, fix, format string, args ...any) {
	l, c := n.Line+line, column+1
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		l++ // the text begins on the line after the indicator
		if l-1 < len(r.src) {
			text := r.src[l-1]
			c += len(text) - len(strings.TrimLeft(text, " "))
		}
	case line > 0: // a plain or quoted text over several lines: only the line is sure
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		c += n.Column
	default:
		c += n.Column - 1
	}
	r.add(l, c, code, fix, format, args...)
}

func (r *report) sorted() []Problem {
	slices.SortStableFunc(r.list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Code, b.Code))
	})
	return r.list
}

// didYouMean names the known word closest to a wrong one, "" if none is close.
func didYouMean(wrong string, known []string) string {
	if w := closest(wrong, known); w != "" {
		return "write " + w
	}
	return ""
}

func closest(wrong string, known []string) string {
	best, at := "", 2*(max(2, len(wrong)/3)+1)
	for _, w := range known {
		d := 2 * distance(strings.ToLower(wrong), strings.ToLower(w))
		if wrong != "" && w != "" && wrong[0] == w[0] {
			d-- // of two equally near ones that with the same first letter
		}
		if d < at {
			best, at = w, d
		}
	}
	return best
}

// distance is the number of letters to change, add or remove (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := last
			if a[i] != b[j] {
				d++
			}
			last = row[j+1]
			row[j+1] = min(d, last+1, row[j]+1)
		}
	}
	return row[len(b)]
}
