package pipeline

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/telemetry"
	"github.com/muster-hr/muster/libs/topology"
)

// A source names a manager by its own key, by number or by e-mail; a state does
// it by our id. Until somebody is known by that name there stands a token of it
// instead, the head lists it, and the one who turns out to have it makes every
// state that waits go on by an ordinary version.

// What stands before a token: the key of a source, or a match key.
const (
	tokenSaid  = "said."
	tokenMatch = "match."
)

// nameManagers puts tokens in place of the names by which a source knows
// managers. It looks at nothing but the secret, so it may run beside others.
func (p *Pipeline) nameManagers(said employee.Flat) {
	for leaf, v := range said {
		named, ok := v.(map[string]any)
		if !ok || employee.Pattern(leaf) != employee.ManagerPattern {
			continue
		}
		text := func(member string) string { s, _ := named[member].(string); return s }
		switch key, number, email := text("external_id"), text("employee_number"), text("work_email"); {
		case key != "":
			said[leaf] = employee.Awaited(tokenSaid + text("source") + "." + p.Codec.Token(text("source"), key))
		case number != "":
			said[leaf] = employee.Awaited(tokenMatch + matchNumber + "." + p.matchToken(matchNumber, strings.ToLower(number)))
		case email != "":
			said[leaf] = employee.Awaited(tokenMatch + matchEmail + "." + p.matchToken(matchEmail, strings.ToLower(email)))
		}
	}
}

// whom gives the employee behind a token, "" if nobody is known by it.
func (ix *index) whom(token string) string {
	if statement, ok := strings.CutPrefix(token, tokenSaid); ok {
		source, key, _ := strings.Cut(statement, ".")
		if st := ix.said(source, key); st != nil {
			return st.employee
		}
		return ""
	}
	name, _ := strings.CutPrefix(token, tokenMatch)
	kind, key, _ := strings.Cut(name, ".")
	return ix.owner(kind, key)
}

// meet puts our ids in place of tokens, as far as they are known, and gives the
// leaves that changed.
func (ix *index) meet(f employee.Flat) (leaves []string) {
	for leaf, v := range f {
		if token := employee.AwaitedBy(leaf, v); token != "" {
			if id := ix.whom(token); id != "" {
				f[leaf] = id
				leaves = append(leaves, leaf)
			}
		}
	}
	return leaves
}

// met is meet for what must not be changed.
func (ix *index) met(f employee.Flat) employee.Flat {
	for leaf, v := range f {
		if employee.AwaitedBy(leaf, v) != "" {
			out := maps.Clone(f)
			ix.meet(out)
			return out
		}
	}
	return f
}

// awaits lists the tokens in a state, sorted.
func awaits(f employee.Flat) (tokens []string) {
	for leaf, v := range f {
		if token := employee.AwaitedBy(leaf, v); token != "" {
			tokens = append(tokens, token)
		}
	}
	slices.Sort(tokens)
	return slices.Compact(tokens)
}

// awaits notes for whom an employee waits from now on.
func (ix *index) awaits(id string, tokens []string) {
	for _, token := range ix.awaiting[id] {
		if delete(ix.awaited[token], id); len(ix.awaited[token]) == 0 {
			delete(ix.awaited, token)
		}
	}
	if len(tokens) == 0 {
		delete(ix.awaiting, id)
		return
	}
	ix.awaiting[id] = tokens
	for _, token := range tokens {
		if ix.awaited[token] == nil {
			ix.awaited[token] = map[string]bool{}
		}
		ix.awaited[token][id] = true
	}
}

// meeting are employees whose state goes on without a record of theirs, because
// their manager has become known or a day has begun, in the order in which that
// happened.
type meeting struct {
	list []met
	here map[string]bool
}

// met is one of them, with what made the manager known, if that is why.
type met struct {
	id         string
	cause      trace.SpanContext
	acceptedAt time.Time
}

func (m *meeting) add(x met) {
	if m.here[x.id] {
		return
	}
	if m.here == nil {
		m.here = map[string]bool{}
	}
	m.here[x.id] = true
	m.list = append(m.list, x)
}

// arrived calls those who wait for a token that somebody has from now on.
func (p *Pipeline) arrived(ctx context.Context, token string, acceptedAt time.Time) {
	for _, id := range slices.Sorted(maps.Keys(p.ix.awaited[token])) {
		p.meeting.add(met{id, trace.SpanContextFromContext(ctx), acceptedAt})
	}
}

// catchUp calls those whom a crash left waiting for somebody who is there.
func (p *Pipeline) catchUp(ctx context.Context) {
	for token := range p.ix.awaited {
		if p.ix.whom(token) != "" {
			p.arrived(ctx, token, p.Clock.Now())
		}
	}
}

// introduce stages the states of those who were called. It
// leaves room in the group for records: a manager may have thousands of reports.
func (p *Pipeline) introduce(ctx context.Context) error {
	if len(p.meeting.list) == 0 {
		return nil
	}
	room := min(p.limit-p.group.size(), (p.limit+1)/2)
	list := p.meeting.list
	p.meeting = meeting{}
	for i, x := range list {
		switch {
		case room <= 0:
			for _, x := range list[i:] {
				p.meeting.add(x)
			}
			return nil
		case p.group.touches("", x.id) || p.aside.touches("", x.id):
			p.meeting.add(x) // the next group: a subject stands once in a commit
			continue
		}
		room--
		if err := p.introduced(ctx, x); err != nil {
			return err
		}
	}
	return nil
}

// introduced stages one employee's state with our ids of the managers who are
// known by now, and as the day has it. A record of the employee's own may have
// brought both before.
func (p *Pipeline) introduced(ctx context.Context, x met) error {
	before, err := p.load(ctx, x.id)
	if errors.Is(err, seal.ErrNoKey) {
		p.ix.awaits(x.id, nil) // erased
		return nil
	}
	if err != nil {
		return err
	}
	c := p.lay(before, &work{})
	if len(c.leaves) == 0 && !c.kept {
		return nil
	}
	after := c.after
	after.Version++
	after.Changed, after.Awaits = employee.Patterns(c.leaves), awaits(after.Fields)
	for _, leaf := range c.leaves {
		if o, ok := after.Provenance[leaf]; ok { // a status that follows from dates has none
			after.Source = o.Source
			break
		}
	}
	after.Event = p.Codec.Sealer.Token("introduced", x.id, strconv.FormatUint(after.Version, 10))
	after.Initial, after.AcceptedAt, after.Config = false, x.acceptedAt, p.Company.Version

	// A change of its own: a new trace, linked to that of the manager's.
	var links []trace.Link
	if x.cause.IsValid() {
		links = append(links, trace.Link{SpanContext: x.cause})
	}
	ctx, process := telemetry.StartProcess(ctx, p.Tracer, telemetry.Message{Stream: topology.People, Template: "hr.employee.{id}", ID: after.Event}, links)
	defer process.End()
	ctx, send := telemetry.StartSend(ctx, p.Tracer, telemetry.Message{Stream: topology.People, Template: "hr.employee.{id}"})
	defer send.End()
	typ := "hr.employee." + employee.Happened(before.Status, after.Status) + ".v1"
	item := &item{employee: x.id}
	if _, err := p.stageChange(ctx, item, typ, c); err != nil {
		return err
	}
	p.stand(ctx, item, typ, after)
	return nil
}
