package pipeline

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/survey"
	"github.com/muster-hr/muster/libs/telemetry"
	"github.com/muster-hr/muster/libs/topology"
)

// A response to a survey is nobody's record: it never makes a person. It is
// linked to the employee it names and kept on SURVEYS, once. Where the company
// has a mapping for the source, it is a partial word about that employee too,
// and goes the way of every other record. One that names somebody who is not
// known is kept unlinked until somebody is known by that name; one that names
// nobody is never linked.

// sheet is a response on its way.
type sheet struct {
	survey string
	at     record.Answered
	ours   string  // our own id, if it names one
	names  []named // by what it may be linked, the strongest first
	token  string  // stands for the vendor's id of the response
	unfit  error   // why the company's mapping does not fit it
	again  bool    // it was kept before, and somebody is known by its name now
}

// named is one way to say who somebody is: by any of these tokens.
type named struct {
	by     string
	tokens []string
}

// Ways in which a response is linked, as they stand in its head.
const (
	byID     = "id"
	byKey    = "external_id"
	byNumber = "employee_number"
	byEmail  = "email"
)

// response is what the index has of one that was kept, by its subject.
type response struct {
	source   string
	employee string
	awaits   []string
	rev      *revision
}

// readAnswers is the first stage of a response. It looks at nothing but the
// record and the configuration.
func (p *Pipeline) readAnswers(src *config.Source, w *work) error {
	r, err := survey.Parse(w.rec.Body)
	if err != nil {
		return err
	}
	if len(w.rec.Body) > record.Limit {
		return fault.New(fault.Record, "too_large", "the response is larger than the bus takes")
	}
	w.sheet = &sheet{survey: r.Survey, token: w.token, at: record.Answered{
		Source: w.source, Survey: r.Survey, Event: w.id(), Raw: w.in.Seq,
		SubmittedAt: r.SubmittedAt, AcceptedAt: w.rec.AcceptedAt, Config: p.Company.Version, Body: w.rec.Body,
	}}
	if r.Anonymous || r.Respondent == nil {
		return nil
	}
	p.name(w.sheet, *r.Respondent)
	w.rec.Partial = true // of what it does not ask for it says nothing
	if src.Mapping != nil {
		s, err := p.observe(src, w.rec)
		switch {
		case err != nil:
			w.sheet.unfit = err
		case len(s.fields) > 0:
			w.says = []saying{s}
		}
	}
	return nil
}

// name lists by what the respondent may be known. An id without its source is
// looked for at every one, and may be a number.
func (p *Pipeline) name(s *sheet, r survey.Respondent) {
	add := func(by string, tokens ...string) {
		s.names = append(s.names, named{by, tokens})
	}
	match := func(kind, value string) string {
		return tokenMatch + kind + "." + p.matchToken(kind, strings.ToLower(value))
	}
	said := func(source, key string) string { return tokenSaid + source + "." + p.Codec.Token(source, key) }
	if id := strings.TrimSpace(r.ExternalID); id != "" {
		s.ours = id
		if source, key, ok := strings.Cut(id, ":"); ok && p.Company.Sources[source] != nil {
			add(byKey, said(source, key))
		} else {
			var tokens []string
			for _, source := range slices.Sorted(maps.Keys(p.Company.Sources)) {
				if !p.Company.Sources[source].Type.Survey {
					tokens = append(tokens, said(source, id))
				}
			}
			add(byKey, tokens...)
			add(byNumber, match(matchNumber, id))
		}
	}
	if number := strings.TrimSpace(r.EmployeeNumber); number != "" {
		add(byNumber, match(matchNumber, number))
	}
	if mail := strings.TrimSpace(r.Email); mail != "" {
		add(byEmail, match(matchEmail, mail))
	}
}

// respondent is the employee whom a response names. The first way by which
// anybody is known decides; if that is two people, nobody is meant.
func (ix *index) respondent(s *sheet) (employee, by string) {
	if p := ix.employees[s.ours]; s.ours != "" && p != nil && p.version > 0 {
		return s.ours, byID
	}
	for _, n := range s.names {
		for _, token := range n.tokens {
			switch id := ix.whom(token); {
			case id == "" || id == employee:
			case employee != "":
				return "", ""
			default:
				employee = id
			}
		}
		if employee != "" {
			return employee, n.by
		}
	}
	return "", ""
}

// link says whose a response is. What it says about them beside its answers is
// a statement of its own per survey and employee, so that of two responses to
// one survey the later one holds.
func (p *Pipeline) link(w *work) {
	s := w.sheet
	if s == nil {
		return
	}
	if r := p.ix.responses[s.subject()]; r != nil && r.employee != "" {
		s.at.Employee = r.employee // once linked it stays
	} else {
		s.at.Employee, s.at.LinkedBy = p.ix.respondent(s)
	}
	w.token = s.token
	if s.at.Employee != "" && len(w.says) > 0 {
		w.token = p.Codec.Sealer.Token("answers", w.source, s.survey, s.at.Employee)
	}
}

func (s *sheet) subject() string { return topology.Survey(s.survey, s.token) }

// writes tells whose state a response will be merged into, "" if nobody's.
func (w *work) writes() string {
	if len(w.says) == 0 {
		return ""
	}
	return w.sheet.at.Employee
}

// again tells whether a response was taken in before.
func (w *work) again() bool { return w.sheet != nil && w.sheet.again }

// identify decides whose record it is.
func (p *Pipeline) identify(w *work) verdict {
	if w.sheet != nil {
		return verdict{employee: w.sheet.at.Employee, rule: "respondent"}
	}
	return p.ix.identify(w.source, w.token, w.ours, w.keys, p.books[w.source], w.waited)
}

// answersStage stages a response for SURVEYS unless it is there already, and
// tells whether that is all there is to do. A crash after it brings the record
// again, which then finds it there and goes on.
func (p *Pipeline) answersStage(ctx context.Context, w *work) (outcome string, done bool, err error) {
	s := w.sheet
	r := p.ix.responses[s.subject()]
	switch {
	case s.at.Employee != "":
		s.at.Status = record.AnswersLinked
	case len(s.names) > 0:
		s.at.Status = record.AnswersUnlinked
	default:
		s.at.Status = record.AnswersAnonymous
	}
	outcome = s.at.Status
	if r == nil || r.employee == "" && s.at.Employee != "" {
		p.keepAnswers(ctx, w, r)
	} else {
		outcome = "repeated"
	}
	if s.at.Employee != "" && s.unfit != nil {
		return "", true, s.unfit
	}
	return outcome, w.writes() == "", nil
}

// keepAnswers stages the response; before is what the index has of it.
func (p *Pipeline) keepAnswers(ctx context.Context, w *work, before *response) {
	s := w.sheet
	rev := &revision{}
	if before != nil {
		rev = before.rev
	}
	if s.at.Status == record.AnswersUnlinked {
		for _, n := range s.names {
			s.at.Awaits = append(s.at.Awaits, n.tokens...)
		}
	}
	p.ix.answered(s.subject(), &response{w.source, s.at.Employee, s.at.Awaits, rev})
	ctx, send := telemetry.StartSend(ctx, p.Tracer, telemetry.Message{Stream: topology.Surveys, Template: "hr.survey.{survey}.{response}"})
	send.End()
	at, token := s.at, s.token
	p.group.answers = append(p.group.answers, answers{staged{ctx: ctx, rev: rev}, func(ctx context.Context) (bus.Out, error) {
		m, err := p.Codec.Answer(ctx, token, at)
		return bus.Out{Subject: m.Subject, Event: m.Event}, err
	}})
}

// answers is a response of the next commit. It is sealed there: the sequencer
// does not wait for keys.
type answers struct {
	staged
	pack func(context.Context) (bus.Out, error)
}

// commitAnswers makes responses durable. They go before what they say about
// people: the record comes again if that is lost.
func (p *Pipeline) commitAnswers(ctx context.Context, list []answers) error {
	var sent []waiter
	for _, a := range list {
		var err error
		if a.out, err = a.pack(ctx); err != nil {
			return err
		}
		w, err := p.send(topology.Surveys, a.staged)
		if err != nil {
			return err
		}
		sent = append(sent, w)
	}
	return settle(ctx, sent)
}

// answered notes what is known of a response from now on.
func (ix *index) answered(subject string, r *response) {
	if before := ix.responses[subject]; before != nil {
		for _, token := range before.awaits {
			if delete(ix.unlinked[token], subject); len(ix.unlinked[token]) == 0 {
				delete(ix.unlinked, token)
			}
		}
	}
	ix.responses[subject] = r
	for _, token := range r.awaits {
		if ix.unlinked[token] == nil {
			ix.unlinked[token] = map[string]bool{}
		}
		ix.unlinked[token][subject] = true
	}
}

// loadAnswers reads the heads of all responses. Those whose employee became
// known just before a crash are found again.
func (ix *index) loadAnswers(ctx context.Context, b *bus.Bus) error {
	err := b.EachLast(ctx, topology.Surveys, "hr.survey.>", func(in bus.In) error {
		if in.Err != nil {
			return in.Err
		}
		a, err := record.AnsweredHead(in.Event)
		if err == nil {
			ix.answered(in.Subject, &response{a.Source, a.Employee, a.Awaits, &revision{in.Seq}})
		}
		return err
	})
	for token := range ix.unlinked {
		if ix.whom(token) != "" {
			ix.heard(token)
		}
	}
	return err
}

// heard calls the responses that wait for a token that somebody has from now on.
func (ix *index) heard(token string) { maps.Copy(ix.found, ix.unlinked[token]) }

// linkFound gives the responses whose employee is known by now to the stages
// again, as they stand in RAW and in that order.
func (p *Pipeline) linkFound(ctx context.Context, c *committer) error {
	found := slices.Sorted(maps.Keys(p.ix.found))
	clear(p.ix.found)
	var again []bus.In
	for _, subject := range found {
		r := p.ix.responses[subject]
		if r == nil || r.employee != "" {
			continue
		}
		in, err := p.Bus.Last(ctx, topology.Raw, topology.RawRecord(r.source, topology.Last(subject)))
		if errors.Is(err, bus.ErrNotFound) {
			continue // taken away by hand: there is nothing to link any more
		}
		if err != nil {
			return err
		}
		again = append(again, in)
	}
	slices.SortFunc(again, func(a, b bus.In) int { return cmp.Compare(a.Seq, b.Seq) })
	for _, in := range again {
		w := p.open(ctx, in)
		if f := fault.Of(w.err); f != nil && f.Class != fault.Record && !errors.Is(w.err, seal.ErrNoKey) {
			return w.err // it opens another time, and the next start finds it
		}
		if w.sheet == nil {
			continue // its source is gone or it does not open: it had its dead letter when it came, or was erased
		}
		w.sheet.again = true
		if err := p.take(ctx, c, w); err != nil {
			return err
		}
	}
	return nil
}
