package pipeline

import (
	"context"
	"errors"
	"maps"
	"slices"

	"go.opentelemetry.io/otel/trace"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/telemetry"
	"github.com/muster-hr/muster/libs/topology"
)

// process takes one record through the stages and stages what comes of it for
// the next commit. An error means that the session must start again; what is
// wrong with a record itself becomes a dead letter.
func (p *Pipeline) process(ctx context.Context, w *work) error {
	ctx, span := telemetry.StartProcess(telemetry.Extract(ctx, w.in.Traceparent), p.Tracer,
		telemetry.Message{Stream: topology.Raw, Template: "hr.raw.{source}.{key}", ID: w.in.Event.ID(), Consumer: topology.TransformRaw}, nil)
	outcome, err := p.stages(ctx, w)
	telemetry.End(span, err)
	if f := fault.Of(err); f != nil {
		if f.Class != fault.Record {
			return err
		}
		outcome = "dead"
		p.bury(w, f, trace.SpanContextFromContext(ctx))
	}
	p.Metrics.Record(w.source, outcome)
	if !w.waited { // one that waited was acknowledged when it began to
		p.group.acks = append(p.group.acks, w.in)
	}
	return nil
}

// refusalLimit is how often a record that stands alone may be refused, each
// time against a freshly read index, before it is given up.
const refusalLimit = 3

// stages is the way of a record, in order.
func (p *Pipeline) stages(ctx context.Context, w *work) (outcome string, err error) {
	if w.skip {
		return "skipped", nil
	}
	if w.err != nil {
		if errors.Is(w.err, seal.ErrNoKey) {
			return "erased", nil
		}
		return "", w.err
	}
	if p.refusals[w.in.Seq] >= refusalLimit {
		return "", fault.New(fault.Record, "refused", "the commit of this record was refused %d times", refusalLimit)
	}
	st := p.ix.statement(w.source, w.token)
	if w.in.Seq != 0 && w.in.Seq <= st.raw && !w.waited {
		return "repeated", nil // committed before a crash, the acknowledgement was lost
	}
	if w.linked != nil {
		return p.linkStage(ctx, w, st)
	}
	if arrived := order(st, w.rec.Version, w.id()); arrived != newer && !w.waited {
		if arrived == late {
			p.group.note(p.superseded(ctx, w))
			return "late", nil
		}
		return "repeated", nil
	}
	if w.rec.Deleted && st.employee == "" {
		return "ignored", nil
	}
	v := p.ix.identify(w.source, w.token, w.ours, w.keys, p.books[w.source], w.waited)
	switch {
	case v.wait:
		return record.StatusWaiting, p.wait(ctx, w, st)
	case v.review:
		return record.StatusReview, p.state(ctx, w, st, record.StatusReview, "", nil, change{})
	}
	id := v.employee
	if v.create {
		id = p.Codec.Sealer.Token("employee", w.source, w.rec.Key)
	}
	return p.mergeStage(ctx, w, st, id)
}

// mergeStage lays the observation over the employee's state and stages the
// result.
func (p *Pipeline) mergeStage(ctx context.Context, w *work, st *statement, id string) (string, error) {
	before, err := p.load(ctx, id)
	if err != nil {
		return "", err
	}
	key := w.source + "." + w.token
	if w.in.Seq != 0 && before.Contains[key] >= w.in.Seq {
		// The employee got through before a crash, its statement did not.
		return record.StatusApplied, p.state(ctx, w, st, record.StatusApplied, id, nil, change{})
	}
	sent, err := p.sent(ctx, w, st)
	if err != nil {
		return "", err
	}
	after := clone(before)
	c := change{before: before, after: after}
	now := p.Clock.Now()
	today := p.effective.today(now)
	rank := func(leaf string) []string { return p.Company.Authority.Rank(leaf) }
	for _, due := range p.effective.due(after, today) {
		leaves, _ := merge(after, due.Source, due.Fields, now, nil, rank, p.Codec.ValueToken)
		c.leaves = append(c.leaves, leaves...)
	}
	if w.from > today {
		after.Pending = append(after.Pending, employee.Pending{Effective: w.from, Source: w.source, Fields: w.said})
		c.pending = true
	} else {
		var leaves []string
		leaves, c.conflicts = merge(after, w.source, w.said, now, sent, rank, p.Codec.ValueToken)
		c.leaves = append(c.leaves, leaves...)
	}
	after.Status = status(after, today)
	if after.Status != before.Status {
		c.leaves = append(c.leaves, statusLeaf)
	}
	after.Fields[statusLeaf] = after.Status
	if after.Status == "" {
		delete(after.Fields, statusLeaf)
	}
	slices.Sort(c.leaves)
	c.leaves = slices.Compact(c.leaves)
	if i := slices.Index(c.leaves, statusLeaf); i >= 0 && after.Status == before.Status {
		c.leaves = slices.Delete(c.leaves, i, i+1) // said differently, but the same on this day
	}
	if len(c.leaves) == 0 && !c.pending && before.Version > 0 {
		return record.StatusUnchanged, p.state(ctx, w, st, record.StatusUnchanged, id, sent, c)
	}
	return record.StatusApplied, p.apply(ctx, w, st, id, sent, c)
}

// change is what differs in an employee after a statement was merged.
type change struct {
	before, after *employee.State
	leaves        []string
	conflicts     []record.Conflict
	pending       bool
}

// apply stages the employee's new state with everything that belongs to it.
func (p *Pipeline) apply(ctx context.Context, w *work, st *statement, id string, sent map[string]string, c change) error {
	person := p.ix.person(id)
	after := c.after
	after.Head = employee.Head{
		ID: id, Version: person.version + 1, Status: after.Status,
		Changed: employee.Patterns(c.leaves), Source: w.source, Event: w.id(), Initial: person.version == 0,
		AcceptedAt: w.rec.AcceptedAt, Config: p.Company.Version, Contains: maps.Clone(c.before.Contains),
	}
	if after.Contains == nil {
		after.Contains = map[string]uint64{}
	}
	after.Contains[w.source+"."+w.token] = w.in.Seq
	typ := "hr.employee." + employee.Happened(c.before.Status, after.Status) + ".v1"
	ctx, send := telemetry.StartSend(ctx, p.Tracer, telemetry.Message{Stream: topology.People, Template: "hr.employee.{id}"})
	defer send.End()
	msg, err := p.encodeState(ctx, id, typ, after)
	if err != nil {
		return err
	}
	item := &item{statement: w.source + "." + w.token, employee: id}
	item.people = append(item.people, staged{ctx: ctx, out: msg, rev: person.rev})
	if err := p.reserve(ctx, item, id, w, c); err != nil {
		return err
	}
	if left(after.Status) && !left(c.before.Status) {
		if err := p.pointLeaver(ctx, item, id, after.Version); err != nil {
			return err
		}
	}
	if err := p.stateInto(ctx, item, w, st, record.StatusApplied, id, sent, c); err != nil {
		return err
	}
	person.version = after.Version
	p.states.Add(id, after)
	p.Metrics.Change(typ)
	p.group.add(item)
	return nil
}

func left(status string) bool { return status == employee.Terminated || status == employee.Withdrawn }

// state stages a statement alone: nothing changed in the employee.
func (p *Pipeline) state(ctx context.Context, w *work, st *statement, status, id string, sent map[string]string, c change) error {
	item := &item{statement: w.source + "." + w.token, employee: id}
	if err := p.stateInto(ctx, item, w, st, status, id, sent, c); err != nil {
		return err
	}
	p.group.add(item)
	return nil
}

func (p *Pipeline) stateInto(ctx context.Context, item *item, w *work, st *statement, status, id string, sent map[string]string, c change) error {
	next := record.Statement{
		Source: w.source, Employee: id, Status: status, Version: w.rec.Version, Event: w.id(), Word: w.rec.Event, Raw: w.in.Seq,
		AcceptedAt: w.rec.AcceptedAt, StatedAt: p.Clock.Now(), Conflicts: c.conflicts, Seen: st.seen, Sent: sent, Config: p.Company.Version,
		Key: w.rec.Key, Whole: w.rec.Body,
	}
	if w.rec.Version.Scale == "" && w.linked == nil {
		next.Seen, next.Version = remember(st.seen, w.id()), st.version
	}
	if w.rec.Partial || w.linked != nil || w.rec.Deleted {
		if err := p.layOver(ctx, &next, w, st); err != nil {
			return err
		}
	}
	msg, err := p.Codec.State(ctx, w.token, next)
	if err != nil {
		return err
	}
	newLink := id != "" && st.employee != id
	item.atomic = item.atomic || newLink
	item.said = &staged{ctx: ctx, out: bus.Out{Subject: msg.Subject, Event: msg.Event, Rollup: true}, rev: st.rev}
	st.employee, st.status, st.version, st.raw, st.seen = id, status, next.Version, w.in.Seq, next.Seen
	if id != "" {
		p.ix.link(id, w.source, w.token)
	}
	return nil
}

// partialLimit bounds how many partial records a statement keeps. The oldest
// ones were merged long ago; the state has what they said.
const partialLimit = 16

// layOver keeps the last whole record and puts a partial one after it.
func (p *Pipeline) layOver(ctx context.Context, next *record.Statement, w *work, st *statement) error {
	next.Whole = nil
	if st.rev.seq != 0 {
		old, err := p.statementAt(ctx, w)
		if err != nil {
			return err
		}
		next.Whole, next.Partials = old.Whole, old.Partials
		if w.linked != nil {
			next.Word = old.Word
		}
	}
	if w.linked == nil && !w.rec.Deleted {
		next.Partials = append(next.Partials, w.rec.Body)
		if n := len(next.Partials); n > partialLimit {
			next.Partials = next.Partials[n-partialLimit:]
		}
	}
	return nil
}

// sent is what our own deliveries last wrote at the source; only accounts that
// are also targets have it.
func (p *Pipeline) sent(ctx context.Context, w *work, st *statement) (map[string]string, error) {
	if !p.books[w.source].waits || st.rev.seq == 0 && st.raw == 0 {
		return nil, nil
	}
	old, err := p.statementAt(ctx, w)
	return old.Sent, err
}

// linkStage takes note that a delivery of ours stands behind a key. A record of
// that key which waited for it goes on at once.
func (p *Pipeline) linkStage(ctx context.Context, w *work, st *statement) (string, error) {
	id := w.linked.Employee
	if p.ix.employees[id] == nil {
		return "", fault.New(fault.Record, "unknown_employee", "a link to an employee that does not exist")
	}
	if st.employee != "" && st.employee != id {
		return "", fault.New(fault.Record, "linked_twice", "the key is linked to another employee")
	}
	status := st.status
	if status == "" || status == record.StatusWaiting {
		status = record.StatusLinked
	}
	w.rec.Version = st.version
	waiting := p.waiting[w.source+"."+w.token]
	if err := p.state(ctx, w, st, status, id, w.linked.Sent, change{}); err != nil {
		return "", err
	}
	if waiting != nil {
		delete(p.waiting, w.source+"."+w.token)
		waiting.waited = true
		p.group.again = append(p.group.again, waiting)
	}
	return record.StatusLinked, nil
}

func clone(s *employee.State) *employee.State {
	c := *s
	c.Fields, c.Provenance, c.Pending = maps.Clone(s.Fields), maps.Clone(s.Provenance), slices.Clone(s.Pending)
	if c.Fields == nil {
		c.Fields = employee.Flat{}
	}
	if c.Provenance == nil {
		c.Provenance = map[string]employee.Origin{}
	}
	return &c
}

// load gives the newest state of an employee, staged or stored.
func (p *Pipeline) load(ctx context.Context, id string) (*employee.State, error) {
	if s, ok := p.states.Get(id); ok {
		return s, nil
	}
	in, err := p.Bus.Last(ctx, topology.People, topology.Employee(id))
	if errors.Is(err, bus.ErrNotFound) {
		return &employee.State{}, nil
	}
	if err != nil {
		return nil, err
	}
	env, err := p.Codec.Sealer.Open(ctx, id, in.Event.ID()+"|"+in.Event.Type(), in.Event.Data(), seal.Basic, seal.Restricted)
	if err != nil {
		return nil, err
	}
	s, err := employee.DecodeState(env.Head, env.Basic, env.Restricted)
	if err == nil {
		p.states.Add(id, s)
	}
	return s, err
}

func (p *Pipeline) encodeState(ctx context.Context, id, typ string, s *employee.State) (bus.Out, error) {
	head, basic, restricted, err := s.Encode(p.Company.Custom)
	if err != nil {
		return bus.Out{}, err
	}
	eventID := p.Codec.Sealer.Token("change", id, s.Event, typ)
	data, err := p.Codec.Sealer.Seal(ctx, id, eventID+"|"+typ, seal.Envelope{Head: head, Basic: basic, Restricted: restricted})
	if err != nil {
		return bus.Out{}, err
	}
	return bus.Out{Subject: topology.Employee(id), Event: event.New(eventID, "/muster/"+p.Company.Name+"/transform", typ, data)}, nil
}
