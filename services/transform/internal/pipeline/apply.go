package pipeline

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/telemetry"
	"github.com/muster-hr/muster/libs/topology"
)

// lay merges what a record says, and what has become due, over a state.
func (p *Pipeline) lay(before *employee.State, w *work) change {
	c := change{before: before, after: clone(before)}
	now := p.Clock.Now()
	today := p.effective.today(now)
	sent := w.sent()
	add := func(m merged) {
		c.leaves = append(c.leaves, m.changed...)
		c.kept = c.kept || m.claimed
	}
	c.leaves = append(c.leaves, p.ix.meet(c.after.Fields)...)
	for _, due := range p.effective.due(c.after, today) {
		add(merge(c.after, due.Source, p.ix.met(due.Fields), now, nil, p.ranks, p.Codec.ValueToken))
		c.kept = true
	}
	for _, s := range w.says {
		if s.from > today {
			c.kept = postpone(c.after, employee.Pending{Effective: s.from, Source: w.source, Fields: s.fields}) || c.kept
			continue
		}
		m := merge(c.after, w.source, p.ix.met(s.fields), now, sent, p.ranks, p.Codec.ValueToken)
		add(m)
		c.conflicts = append(c.conflicts, m.conflicts...)
	}
	c.after.Status = status(c.after, today)
	c.after.Fields[statusLeaf] = c.after.Status
	if c.after.Status == "" {
		delete(c.after.Fields, statusLeaf)
	}
	// Said differently may be the same on this day, and the same different.
	c.kept = c.kept || c.after.Said != before.Said
	c.leaves = slices.DeleteFunc(c.leaves, func(leaf string) bool { return leaf == statusLeaf })
	if c.after.Status != before.Status {
		c.leaves = append(c.leaves, statusLeaf)
	}
	slices.Sort(c.leaves)
	c.leaves = slices.Compact(c.leaves)
	return c
}

// sent is what our own deliveries last wrote at the source, by leaf; only
// accounts that are also targets have it. It is the record's own copy: merge
// forgets what the source has contradicted, and the statement keeps the rest.
func (w *work) sent() map[string]string {
	if w.wrote != nil {
		return w.wrote
	}
	w.wrote = maps.Clone(w.old.Sent)
	if w.linked != nil && len(w.linked.Sent) > 0 {
		if w.wrote == nil {
			w.wrote = map[string]string{}
		}
		maps.Copy(w.wrote, w.linked.Sent)
	}
	return w.wrote
}

// apply stages the employee's new state with everything that belongs to it.
func (p *Pipeline) apply(ctx context.Context, w *work, st *statement, id string, c change) error {
	person := p.ix.person(id)
	after := c.after
	after.Head = employee.Head{
		ID: id, Version: person.version + 1, Status: after.Status,
		Changed: employee.Patterns(c.leaves), Source: w.source, Event: w.id(), Initial: person.version == 0,
		AcceptedAt: w.rec.AcceptedAt, Config: p.Company.Version, Contains: maps.Clone(c.before.Contains),
		Awaits: awaits(after.Fields),
	}
	if after.Contains == nil {
		after.Contains = map[string]uint64{}
	}
	after.Contains[w.key()] = w.in.Seq
	typ := "hr.employee." + employee.Happened(c.before.Status, after.Status) + ".v1"
	ctx, send := telemetry.StartSend(ctx, p.Tracer, telemetry.Message{Stream: topology.People, Template: "hr.employee.{id}"})
	defer send.End()
	item := &item{raw: w.in.Seq, statement: w.key(), employee: id}
	taken, err := p.stageChange(ctx, item, typ, c)
	if err != nil {
		return err
	}
	c.conflicts = append(c.conflicts, taken...)
	if err := p.stateInto(ctx, item, w, st, record.StatusApplied, id, c); err != nil {
		return err
	}
	p.stand(ctx, item, typ, after)
	return nil
}

// stageChange puts an employee's next state into an item, as its first message,
// and the match keys and the leaver pointer that belong to it. Match keys of
// other people are conflicts.
func (p *Pipeline) stageChange(ctx context.Context, item *item, typ string, c change) (taken []record.Conflict, err error) {
	after := c.after
	item.people = append(item.people, staged{ctx: ctx, rev: &p.ix.person(after.ID).rev})
	item.seal = append(item.seal, func() (err error) {
		item.people[0].out, err = p.encodeState(ctx, after.ID, typ, after)
		return err
	})
	if taken, err = p.reserve(ctx, item, after.ID, c); err != nil {
		return nil, err
	}
	if left(after.Status) && !left(c.before.Status) {
		err = p.pointLeaver(ctx, item, after.ID, after.Version)
	}
	return taken, err
}

// stand makes a staged state the one that the next change is laid over, and
// collects its item.
func (p *Pipeline) stand(ctx context.Context, item *item, typ string, after *employee.State) {
	for _, k := range item.matches {
		p.ix.reserve(k.Kind, k.Token, after.ID)
		item.known = append(item.known, tokenMatch+k.name())
	}
	p.ix.person(after.ID).version = after.Version
	p.ix.awaits(after.ID, after.Awaits)
	p.states.Add(after.ID, after)
	p.Metrics.Change(typ)
	p.collect(ctx, item, after.AcceptedAt)
}

// collect puts an item into the group and tells those who waited for what it
// makes known.
func (p *Pipeline) collect(ctx context.Context, item *item, acceptedAt time.Time) {
	p.group.add(item)
	for _, token := range item.known {
		p.arrived(ctx, token, acceptedAt)
		p.ix.heard(token)
	}
}

func left(status string) bool { return status == employee.Terminated || status == employee.Withdrawn }

// state stages a statement alone: nothing changed in the employee.
func (p *Pipeline) state(ctx context.Context, w *work, st *statement, status, id string, c change) error {
	item := &item{raw: w.in.Seq, statement: w.key(), employee: id}
	if err := p.stateInto(ctx, item, w, st, status, id, c); err != nil {
		return err
	}
	p.collect(ctx, item, w.rec.AcceptedAt)
	return nil
}

func (p *Pipeline) stateInto(ctx context.Context, item *item, w *work, st *statement, status, id string, c change) error {
	next := record.Statement{
		Source: w.source, Employee: id, Status: status, Version: w.rec.Version, Event: w.id(), Word: w.rec.Event, Raw: w.in.Seq,
		AcceptedAt: w.rec.AcceptedAt, StatedAt: p.Clock.Now(), Conflicts: c.conflicts, Sent: w.sent(), Config: p.Company.Version,
		Key: w.rec.Key, Whole: w.rec.Body,
	}
	seen := st.seen
	if status == record.StatusWaiting {
		next.StatedAt = p.waiting[w.key()].since // a restart counts link_wait from it
	} else {
		delete(p.waiting, w.key())
	}
	if w.rec.Version.Scale == "" && w.linked == nil {
		seen, next.Version = remember(seen, short(w.id())), st.version
	}
	if s := next.Version.Scale; s != "" && s != connector.ScaleSequence && s == st.version.Scale && compare(next.Version, st.version) == 0 {
		// What was said at the same instant is told apart by its id.
		seen = remember(seen, st.event)
	}
	next.Seen = marked(seen)
	if w.rec.Partial || w.linked != nil || w.rec.Deleted || w.waited {
		layOver(&next, w)
	}
	if size(next.Partials...)+len(next.Whole) > record.Limit {
		return fault.New(fault.Record, "too_large", "the statement is larger than the bus takes")
	}
	if id != "" && st.employee != id { // a new link
		item.atomic, item.known = true, append(item.known, tokenSaid+w.key())
	}
	item.said = staged{ctx: ctx, rev: &st.rev}
	item.seal = append(item.seal, func() error {
		msg, err := p.Codec.State(ctx, w.token, next)
		item.said.out = bus.Out{Subject: msg.Subject, Event: msg.Event}
		return err
	})
	if st.version != next.Version {
		st.version = kept(next.Version)
	}
	st.employee, st.status, st.raw, st.seen, st.event = id, status, w.in.Seq, seen, short(w.id())
	if id != "" {
		p.ix.link(id, w.source, w.token)
	}
	return nil
}

// What a statement keeps of partial records. The oldest ones were merged long
// ago; the state has what they said.
const (
	partialLimit = 16
	partialBytes = 256 << 10
)

func size(bodies ...json.RawMessage) (n int) {
	for _, b := range bodies {
		n += len(b)
	}
	return n
}

// layOver keeps the last whole record and puts a partial one after it.
func layOver(next *record.Statement, w *work) {
	next.Whole, next.Partials = w.old.Whole, w.old.Partials
	if w.linked != nil {
		next.Word = w.old.Word
	}
	if w.linked != nil || w.rec.Deleted || w.waited {
		return
	}
	next.Partials = append(next.Partials, w.rec.Body)
	for n := len(next.Partials); n > partialLimit || n > 1 && size(next.Partials...) > partialBytes; n-- {
		next.Partials = next.Partials[1:]
	}
}
