package edi834

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connectors/edi834/x12"
	"github.com/muster-hr/muster/libs/seal"
)

func sample(t testing.TB, name string) string {
	t.Helper()
	raw, err := os.ReadFile("testdata/vendor/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// piecesOf cuts a set's members at each subscriber, as they were put in.
func piecesOf(t *testing.T, text string) (pieces []connector.Piece, starts []int) {
	t.Helper()
	all, err := x12.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for n, set := range all[0].Groups[0].Sets {
		var segments []x12.Segment
		keep := func() {
			if segments == nil {
				return
			}
			content, err := json.Marshal(segments)
			if err != nil {
				t.Fatal(err)
			}
			pieces = append(pieces, connector.Piece{Content: content})
			segments = nil
		}
		for i, s := range set.Segments {
			if s.ID() == "INS" && s.At(1) == "Y" {
				keep()
				starts = append(starts, n*perSet+i+1)
			}
			if len(starts) > len(pieces) && s.ID() != "SE" {
				segments = append(segments, s)
			}
		}
		keep()
	}
	return pieces, starts
}

// judgedAs is what an acknowledgement says about a file in short.
func judgedAs(t *testing.T, f *files, number int64, starts []int, pieces []connector.Piece, texts ...string) []string {
	t.Helper()
	var acks []ack
	for _, text := range texts {
		a, err := f.parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		acks = append(acks, a...)
	}
	got, ok, err := f.answer(t.Context(), connector.Sent{Number: number, Starts: starts, Piece: func(_ context.Context, i int) (connector.Piece, error) {
		if pieces == nil {
			return connector.Piece{}, seal.ErrNoKey
		}
		return pieces[i], nil
	}}, acks)
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		return []string{"waits"}
	}
	if got.Number != number || got.ID == "" {
		t.Errorf("answer %+v", got)
	}
	if len(got.Refused) == 0 {
		return []string{"accepted"}
	}
	var out []string
	for _, r := range got.Refused {
		text := fmt.Sprintf("%d %s %s %s", r.Index, r.Reason, r.Path, r.Rule)
		if r.Others {
			text += " others"
		}
		out = append(out, text)
	}
	return out
}

// TestVendorAnswers: the samples come to the person whose segment was refused.
func TestVendorAnswers(t *testing.T) {
	f := carrier(t)
	pieces, starts := piecesOf(t, sample(t, "sent-then-rejected.edi"))
	if cmp.Diff(starts, []int{6}) != "" {
		t.Fatalf("starts %v", starts)
	}
	second := []int{perSet + 6} // its ST02 is 0002
	for _, c := range []struct {
		what   string
		number int64
		starts []int
		acks   []string
		want   string
	}{
		{"accepted", 101, []int{12}, []string{"ack-999-accepted.edi"}, "accepted"},
		{"another number", 102, []int{12}, []string{"ack-999-accepted.edi"}, "waits"},
		{"refused", 132, second, []string{"ack-999-rejected.edi"}, "0 bad_date 2100/DMG02 IK403=8"},
		{"the number came twice", 132, second, []string{"ack-ta1-rejected.edi"}, "-1 duplicate_number ISA TA105=025"},
		{"twice, and judged", 132, second, []string{"ack-ta1-rejected.edi", "ack-999-rejected.edi"}, "0 bad_date 2100/DMG02 IK403=8"},
	} {
		var texts []string
		for _, name := range c.acks {
			texts = append(texts, sample(t, name))
		}
		if d := cmp.Diff([]string{c.want}, judgedAs(t, f, c.number, c.starts, pieces, texts...)); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, d)
		}
	}
	if got := judgedAs(t, carrier(t, "sender", "SOMEBODY"), 101, []int{12}, pieces, sample(t, "ack-999-accepted.edi")); got[0] != "waits" {
		t.Errorf("an answer to another sender: %q", got)
	}
}

// TestWho: of several people the right one is refused, and the others go again.
func TestWho(t *testing.T) {
	pieces, starts := piecesOf(t, sample(t, "full-file.edi")) // two subscribers: segments 10 to 19, and from 20
	if cmp.Diff(starts, []int{10, 20}) != "" {
		t.Fatalf("starts %v", starts)
	}
	accepted, refused := sample(t, "ack-999-accepted.edi"), sample(t, "ack-999-rejected.edi")
	body := refused[strings.Index(refused, "IK3*DMG"):strings.Index(refused, "IK5*R*5~")]
	with := func(errors string, ak9 string) string {
		text := strings.Replace(refused, body, errors, 1)
		text = strings.Replace(text, "AK9*R*1*1*0", ak9, 1)
		text = strings.ReplaceAll(text, "834*0002", "834*0001")
		return strings.Replace(text, "SE*11*", fmt.Sprintf("SE*%d*", 6+strings.Count(errors, "~")), 1)
	}
	const r = "AK9*R*1*1*0"
	for _, c := range []struct {
		what, ack string
		erased    bool
		want      []string
	}{
		{"by position", with("IK3*N4*16*2100*8~IK4*2*156*7*ZZ~", r), true, []string{"0 bad_code 2100/N402 IK403=7", "1 set_refused ST IK502=5 others"}},
		{"the second", with("IK3*NM1*24*2100*8~IK4*9**5*X~", r), true, []string{"0 set_refused ST IK502=5 others", "1 too_long 2100/NM109 IK403=5"}},
		{"both", with("IK3*NM1*24*2100*8~IK4*3**5~IK3*DMG*17*2100*8~IK4*2**8~", r), false, []string{"0 bad_date 2100/DMG02 IK403=8", "1 too_long 2100/NM103 IK403=5"}},
		{"missing, by context", with("IK3*DTP*20*2300*3~CTX*SUBSCRIBER NUMBER REF02:E10482~", r), false, []string{"0 set_refused ST IK502=5 others", "1 missing_segment 2300/DTP IK304=3"}},
		{"missing, by context, in the carrier's own separators", strings.NewReplacer("*:~", "*>~", "REF02:", "REF02>").Replace(with("IK3*PER*20*2100*3~CTX*SUBSCRIBER NUMBER REF02:E10482~", r)), false, []string{"0 set_refused ST IK502=5 others", "1 missing_segment 2100/PER IK304=3"}},
		{"missing between two who both lack it", with("IK3*PER*20*2100*3~", r), false, []string{"0 missing_segment 2100/PER IK304=3", "1 missing_segment 2100/PER IK304=3"}},
		{"missing by the guide, between the two", with("IK3*PER*20*2100*I6~", r), false, []string{"0 missing_segment 2100/PER IK304=I6", "1 missing_segment 2100/PER IK304=I6"}},
		{"missing, far from others", with("IK3*PER*30*2100*3~", r), false, []string{"0 set_refused ST IK502=5 others", "1 missing_segment 2100/PER IK304=3"}},
		{"the header", with("IK3*BGN*2**8~IK4*2**5~", r), false, []string{"-1 too_long 834/BGN02 IK403=5"}},
		{"header and person", with("IK3*DMG*17*2100*8~IK4*2**8~IK3*REF*3**8~", r), false, []string{"-1 bad_element 834/REF IK304=8"}},
		{"no errors named", with("", r), false, []string{"-1 set_refused ST IK502=5"}},
		{"the copy of a value is no code", with("IK3*DMG*17*2100*8~IK4*2**LINDSTROM BJORN~", r), false, []string{"0 bad_element 2100/DMG02 IK403=", "1 set_refused ST IK502=5 others"}},
		{"the group", with("", "AK9*R*1*1*0*4"), false, []string{"-1 group_refused GS AK905=4"}},
		{"with errors", strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(accepted, "IK5*A", "IK5*E*5"), "AK9*A", "AK9*E"), "BE*101", "BE*132"), false, []string{"accepted"}},
	} {
		p := pieces
		if c.erased {
			p = nil
		}
		if d := cmp.Diff(c.want, judgedAs(t, carrier(t), 132, starts, p, c.ack)); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, d)
		}
	}
}

// TestSets: in a partly accepted file only the refused set counts.
func TestSets(t *testing.T) {
	starts := []int{6, 20, perSet + 6, perSet + 20}
	text := sample(t, "ack-999-accepted.edi")
	text = strings.Replace(text, "IK5*A~\nAK9*A*1*1*1", "IK5*A~\nAK2*834*0002~\nIK3*DMG*24*2100*8~\nIK4*2**8~\nIK5*R*5~\nAK9*P*2*2*1", 1)
	text = strings.Replace(text, "SE*6*", "SE*10*", 1)
	want := []string{"2 set_refused ST IK502=5 others", "3 bad_date 2100/DMG02 IK403=8"}
	if d := cmp.Diff(want, judgedAs(t, carrier(t), 101, starts, nil, text)); d != "" {
		t.Errorf("partly (-want +got):\n%s", d)
	}
	text = strings.Replace(text, "AK9*P*2*2*1", "AK9*R*2*2*0", 1)
	text = strings.Replace(strings.Replace(text, "AK2*834*0001*005010X220A1~\nIK5*A~\n", "", 1), "SE*10*", "SE*8*", 1)
	want = append(want, "0 group_refused GS AK901=R others", "1 group_refused GS AK901=R others")
	if d := cmp.Diff(want, judgedAs(t, carrier(t), 101, starts, nil, text)); d != "" {
		t.Errorf("all, of which one is named (-want +got):\n%s", d)
	}
}

// TestEnvelopeAnswers: what a TA1 means depends on what was agreed.
func TestEnvelopeAnswers(t *testing.T) {
	refused := sample(t, "ack-ta1-rejected.edi")
	accepted := strings.Replace(strings.Replace(refused, "*R*025", "*A*000", 1), "000900133", "000900134", -1)
	for _, c := range []struct {
		what, agreed string
		texts        []string
		want         string
	}{
		{"accepted, a 999 comes", "999", []string{accepted}, "waits"},
		{"accepted, nothing else comes", "ta1", []string{accepted}, "accepted"},
		{"came twice", "999", []string{accepted, refused}, "waits"},
		{"came twice, nothing else comes", "ta1", []string{accepted, refused}, "accepted"},
		{"bad sender", "999", []string{strings.Replace(refused, "025", "006", 1)}, "-1 sender ISA TA105=006"},
		{"unknown note", "999", []string{strings.Replace(refused, "025", "099", 1)}, "-1 interchange_refused ISA TA105=099"},
	} {
		if got := judgedAs(t, carrier(t, "answers", c.agreed), 132, []int{6}, nil, c.texts...); got[0] != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
	if _, err := carrier(t).parse([]byte(refused[:len(refused)-30])); err == nil {
		t.Error("a file that is cut off is taken")
	}
}

// FuzzAnswers: what an acknowledgement holds never breaks us, and no value of it
// gets into reason, path or rule.
func FuzzAnswers(f *testing.F) {
	for _, name := range []string{"ack-999-accepted.edi", "ack-999-rejected.edi", "ack-ta1-rejected.edi"} {
		f.Add([]byte(sample(f, name)))
	}
	c := carrier(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		acks, err := c.parse(data)
		if err != nil && strings.Contains(err.Error(), "E10217") {
			t.Fatal("a value is in the error")
		}
		for _, a := range acks {
			got, _, err := c.answer(t.Context(), connector.Sent{Number: a.number, Starts: []int{6, 18, perSet + 6}}, acks)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range got.Refused {
				if r.Reason == "" || len(r.Path) > 20 || len(r.Rule) > 60 || r.Index < -1 || r.Index > 2 {
					t.Fatalf("%+v", r)
				}
			}
		}
	})
}
