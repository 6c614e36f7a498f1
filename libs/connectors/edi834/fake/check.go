package fake

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/connectors/edi834/x12"
)

// element is what the guide says of an element.
type element struct {
	required bool
	min, max int
	codes    string // "" allows any
	date     bool
}

func must(min, max int) element  { return element{required: true, min: min, max: max} }
func may(min, max int) element   { return element{min: min, max: max} }
func of(codes string) element    { return element{required: true, codes: codes} }
func mayBe(codes string) element { return element{codes: codes} }
func mustDate() element          { return element{required: true, date: true} }
func nothing() element           { return element{max: 0} }
func (e element) allows(s string) bool {
	return e.codes == "" || slices.Contains(strings.Fields(e.codes), s)
}

const (
	relations  = "01 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 23 24 25 26 31 33 38 48 49 53 60 D2 G8 G9"
	reasons    = "01 02 03 04 05 06 07 08 09 10 11 14 15 16 17 18 20 21 22 25 26 27 28 29 31 32 33 37 38 39 40 41 43 59 AA AB AC AD AE AF AG AH AI AJ AL EC XN XT"
	qualifiers = "0F 1L 17 23 3H 4A 6O ABB D3 DX F6 P5 Q4 QQ ZZ 38"
	stateCodes = "AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR PA RI SC SD TN TX UT VT VA WA WV WI WY PR GU VI AS MP FM MH PW AA AE AP AB BC MB NB NL NS NT NU ON PE QC SK YT"
)

// guide holds the elements of each segment, from 1.
var guide = map[string][]element{
	"ST":  {of("834"), must(4, 9), of("005010X220A1")},
	"BGN": {of("00 15 22"), must(1, 50), mustDate(), must(4, 8), may(2, 2), may(1, 50), nothing(), of("2 4 RX")},
	"QTY": {of("TO DT ET"), must(1, 15)},
	"N1":  {of("P5 IN BO TV"), may(1, 60), must(1, 2), must(2, 80)},
	"INS": {of("Y N"), of(relations), of("001 021 024 025 030"), mayBe(reasons), of("A C S T"), may(1, 1), nothing(), mayBe("AC AO AU FT L1 PT RT TE"), may(1, 1), may(1, 1), may(2, 3), may(1, 35), nothing(), nothing(), nothing(), nothing(), may(1, 9)},
	"REF": {of(qualifiers), must(1, 50)},
	"DTP": {of("007 303 336 337 348 349 356 357"), of("D8"), mustDate()},
	"NM1": {of("IL 74 70 31"), of("1"), may(1, 60), may(1, 35), may(1, 25), may(1, 10), may(1, 10), mayBe("34 ZZ"), may(2, 80)},
	"PER": {of("IP"), nothing(), of("HP CP WP TE EM"), must(1, 256), mayBe("HP CP WP TE EM"), may(1, 256), mayBe("HP CP WP TE EM"), may(1, 256)},
	"N3":  {must(1, 55), may(1, 55)},
	"N4":  {must(2, 30), mayBe(stateCodes), may(3, 15), may(2, 3)},
	"DMG": {of("D8"), mustDate(), of("F M U"), mayBe("B D I M R S U W X")},
	"HD":  {of("001 002 021 024 025 026 030 032"), nothing(), of("AG AH AJ AK DCP DEN EPO FAC HE HLT HMO LTC LTD MM MOD PDG POS PPO PRA STD UR VIS"), may(1, 50), mayBe("CHD DEP E1D E2D E3D E5D E6D E7D E8D E9D ECH EMP ESP FAM IND SPC SPO TWO")},
	"SE":  {must(1, 10), must(4, 9)},
}

// loop is a 2000 loop; at is the position of its INS.
type loop struct {
	at       int
	segments []x12.Segment
}

// number is REF*0F.
func (l loop) number() string {
	for _, s := range l.segments {
		if s.ID() == "REF" && s.At(1) == "0F" {
			return s.At(2)
		}
	}
	return ""
}

// loops are the members of a set.
func loops(set x12.Set) (out []loop) {
	for n, s := range set.Segments {
		switch {
		case s.ID() == "INS":
			out = append(out, loop{at: n + 1, segments: []x12.Segment{s}})
		case len(out) > 0 && s.ID() != "SE":
			l := &out[len(out)-1]
			l.segments = append(l.segments, s)
		}
	}
	return out
}

// Check is what a strict translator has against a set; nil is nothing.
func Check(set x12.Set, totals bool) (out []Complaint) {
	all := loops(set)
	head := len(set.Segments)
	if len(all) > 0 {
		head = all[0].at - 1
	}
	out = append(out, header(set.Segments[:head], totals, all)...)
	if len(all) == 0 {
		out = append(out, Complaint{Segment: "INS", Position: head, Loop: "2000", Code: "3"})
	}
	for _, l := range all {
		out = append(out, member2000(l)...)
	}
	return out
}

func header(segments []x12.Segment, totals bool, all []loop) (out []Complaint) {
	order := []string{"ST", "BGN", "REF", "DTP", "QTY", "N1"}
	at := 0
	seen := map[string]int{}
	for n, s := range segments {
		place := slices.Index(order, s.ID())
		if place < 0 || place < at {
			out = append(out, Complaint{Segment: s.ID(), Position: n + 1, Loop: "", Code: "2"})
			continue
		}
		at = place
		seen[s.ID()+s.At(1)]++
		out = append(out, elements(s, n+1, "", "")...)
		if s.ID() == "QTY" && s.At(2) != strconv.Itoa(total(s.At(1), all)) {
			out = append(out, Complaint{Segment: "QTY", Position: n + 1, Code: "8", Element: "2", ElementCode: "7"})
		}
	}
	for _, need := range []string{"BGN00", "N1P5", "N1IN"} {
		if seen[need] != 1 {
			out = append(out, Complaint{Segment: strings.TrimRight(need, "0PIN5"), Position: len(segments), Loop: "1000", Code: "3"})
		}
	}
	if totals && seen["QTYTO"] == 0 {
		out = append(out, Complaint{Segment: "QTY", Position: len(segments), Code: "3"})
	}
	return out
}

func total(kind string, all []loop) (n int) {
	for _, l := range all {
		if y := l.segments[0].At(1) == "Y"; kind == "TO" || kind == "ET" && y || kind == "DT" && !y {
			n++
		}
	}
	return n
}

// ranks are the order of segments in a 2000 loop: what stands in 2100B and C
// follows its own NM1.
func member2000(l loop) (out []Complaint) {
	number := l.number()
	complain := func(n int, segment, loop, code string) {
		out = append(out, Complaint{Segment: segment, Position: l.at + n, Loop: loop, Code: code, Subscriber: number})
	}
	rank, where := 0, "2000"
	named, dated := false, true
	ranks := map[string]int{"INS": 0, "REF": 1, "DTP": 2, "NM1": 3, "PER": 4, "N3": 5, "N4": 6, "DMG": 7, "HD": 20}
	for n, s := range l.segments {
		r, known := ranks[s.ID()]
		switch {
		case !known:
			complain(n, s.ID(), where, "2")
			continue
		case s.ID() == "HD":
			if !dated {
				complain(n, "DTP", "2300", "3")
			}
			where, dated, rank = "2300", false, 20
		case where == "2300":
			switch s.ID() {
			case "DTP":
				dated = true
				if rank > 21 {
					complain(n, "DTP", "2300", "7")
				}
				rank = 21
			case "REF":
				rank = 22
			default:
				complain(n, s.ID(), where, "2")
			}
		case s.ID() == "NM1":
			loop := map[string]string{"IL": "2100A", "74": "2100A", "70": "2100B", "31": "2100C"}[s.At(1)]
			if loop <= where && where != "2000" || loop != "2100A" && !named {
				complain(n, "NM1", "2100", "7")
			}
			named = true
			where, rank = loop, 3
		case r < rank:
			complain(n, s.ID(), where, "7")
		default:
			rank = r
		}
		out = append(out, elements(s, l.at+n, where, number)...)
	}
	if !dated {
		complain(len(l.segments)-1, "DTP", "2300", "3")
	}
	if number == "" {
		complain(1, "REF", "2000", "3")
	}
	if !named {
		complain(len(l.segments)-1, "NM1", "2100", "3")
	}
	ins := l.segments[0]
	if (ins.At(1) == "Y") != (ins.At(2) == "18") {
		out = append(out, Complaint{Segment: "INS", Position: l.at, Loop: "2000", Code: "8", Element: "2", ElementCode: "7", Subscriber: number})
	}
	if ins.At(1) == "Y" && ins.At(8) == "" {
		out = append(out, Complaint{Segment: "INS", Position: l.at, Loop: "2000", Code: "8", Element: "8", ElementCode: "2", Subscriber: number})
	}
	return out
}

// elements checks the elements of a segment.
func elements(s x12.Segment, position int, loop, number string) (out []Complaint) {
	complain := func(n int, code string) {
		out = append(out, Complaint{Segment: s.ID(), Position: position, Loop: loop, Code: "8", Element: strconv.Itoa(n), ElementCode: code, Subscriber: number})
	}
	rules := guide[s.ID()]
	if len(s) > 1 && s[len(s)-1] == "" {
		complain(len(s)-1, "I10")
	}
	for n := 1; n < len(s) || n <= len(rules); n++ {
		value := s.At(n)
		if n > len(rules) {
			complain(n, "3")
			break
		}
		e := rules[n-1]
		switch {
		case value == "" && e.required:
			complain(n, "1")
		case value == "":
		case strings.TrimSpace(value) != value || strings.ContainsFunc(value, outside):
			complain(n, "6")
		case e.codes != "":
			if !e.allows(value) {
				complain(n, "7")
			}
		case e.date:
			if _, err := time.Parse("20060102", value); err != nil {
				complain(n, "8")
			}
		case e.max == 0:
			complain(n, "I10")
		case len(value) < e.min:
			complain(n, "4")
		case len(value) > e.max:
			complain(n, "5")
		}
	}
	if s.ID() == "NM1" {
		if (s.At(8) == "") != (s.At(9) == "") {
			complain(9, "2")
		}
		if s.At(1) != "31" && s.At(3) == "" {
			complain(3, "1")
		}
	}
	if s.ID() == "N4" && s.At(4) == "" && (s.At(2) == "" || s.At(3) == "") {
		complain(2, "2")
	}
	return out
}

// outside tells whether a character is in no set of X12.
func outside(r rune) bool {
	return !(r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune(" !\"&'()*+,-./:;?=%@[]_{}\\|<>#$", r))
}
