// Package x12 reads interchanges of ASC X12 version 005010: the fixed-width ISA
// segment that defines the separators, the segments behind it, and the counts
// and control numbers of IEA, GE and SE. It knows no transaction set.
//
// Source: X12.5 and X12.6 as the public maps of pyx12 and stupidedi hold them.
package x12

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Segment is one segment: its id, then its elements. Element n is at index n.
type Segment []string

// ID is the segment's name: "NM1".
func (s Segment) ID() string { return s.At(0) }

// At is element n; "" if the segment is shorter.
func (s Segment) At(n int) string {
	if n < 0 || n >= len(s) {
		return ""
	}
	return s[n]
}

// Separators are the characters with a meaning.
type Separators struct{ Element, Component, Repetition, Segment byte }

// Interchange is what stands between ISA and IEA. Wrong lists what is wrong with
// the envelope, as the codes of TA105.
type Interchange struct {
	ISA    Segment
	Sep    Separators
	TA1    []Segment // reports about other interchanges
	Groups []Group
	Text   []byte // the bytes of it
	Wrong  []string
}

// Number is the control number, nine digits.
func (i Interchange) Number() string { return i.ISA.At(13) }

// Sender and Receiver are the ids without their padding.
func (i Interchange) Sender() string { return strings.TrimRight(i.ISA.At(6), " ") }

// Receiver is the id of who it is for.
func (i Interchange) Receiver() string { return strings.TrimRight(i.ISA.At(8), " ") }

// Group is what stands between GS and GE. Wrong lists codes of AK905.
type Group struct {
	GS    Segment
	Sets  []Set
	Wrong []string
}

// Set is a transaction set from ST to SE: Segments[0] is at position 1. Wrong
// lists codes of IK502.
type Set struct {
	Segments []Segment
	Wrong    []string
}

// Number is the set's control number, ST02.
func (s Set) Number() string {
	if len(s.Segments) == 0 {
		return ""
	}
	return s.Segments[0].At(2)
}

// Error is what makes text no interchange. Code is one of TA105.
type Error struct {
	Code    string
	Segment int // counted from ISA = 1; 0: before the first
}

// Error names the code and the place, never what stands there.
func (e *Error) Error() string {
	return fmt.Sprintf("interchange: note %s at segment %d", e.Code, e.Segment)
}

// Codes of TA105 that matter here.
const (
	NumbersDiffer = "001" // ISA13 and IEA02
	BadVersion    = "017"
	BadNumber     = "018"
	BadGroupCount = "021" // IEA01
	BadControl    = "022" // the order of the envelope's segments
	Truncated     = "023"
	BadContent    = "024" // ISA is not what it must be
	Duplicate     = "025" // the number was used before
	BadSeparator  = "026"
)

// Codes of AK905.
const (
	GroupTrailer = "3" // GE is missing
	GroupNumbers = "4" // GS06 and GE02
	GroupCount   = "5" // GE01
)

// Codes of IK502.
const (
	SetTrailer = "2" // SE is missing
	SetNumbers = "3" // ST02 and SE02
	SetCount   = "4" // SE01
)

const (
	maxInterchange = 64 << 20
	isaLength      = 106
	isaElements    = 16
	knownVersion   = "00501"
	aroundTheISA   = "\r\n \t\ufeff"
	lineBreaks     = "\r\n"
)

var isaWidths = []int{3, 2, 10, 2, 10, 2, 15, 2, 15, 6, 4, 1, 5, 9, 1, 1, 1}

// Parse reads all interchanges of a file, of which there is at least one. Line
// breaks behind segments are passed over.
func Parse(data []byte) ([]Interchange, error) {
	if len(data) > maxInterchange {
		return nil, &Error{Code: Truncated}
	}
	var out []Interchange
	for {
		data = bytes.TrimLeft(data, aroundTheISA)
		if len(data) == 0 && len(out) > 0 {
			return out, nil
		}
		i, rest, err := one(data)
		if err != nil {
			return out, err
		}
		out = append(out, i)
		data = rest
	}
}

// header reads the fixed-width ISA.
func header(data []byte) (Segment, Separators, error) {
	var sep Separators
	if len(data) < isaLength || string(data[:3]) != "ISA" {
		return nil, sep, &Error{Code: Truncated}
	}
	sep = Separators{Element: data[3], Component: data[104], Repetition: data[82], Segment: data[105]}
	all := []byte{sep.Element, sep.Component, sep.Repetition, sep.Segment}
	for n, b := range all {
		if alphanumeric(b) || b == ' ' || slices.Contains(all[:n], b) {
			return nil, sep, &Error{Code: BadSeparator, Segment: 1}
		}
	}
	isa := make(Segment, 0, isaElements+1)
	at := 0
	for n, width := range isaWidths {
		value := string(data[at : at+width])
		if n != 11 && n != 16 && strings.ContainsAny(value, string(all)) {
			return nil, sep, &Error{Code: BadContent, Segment: 1}
		}
		isa = append(isa, value)
		at += width
		if n < isaElements {
			if data[at] != sep.Element {
				return nil, sep, &Error{Code: BadContent, Segment: 1}
			}
			at++
		}
	}
	return isa, sep, nil
}

func one(data []byte) (i Interchange, rest []byte, err error) {
	if i.ISA, i.Sep, err = header(data); err != nil {
		return i, nil, err
	}
	if !digits(i.Number()) {
		i.wrong(BadNumber)
	}
	if i.ISA.At(12) != knownVersion {
		i.wrong(BadVersion)
	}
	body := data[isaLength:]
	var group *Group
	var set *Set
	closeSet := func(code string) {
		if set != nil {
			if code != "" {
				set.Wrong = append(set.Wrong, code)
			}
			group.Sets = append(group.Sets, *set)
			set = nil
		}
	}
	closeGroup := func(code string) {
		closeSet(SetTrailer)
		if group != nil {
			if code != "" {
				group.Wrong = append(group.Wrong, code)
			}
			i.Groups = append(i.Groups, *group)
			group = nil
		}
	}
	for n := 2; ; n++ {
		body = bytes.TrimLeft(body, lineBreaks)
		end := bytes.IndexByte(body, i.Sep.Segment)
		if end < 0 {
			return i, nil, &Error{Code: Truncated, Segment: n}
		}
		s := Segment(strings.Split(string(body[:end]), string(i.Sep.Element)))
		body = body[end+1:]
		switch id := s.ID(); {
		case id == "IEA":
			closeGroup(GroupTrailer)
			if s.At(2) != i.Number() {
				i.wrong(NumbersDiffer)
			}
			if !counts(s.At(1), len(i.Groups)) {
				i.wrong(BadGroupCount)
			}
			i.Text = data[:len(data)-len(body)]
			return i, body, nil
		case id == "GS":
			closeGroup(GroupTrailer)
			group = &Group{GS: s}
		case id == "TA1" && group == nil:
			i.TA1 = append(i.TA1, s)
		case group == nil:
			return i, nil, &Error{Code: BadControl, Segment: n}
		case id == "GE":
			closeSet(SetTrailer)
			if s.At(2) != group.GS.At(6) {
				group.Wrong = append(group.Wrong, GroupNumbers)
			}
			if !counts(s.At(1), len(group.Sets)) {
				group.Wrong = append(group.Wrong, GroupCount)
			}
			closeGroup("")
		case id == "ST":
			closeSet(SetTrailer)
			set = &Set{Segments: []Segment{s}}
		case set == nil:
			return i, nil, &Error{Code: BadControl, Segment: n}
		default:
			set.Segments = append(set.Segments, s)
			if id != "SE" {
				break
			}
			if s.At(2) != set.Number() {
				set.Wrong = append(set.Wrong, SetNumbers)
			}
			if !counts(s.At(1), len(set.Segments)) {
				set.Wrong = append(set.Wrong, SetCount)
			}
			closeSet("")
		}
	}
}

// wrong notes a code once.
func (i *Interchange) wrong(code string) {
	if !slices.Contains(i.Wrong, code) {
		i.Wrong = append(i.Wrong, code)
	}
}

// Whole tells whether all counts and numbers of the envelope agree.
func (i Interchange) Whole() bool {
	if len(i.Wrong) > 0 {
		return false
	}
	for _, g := range i.Groups {
		if len(g.Wrong) > 0 {
			return false
		}
		for _, s := range g.Sets {
			if len(s.Wrong) > 0 {
				return false
			}
		}
	}
	return true
}

// counts tells whether an element is that number.
func counts(text string, n int) bool {
	got, err := strconv.Atoi(text)
	return err == nil && digits(text) && got == n
}

func digits(s string) bool {
	for n := range len(s) {
		if s[n] < '0' || s[n] > '9' {
			return false
		}
	}
	return s != ""
}

func alphanumeric(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z'
}
