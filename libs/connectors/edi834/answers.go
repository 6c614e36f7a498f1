package edi834

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/sftpx"
	"github.com/muster-hr/muster/libs/connectors/edi834/x12"
	"github.com/muster-hr/muster/libs/fault"
)

// maxAnswer is the size above which a file is no answer.
const maxAnswer = 16 << 20

// clocks of two machines may differ by so much.
const clockSlack = 48 * time.Hour

// answerFile is a file of the answers folder as it was read.
type answerFile struct {
	size     int64
	modified time.Time
	acks     []ack
}

// ack is what one TA1 or one set of a 999 says about one of our files.
type ack struct {
	id     string
	ta1    bool
	number int64
	code   string // TA104 or AK901
	note   string // TA105, or codes of AK905 to AK909
	sets   []setAck
}

// setAck is an AK2 loop.
type setAck struct {
	number int    // of our set in its file
	code   string // IK501
	notes  string // IK502 to IK506
	errors []segmentError
}

// segmentError is an IK3 loop; the first IK4 in it is kept.
type segmentError struct {
	segment, loop, code string
	position            int
	subscriber          string // of CTX
	element, elementIs  string // IK401, IK403
}

// Answers reads what lies in the answers folder. Nothing is moved or removed:
// an answer may be needed again after a crash.
func (f *files) Answers(ctx context.Context, open []connector.Sent) ([]connector.Answer, error) {
	if len(open) == 0 || f.word("answers") == "none" {
		return nil, nil
	}
	oldest := open[0].At
	for _, s := range open {
		if s.At.Before(oldest) {
			oldest = s.At
		}
	}
	acks, err := f.look(ctx, oldest.Add(-clockSlack))
	if err != nil {
		return nil, err
	}
	var out []connector.Answer
	for _, s := range open {
		a, ok, err := f.answer(ctx, s, acks)
		if err != nil {
			return out, err
		}
		if ok {
			out = append(out, a)
		}
	}
	return out, nil
}

// look reads files that are new or have changed, and gives all acks in the
// order of their files.
func (f *files) look(ctx context.Context, since time.Time) (all []ack, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := map[string]answerFile{}
	var order []sftpx.File
	err = f.client.With(ctx, func(s *sftpx.Session) error {
		found, err := s.List(f.answersFolder)
		if err != nil {
			return err
		}
		for _, file := range found {
			if file.Modified.Before(since) || file.Size > maxAnswer || strings.HasSuffix(file.Name, cmp.Or(f.Text("temporary"), ".part")) {
				continue
			}
			order = append(order, file)
			if was, ok := f.read[file.Name]; ok && was.size == file.Size && was.modified.Equal(file.Modified) {
				seen[file.Name] = was
				continue
			}
			raw, err := s.Read(path.Join(f.answersFolder, file.Name), maxAnswer)
			if fault.Reason(err) == sftpx.ReasonMissing || fault.Reason(err) == sftpx.ReasonTooLarge {
				continue // it was taken away, or it has grown
			}
			if err != nil {
				return err
			}
			acks, err := f.parse(raw)
			if err != nil { // it may not be whole yet; it is read again when it has changed
				f.log.WarnContext(ctx, "a file of the carrier cannot be read as an answer", "bytes", len(raw), "why", err.Error())
			}
			seen[file.Name] = answerFile{file.Size, file.Modified, acks}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	f.read = seen
	slices.SortStableFunc(order, func(a, b sftpx.File) int { return a.Modified.Compare(b.Modified) })
	for _, file := range order {
		all = append(all, seen[file.Name].acks...)
	}
	return all, nil
}

// parse reads the acks in a file that are for us. Interchanges that are whole
// count even if a later one is not.
func (f *files) parse(raw []byte) (out []ack, err error) {
	all, err := x12.Parse(raw)
	for _, i := range all {
		if !i.Whole() {
			err = cmp.Or(err, error(&x12.Error{Code: cmp.Or(first(i.Wrong), x12.BadControl)}))
			continue
		}
		if i.Sender() != f.Text("receiver") || i.Receiver() != f.Text("sender") || i.ISA.At(15) != f.Text("usage") { // numbers of test and production are the same
			continue
		}
		sum := sha256.Sum256(i.Text)
		id := hex.EncodeToString(sum[:8])
		for _, t := range i.TA1 {
			if n, bad := strconv.ParseInt(t.At(1), 10, 64); bad == nil {
				out = append(out, ack{id: id + "-ta1-" + t.At(1), ta1: true, number: n, code: t.At(4), note: code(t.At(5))})
			}
		}
		for _, g := range i.Groups {
			if g.GS.At(1) != "FA" {
				continue
			}
			for _, s := range g.Sets {
				if a, ok := functional(s, i.Sep.Component); ok {
					a.id = id + "-999-" + s.Number()
					out = append(out, a)
				}
			}
		}
	}
	return out, err
}

func first(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}

// functional reads one 999 (005010X231A1) whose components are separated so;
// false: it is about something else.
func functional(s x12.Set, component byte) (a ack, ok bool) {
	if s.Segments[0].At(1) != "999" {
		return a, false
	}
	var set *setAck
	var at *segmentError
	for _, seg := range s.Segments {
		switch seg.ID() {
		case "AK1":
			n, err := strconv.ParseInt(seg.At(2), 10, 64)
			if seg.At(1) != "BE" || err != nil {
				return a, false
			}
			a.number = n
		case "AK2":
			n, _ := strconv.Atoi(seg.At(2)) // one that is no number is none of ours
			a.sets = append(a.sets, setAck{number: n})
			set, at = &a.sets[len(a.sets)-1], nil
		case "IK3":
			if set == nil {
				break
			}
			n, _ := strconv.Atoi(seg.At(2)) // 0: nobody knows where
			set.errors = append(set.errors, segmentError{segment: seg.At(1), position: n, loop: seg.At(3), code: seg.At(4)})
			at = &set.errors[len(set.errors)-1]
		case "CTX":
			if at != nil && at.subscriber == "" {
				at.subscriber = subscriberOf(seg, component)
			}
		case "IK4":
			if at != nil && at.element == "" {
				at.element, at.elementIs = digitsOf(seg.At(1)), seg.At(3)
			}
		case "IK5":
			if set != nil {
				set.code, set.notes = seg.At(1), strings.Join(codes(seg, 2), "+")
				set, at = nil, nil
			}
		case "AK9":
			a.code, a.note = seg.At(1), strings.Join(codes(seg, 5), "+")
		}
	}
	return a, a.number > 0 && a.code != ""
}

// subscriberOf reads a business context as in SUBSCRIBER NUMBER REF02:E10217.
func subscriberOf(seg x12.Segment, component byte) string {
	name, value, ok := strings.Cut(seg.At(1), string(component))
	if ok && strings.Contains(strings.ToUpper(name), "SUBSCRIBER") {
		return strings.TrimSpace(value)
	}
	return ""
}

func codes(seg x12.Segment, from int) (out []string) {
	for n := from; n < len(seg); n++ {
		if c := code(seg[n]); c != "" {
			out = append(out, c)
		}
	}
	return out
}

// answer is what acks say about one file. A TA1 that accepts is no end where a
// 999 is agreed. A 999 counts more than a TA1: the number may have been refused
// because the file came twice, and then the first one is in.
func (f *files) answer(ctx context.Context, s connector.Sent, acks []ack) (connector.Answer, bool, error) {
	var envelope, refusedEnvelope, content *ack
	for i := range acks {
		switch a := &acks[i]; {
		case a.number != s.Number:
		case a.ta1 && a.code == "R":
			refusedEnvelope = a
		case a.ta1:
			envelope = a
		case content == nil || !content.taken() || a.taken(): // one that took the file stands
			content = a
		}
	}
	switch {
	case content != nil:
		return f.judged(ctx, s, content)
	case refusedEnvelope != nil && (envelope == nil || refusedEnvelope.note != x12.Duplicate):
		return connector.Answer{Number: s.Number, ID: refusedEnvelope.id, Refused: []connector.Refusal{{
			Index: -1, Reason: cmp.Or(envelopeReasons[refusedEnvelope.note], "interchange_refused"), Path: "ISA", Rule: "TA105=" + refusedEnvelope.note,
		}}}, true, nil
	case envelope != nil && f.word("answers") == "ta1":
		if envelope.code == "E" {
			f.log.WarnContext(ctx, "the carrier accepted a file with errors", "number", s.Number, "rule", "TA105="+envelope.note)
		}
		return connector.Answer{Number: s.Number, ID: envelope.id}, true, nil
	}
	return connector.Answer{}, false, nil
}

func (a *ack) taken() bool { return a.code == "A" || a.code == "E" }

var envelopeReasons = map[string]string{
	x12.Duplicate: "duplicate_number", x12.NumbersDiffer: "control_numbers", "005": "qualifier", "006": "sender", "007": "qualifier", "008": "receiver",
	x12.BadNumber: "bad_number", x12.BadContent: "envelope", x12.BadControl: "envelope", x12.Truncated: "truncated", x12.BadGroupCount: "group_count", "020": "usage",
}

// digitsOf is the element of IK401, which may name a component behind it.
func digitsOf(s string) string {
	n := 0
	for n < len(s) && n < 2 && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return s[:n]
}
