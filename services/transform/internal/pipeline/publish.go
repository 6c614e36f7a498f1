package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"go.opentelemetry.io/otel/trace"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// reserve stages the match keys that the new state has, those that are pending
// included, and its employee does not own yet. A key that another person has is
// not taken over; it shows as a conflict. One that another person had before,
// as an e-mail given to somebody else, is.
func (p *Pipeline) reserve(ctx context.Context, i *item, id string, c change) (taken []record.Conflict, err error) {
	keys := matchKeys(c.after.Fields, c.leaves, p.matchToken)
	for _, pending := range c.after.Pending {
		keys = append(keys, matchKeys(pending.Fields, nil, p.matchToken)...)
	}
	for n, k := range keys {
		if slices.ContainsFunc(keys[:n], func(before matchKey) bool { return before.name() == k.name() }) {
			continue // said for two days: a subject stands once in a commit
		}
		owner, subject, rev, eventID := p.ix.owner(k.Kind, k.Token), topology.Match(k.Kind, k.Token), revision{}, []string{k.name(), id}
		if owner == id {
			continue
		}
		if owner != "" {
			has, err := p.goesBy(ctx, owner, k)
			if err != nil {
				return nil, err
			}
			if has {
				taken = append(taken, record.Conflict{Path: k.leaf, Rule: "match_key_taken"})
				continue
			}
			before, err := p.Bus.Last(ctx, topology.People, subject)
			if err != nil {
				return nil, err
			}
			rev.seq, eventID = before.Seq, append(eventID, strconv.FormatUint(before.Seq, 10))
		}
		out, err := p.clear(subject, event.MatchReservedV1, p.Codec.Sealer.Token("reserve", eventID...), reserved{Employee: id})
		if err != nil {
			return nil, err
		}
		i.atomic, i.matches = true, append(i.matches, k)
		i.people = append(i.people, staged{ctx: ctx, out: out, rev: &rev})
	}
	return taken, nil
}

// goesBy tells whether an employee has a match key now, or on a day to come.
func (p *Pipeline) goesBy(ctx context.Context, id string, k matchKey) (bool, error) {
	s, err := p.load(ctx, id)
	if errors.Is(err, seal.ErrNoKey) {
		return false, nil // erased
	}
	if err != nil {
		return false, err
	}
	keys := matchKeys(s.Fields, nil, p.matchToken)
	for _, pending := range s.Pending {
		keys = append(keys, matchKeys(pending.Fields, nil, p.matchToken)...)
	}
	return slices.ContainsFunc(keys, func(own matchKey) bool { return own.name() == k.name() }), nil
}

// pointLeaver stages the pointer that lets a leaver overtake a backlog.
func (p *Pipeline) pointLeaver(ctx context.Context, i *item, id string, version uint64) error {
	out, err := p.clear(topology.Leaver(id), event.LeaverNotedV1, p.Codec.Sealer.Token("leaver", id, i.statement, strconv.FormatUint(version, 10)), reserved{Employee: id, Version: version})
	if err != nil {
		return err
	}
	out.Rollup = true
	i.atomic = true
	i.people = append(i.people, staged{ctx: ctx, out: out})
	return nil
}

// clear is a message that holds nothing personal: a head alone.
func (p *Pipeline) clear(subject, typ, id string, v any) (bus.Out, error) {
	h, err := json.Marshal(v)
	if err != nil {
		return bus.Out{}, err
	}
	data, err := p.Codec.Sealer.Seal(context.Background(), "", "", seal.Envelope{Head: h}) // nothing to seal, no key is fetched
	return bus.Out{Subject: subject, Event: event.New(id, "/muster/"+p.Company.Name+"/transform", typ, data)}, err
}

// bury stages a dead letter that names where and by which rule the record does
// not fit, and holds the record sealed as it came.
func (p *Pipeline) bury(w *work, f *fault.Error, sc trace.SpanContext) error {
	ctx := trace.ContextWithSpanContext(context.Background(), sc)
	p.Metrics.Dead(topology.StageMap)
	p.Log.WarnContext(ctx, "record became a dead letter", "source", w.source, "event", w.in.Event.ID(), "reason", f.Reason, "path", f.Path, "rule", f.Rule)
	token := w.token
	if w.sheet != nil {
		token = w.sheet.token
	}
	letter, err := p.Codec.Bury(ctx, token, record.DeadLetter{
		Stage: topology.StageMap, Source: w.source, Event: w.in.Event.ID(), Class: f.Class.String(), Reason: f.Reason, Path: f.Path, Rule: f.Rule,
		Attempts: 1, At: p.Clock.Now(), Config: p.Company.Version, Key: w.rec.Key, Body: w.rec.Body,
	})
	if err != nil {
		return err
	}
	none := uint64(0)
	p.group.dead = append(p.group.dead, staged{ctx: ctx, out: bus.Out{Subject: letter.Subject, Event: letter.Event, Expect: &none}})
	return nil
}

// superseded notes that an older version arrived late and was not believed.
func (p *Pipeline) superseded(ctx context.Context, w *work, st *statement) error {
	out, err := p.clear(topology.AuditOf("transform", "superseded"), event.RecordStatedV1, p.Codec.Sealer.Token("superseded", w.id()), record.Statement{
		Source: w.source, Employee: st.employee, Status: "superseded", Version: w.rec.Version,
		Event: w.id(), Word: w.rec.Event, Raw: w.in.Seq, AcceptedAt: w.rec.AcceptedAt, StatedAt: p.Clock.Now(), Config: p.Company.Version,
	})
	if err == nil {
		p.group.notes = append(p.group.notes, staged{ctx: ctx, out: out})
	}
	return err
}
