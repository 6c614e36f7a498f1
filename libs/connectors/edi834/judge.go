package edi834

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connectors/edi834/x12"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/seal"
)

// judged finds who is meant by a 999.
func (f *files) judged(ctx context.Context, s connector.Sent, a *ack) (connector.Answer, bool, error) {
	out := connector.Answer{Number: s.Number, ID: a.id}
	if a.taken() {
		if a.code == "E" {
			f.log.WarnContext(ctx, "the carrier accepted a file with errors", "number", s.Number, "rule", rules(a))
		}
		return out, true, nil
	}
	refused := false
	for _, set := range a.sets {
		if set.code == "A" || set.code == "E" {
			continue
		}
		who, err := f.refused(ctx, s, set)
		if err != nil {
			return out, false, err
		}
		out.Refused = append(out.Refused, who...)
		refused = true
	}
	partial := a.code == "P"
	switch {
	case !refused, !partial && a.note != "": // the group itself
		rule := "AK901=" + a.code
		if a.note != "" {
			rule = "AK905=" + a.note
		}
		out.Refused = []connector.Refusal{{Index: -1, Reason: "group_refused", Path: "GS", Rule: rule}}
	case !partial:
		out.Refused = withOthers(out.Refused, s)
	}
	return out, true, nil
}

// withOthers adds those of sets that the 999 of a refused group does not list.
func withOthers(refused []connector.Refusal, s connector.Sent) []connector.Refusal {
	named := map[int]bool{}
	for _, r := range refused {
		named[r.Index] = true
	}
	if named[-1] {
		return refused
	}
	for i := range s.Starts {
		if !named[i] {
			refused = append(refused, connector.Refusal{Index: i, Reason: "group_refused", Path: "GS", Rule: "AK901=R", Others: true})
		}
	}
	return refused
}

func rules(a *ack) string {
	var out []string
	for _, s := range a.sets {
		for _, e := range s.errors {
			_, path, rule := e.words()
			out = append(out, path+" "+rule)
		}
	}
	return strings.Join(out[:min(len(out), 20)], ", ")
}

// refused tells what a refused set means for those in it: the culprits are
// refused, the others come into the next file. If nobody can be told to be the
// culprit nobody is sent again: the next file would be refused as this one was.
func (f *files) refused(ctx context.Context, s connector.Sent, set setAck) ([]connector.Refusal, error) {
	var members []int
	for i, start := range s.Starts {
		if start/perSet == set.number-1 {
			members = append(members, i)
		}
	}
	why := connector.Refusal{Reason: "set_refused", Path: "ST", Rule: "IK502=" + set.notes}
	culprits := map[int]connector.Refusal{}
	for _, e := range set.errors {
		found, err := f.locate(ctx, s, set.number, members, e)
		if err != nil {
			return nil, err
		}
		r := connector.Refusal{}
		r.Reason, r.Path, r.Rule = e.words()
		if len(found) == 0 { // the header, or nowhere
			why = r
			culprits = nil
			break
		}
		for _, i := range found {
			if _, named := culprits[i]; !named {
				r.Index = i
				culprits[i] = r
			}
		}
	}
	if len(culprits) == 0 && len(members) == len(s.Starts) || len(members) == 0 {
		why.Index = -1
		return []connector.Refusal{why}, nil
	}
	out := make([]connector.Refusal, 0, len(members))
	for _, i := range members {
		r, culprit := culprits[i]
		if !culprit {
			r = why
			r.Index, r.Others = i, len(culprits) > 0
		}
		out = append(out, r)
	}
	return out, nil
}

// locate finds the pieces that an error can be in. Mostly that is the one at its
// position. Of a missing segment translators give the place before or behind,
// so there the neighbours count: the context says which, else the piece that
// really lacks it, else all of them are refused, because one who is sent again
// by mistake has the next file refused too.
func (f *files) locate(ctx context.Context, s connector.Sent, set int, members []int, e segmentError) ([]int, error) {
	base := (set - 1) * perSet
	at := func(position int) int {
		found := -1
		for _, i := range members {
			if s.Starts[i]-base <= position {
				found = i
			}
		}
		return found
	}
	positions := []int{e.position}
	if known(absences, e.code) {
		positions = append(positions, e.position-1, e.position+1)
	}
	var near []int
	for _, p := range positions {
		if i := at(p); i >= 0 && !slices.Contains(near, i) {
			near = append(near, i)
		}
	}
	if e.subscriber != "" {
		for _, group := range [][]int{near, members} {
			for _, i := range group {
				is, err := has(ctx, s, i, func(seg x12.Segment) bool {
					return seg.ID() == "REF" && seg.At(1) == "0F" && seg.At(2) == e.subscriber
				})
				if err != nil {
					return nil, err
				}
				if is {
					return []int{i}, nil
				}
			}
		}
	}
	if len(near) < 2 {
		return near, nil
	}
	var lacking []int
	for _, i := range near {
		there, err := has(ctx, s, i, func(seg x12.Segment) bool { return seg.ID() == e.segment })
		if err != nil {
			return nil, err
		}
		if !there {
			lacking = append(lacking, i)
		}
	}
	if len(lacking) > 0 {
		return lacking, nil
	}
	return near, nil
}

// has tells whether a piece has a segment.
func has(ctx context.Context, s connector.Sent, i int, is func(x12.Segment) bool) (bool, error) {
	if s.Piece == nil {
		return false, nil
	}
	p, err := s.Piece(ctx, i)
	if errors.Is(err, seal.ErrNoKey) { // erased meanwhile
		return false, nil
	}
	if err != nil {
		return false, err
	}
	segments, err := segmentsOf(p)
	if fault.Reason(err) == "content" {
		return false, nil
	}
	return slices.ContainsFunc(segments, is), err
}

// words are reason, path and rule of an error, without the copy of the bad
// value that an IK4 may hold.
func (e segmentError) words() (reason, path, rule string) {
	path = cmp.Or(code(e.loop), "834") + "/" + code(e.segment)
	if e.element != "" {
		if len(e.element) == 1 {
			path += "0"
		}
		return cmp.Or(elementReasons[e.elementIs], "bad_element"), path + e.element, "IK403=" + code(e.elementIs)
	}
	return cmp.Or(segmentReasons[e.code], "bad_segment"), path, "IK304=" + code(e.code)
}

// code lets through what a code or a name of a segment or loop looks like.
func code(s string) string {
	if len(s) > 6 {
		return ""
	}
	for n := range len(s) {
		if !alphanumeric(s[n]) {
			return ""
		}
	}
	return s
}

// absences are the codes of IK304 by which a segment or loop is missing: by the
// standard, or by the guide.
var absences = words("3 I6 I7 I8")

var segmentReasons = map[string]string{
	"1": "unknown_segment", "2": "unexpected_segment", "3": "missing_segment", "4": "loop_too_often", "5": "segment_too_often", "6": "segment_not_in_set",
	"7": "segment_order", "8": "bad_element", "I4": "segment_not_used", "I6": "missing_segment", "I7": "loop_too_seldom", "I8": "segment_too_short", "I9": "missing_data",
}

var elementReasons = map[string]string{
	"1": "missing", "2": "missing", "3": "too_many_elements", "4": "too_short", "5": "too_long", "6": "character", "7": "bad_code", "8": "bad_date", "9": "bad_time",
	"10": "excluded", "12": "too_many_repetitions", "13": "too_many_components", "I6": "bad_code", "I9": "missing", "I10": "not_used", "I11": "not_used", "I12": "bad_pattern", "I13": "bad_pattern",
}
