package deliver

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/telemetry"
)

// ask looks for answers to the files that await one.
func (f *filing) ask(ctx context.Context) error {
	now := f.d.Clock.Now()
	if !f.terms.Confirms || !f.asked.IsZero() && now.Sub(f.asked) < f.d.Target.Files.Answers {
		return nil
	}
	var open []connector.Sent
	for _, s := range f.open {
		if s.Outcome == record.FileAccepted {
			open = append(open, f.awaits(s))
		}
	}
	if len(open) == 0 {
		return nil
	}
	f.asked = now
	call, cancel := context.WithTimeout(ctx, putTime)
	defer cancel()
	answers, err := f.files.Answers(call, open)
	told := ""
	if x := fault.Of(err); x != nil {
		told = x.Reason
		if told != f.told { // once for as long as it is so
			f.d.Log.WarnContext(ctx, "answers to files cannot be read", "target", f.d.Target.Name, "class", x.Class.String(), "reason", x.Reason, "err", err)
		}
	}
	f.told = told
	for _, a := range answers { // those that could be read count, whatever came after them
		if err := f.answered(ctx, a); err != nil {
			return err
		}
	}
	return f.settleAll(ctx)
}

// awaits is a file as its connector sees it.
func (f *filing) awaits(s *sent) connector.Sent {
	return connector.Sent{Number: s.Number, Names: s.Names, At: s.Built, Starts: s.Starts, Piece: func(ctx context.Context, index int) (connector.Piece, error) {
		if index < 0 || index >= len(s.Members) {
			return connector.Piece{}, fmt.Errorf("file %d has no piece %d", s.Number, index)
		}
		mem, err := f.known(ctx, s.Members[index].Employee)
		if err != nil {
			return connector.Piece{}, err
		}
		if i := find(mem, s.Members[index].Event); i >= 0 {
			return pieceOf(&mem.Staged[i]), nil
		}
		return connector.Piece{}, seal.ErrNoKey // erased
	}}
}

// answered makes an answer durable, before anybody's record follows from it: it
// need not be there for a second time.
func (f *filing) answered(ctx context.Context, a connector.Answer) error {
	i := slices.IndexFunc(f.open, func(s *sent) bool { return s.Number == a.Number && s.Outcome == record.FileAccepted })
	if i < 0 {
		return nil // a repeat, or of nobody's file
	}
	next := f.open[i].File
	next.Outcome, next.Answer = record.FileAnswered, &record.FileAnswer{ID: a.ID}
	for _, r := range a.Refused {
		if r.Index < -1 || r.Index >= len(next.Members) {
			f.d.Log.ErrorContext(ctx, "an answer refuses a piece that is not in its file", "target", f.d.Target.Name, "file", a.Number, "piece", r.Index)
			continue
		}
		next.Answer.Refused = append(next.Answer.Refused, record.FileRefusal{Index: r.Index, Reason: r.Reason, Path: r.Path, Rule: r.Rule, Others: r.Others})
		if r.Index == -1 && !r.Others {
			f.d.Log.ErrorContext(ctx, "a file was refused as a whole: everybody in it is a dead letter", "target", f.d.Target.Name, "file", a.Number, "reason", r.Reason, "path", r.Path, "rule", r.Rule)
			f.breaker.open()
		}
	}
	return f.note(ctx, &sent{next, f.open[i].seq})
}

// late tells once of a file that nobody answers for. It is never sent again.
func (f *filing) late(ctx context.Context) error {
	if !f.terms.Confirms || f.terms.AnswerWithin <= 0 {
		return nil
	}
	for _, s := range slices.Clone(f.open) {
		if s.Outcome != record.FileAccepted || s.Late || f.d.Clock.Now().Sub(s.Built) < f.terms.AnswerWithin {
			continue
		}
		next := s.File
		next.Late = true
		if err := f.note(ctx, &sent{next, s.seq}); err != nil {
			return err
		}
		f.d.Log.WarnContext(ctx, "a file was not answered in time; it is not sent again", "target", f.d.Target.Name, "file", s.Number, "within", f.terms.AnswerWithin)
	}
	return nil
}

// settleAll brings to their members what has become of files.
func (f *filing) settleAll(ctx context.Context) error {
	for _, s := range slices.Clone(f.open) {
		if s.Outcome == record.FileAnswered || s.Outcome == record.FileAccepted && !f.terms.Confirms {
			if err := f.settle(ctx, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// settle writes the members' records, then that of the file. A member whose
// piece is not staged any more has its record already, or was erased: so this
// can be done again from the beginning.
func (f *filing) settle(ctx context.Context, s *sent) error {
	why := refusals(s)
	next := s.File
	next.Outcome, next.Applied, next.Refused, next.Again = record.FileSettled, 0, 0, 0
	for i, m := range s.Members {
		waits, err := f.end(ctx, s, m, why[i])
		switch {
		case err != nil:
			return err
		case waits:
			next.Again++
		case why[i] != nil:
			next.Refused++
		default:
			next.Applied++
		}
	}
	next.Members, next.Starts = nil, nil // the records before this one have them
	if err := f.note(ctx, &sent{next, s.seq}); err != nil {
		return err
	}
	f.move(s.Members, 0) // those that are still staged
	return nil
}

// refusals gives each member's; one of its own counts before one of the file,
// and a fault before one for others' sake.
func refusals(s *sent) map[int]*record.FileRefusal {
	out := map[int]*record.FileRefusal{}
	if s.Answer == nil {
		return out
	}
	var whole *record.FileRefusal
	for i := range s.Answer.Refused {
		r := &s.Answer.Refused[i]
		switch {
		case r.Index == -1 && (whole == nil || whole.Others):
			whole = r
		case r.Index >= 0 && (out[r.Index] == nil || out[r.Index].Others):
			out[r.Index] = r
		}
	}
	for i := range s.Members {
		if out[i] == nil && whole != nil {
			out[i] = whole
		}
	}
	return out
}

// end writes what became of one member, and tells whether it waits for another
// file. One that stands on a refused one does not: alone it would say half.
func (f *filing) end(ctx context.Context, s *sent, member record.Member, r *record.FileRefusal) (waits bool, err error) {
	defer f.lock(member.Employee)()
	mem, err := f.d.recollect(ctx, member.Employee)
	if err != nil {
		return false, err
	}
	i := find(mem, member.Event)
	if i < 0 {
		f.remove(member.Employee, member.Event)
		return false, nil
	}
	piece := mem.Staged[i]
	ctx = telemetry.Extract(ctx, piece.Trace) // what comes of a change is part of its trace
	if r != nil && (!r.Others || piece.Cut) {
		return false, f.refuse(ctx, s, mem, i, r)
	}
	m := f.about(mem, piece, s.Number)
	switch {
	case r != nil:
		m.Outcome, m.Reason, m.Path = record.OutcomeAccepted, r.Reason, r.Path // it waits for the next file
		return true, f.d.remember(ctx, m)
	case f.terms.Confirms:
		m.Outcome = record.OutcomeApplied
	default:
		m.Outcome, m.Reason = record.OutcomeAccepted, "uploaded"
	}
	m.Staged = taken(mem, i)
	if err := f.d.remember(ctx, m); err != nil {
		return false, err
	}
	if m.Outcome == record.OutcomeApplied && !m.AcceptedAt.IsZero() {
		f.d.Metrics.Latency(m.At.Sub(m.AcceptedAt))
	}
	f.remove(member.Employee, member.Event)
	return false, nil
}

// taken is what is kept of a person's pieces when the receiver took the one at
// i. What that told is kept as long as a piece it stands on may be refused, or
// was: then the receiver has it, and not what was told before.
func taken(m *record.Delivery, i int) []record.Staged {
	left := slices.Clone(m.Staged)
	left[i].At, left[i].Keys, left[i].Content = time.Time{}, nil, nil
	if m.Digest != "" && !slices.ContainsFunc(left, func(s record.Staged) bool { return !spent(&s) }) {
		return nil // what was told last was told from whatever the receiver may have had
	}
	open := false
	return slices.DeleteFunc(left, func(s record.Staged) bool {
		open = open || !s.Cut && !spent(&s)
		return !open && !s.Cut
	})
}

// about is a record about a staged change, which need not be the newest.
func (f *filing) about(mem *record.Delivery, s record.Staged, file int64) record.Delivery {
	m := *mem
	m.Event, m.Type, m.Version, m.Integration, m.Fields, m.AcceptedAt, m.Trace = s.Event, s.Type, s.Version, s.Integration, s.Fields, s.AcceptedAt, s.Trace
	m.Purpose, m.LegalBasis, m.Processor = "", "", ""
	if i := f.d.Company.Integrations[s.Integration]; i != nil {
		m.Purpose, m.LegalBasis, m.Processor = i.Purpose, i.LegalBasis, i.Processor
	}
	m.Attempt, m.Class, m.Reason, m.Path, m.Superseded, m.TookMS = 1, "", "", "", nil, 0
	m.File, m.Rule, m.Config, m.At = file, "file "+strconv.FormatInt(file, 10), f.d.Company.Version, f.d.Clock.Now()
	return m
}

// refuse gives the piece at i up. What its target knows goes back to what it was
// told before, so that the next change brings the whole difference. Pieces that
// were built on it and wait are given up for the same reason. Those on their
// way, or taken, are cut: the receiver has none of what was given up, and may
// have what they told. Which of the two is not known, so the next change is told
// from either, see stage.
func (f *filing) refuse(ctx context.Context, s *sent, mem *record.Delivery, i int, r *record.FileRefusal) error {
	m, piece := *mem, mem.Staged[i]
	m.Staged = slices.Clone(mem.Staged)
	given := []record.Staged{}
	for n := i + 1; n < len(m.Staged) && !piece.Cut; n++ {
		switch later := &m.Staged[n]; {
		case later.Cut: // what it stood on is gone already
		case spent(later) || f.inFile(m.Employee, later.Event):
			later.Cut = true
			later.Before, later.Status = said(mem, n)
		default:
			given = append(given, *later)
		}
	}
	given = append(given, piece) // the last one: it is what a repeat of this, after a crash, begins with
	for _, g := range given {
		m.Staged = slices.DeleteFunc(slices.Clone(m.Staged), func(s record.Staged) bool { return s.Event == g.Event })
		about := f.about(&m, g, s.Number)
		switch {
		case g.Event != piece.Event:
			about.File = 0
		case !piece.Cut:
			about.Body, about.Digest, about.Status = piece.Before, piece.Digest, piece.Status
			if len(doubts(&m)) > 0 {
				about.Digest, about.Uncertain = "", about.At
			}
		}
		about.Class, about.Reason, about.Path = fault.Record.String(), r.Reason, r.Path
		if r.Rule != "" {
			about.Rule = r.Rule
		}
		if err := f.d.buried(ctx, about); err != nil {
			return err
		}
		f.remove(m.Employee, g.Event)
	}
	return nil
}

// said is what the piece at n told: what the next one was built on.
func said(m *record.Delivery, n int) (body map[string]any, status string) {
	for _, next := range m.Staged[n+1:] {
		if !next.Cut {
			return next.Before, next.Status
		}
	}
	return m.Body, m.Status
}
