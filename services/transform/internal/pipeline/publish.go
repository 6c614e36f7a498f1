package pipeline

import (
	"context"
	"encoding/json"
	"strconv"

	"go.opentelemetry.io/otel/trace"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// reserve stages the match keys that the new state has and nobody owns yet,
// those that are pending included. A key that another person owns is not taken
// over; it shows as a conflict.
func (p *Pipeline) reserve(ctx context.Context, i *item, id string, c change) (taken []record.Conflict, err error) {
	keys := matchKeys(c.after.Fields, c.leaves, p.matchToken)
	for _, pending := range c.after.Pending {
		keys = append(keys, matchKeys(pending.Fields, nil, p.matchToken)...)
	}
	for _, k := range keys {
		switch p.ix.owner(k.Kind, k.Token) {
		case id:
			continue
		case "":
		default:
			taken = append(taken, record.Conflict{Path: k.leaf, Rule: "match_key_taken"})
			continue
		}
		out, err := p.clear(topology.Match(k.Kind, k.Token), event.MatchReservedV1, p.Codec.Sealer.Token("reserve", k.name(), id), reserved{Employee: id})
		if err != nil {
			return nil, err
		}
		i.atomic, i.matches = true, append(i.matches, k)
		i.people = append(i.people, staged{ctx: ctx, out: out, rev: &revision{}})
	}
	return taken, nil
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
