package pipeline

import (
	"context"
	"encoding/json"
	"maps"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/topology"
)

// work is one message of RAW on its way, opened and mapped.
type work struct {
	in     bus.In
	source string
	token  string
	rec    record.Received
	linked *record.Linked
	sheet  *sheet            // a response to a survey
	wrote  map[string]string // see sent
	says   []saying          // what it says, oldest first; more than one after a wait
	ours   string            // our own id, if the record holds one
	keys   []matchKey
	old    record.Statement // the statement before, as far as it is needed
	waited bool             // link_wait has run out
	err    error
	skip   bool // nothing to do but acknowledge
}

// saying is one observation.
type saying struct {
	fields employee.Flat
	from   string // effective day, "" if at once
}

func (w *work) id() string  { return w.in.Event.ID() }
func (w *work) key() string { return w.source + "." + w.token }

// open decodes one message and maps its record. It looks at nothing but the
// message and the configuration, so it may run beside others.
func (p *Pipeline) open(ctx context.Context, in bus.In) *work {
	w := &work{in: in, source: topology.Token(in.Subject, 2), token: topology.Last(in.Subject)}
	if in.Err != nil {
		w.err = fault.New(fault.Record, "envelope", "message %d of RAW: %w", in.Seq, in.Err)
		return w
	}
	switch in.Event.Type() {
	case event.RecordLinkedV1:
		l, err := p.Codec.OpenLinked(ctx, w.token, in.Event)
		w.linked, w.err = &l, err
		w.rec = record.Received{Source: l.Source, Key: l.Key, AcceptedAt: l.AcceptedAt}
	case event.RecordReceivedV1:
		w.rec, w.err = p.Codec.OpenReceived(ctx, w.token, in.Event)
		if w.err == nil {
			w.err = p.mapRecord(w)
		}
	default:
		w.skip = true
	}
	w.in.Event.DataEncoded = nil // it is opened: what waits for its turn holds it once
	return w
}

// mapRecord is the first stage: the source's mapping makes an observation.
func (p *Pipeline) mapRecord(w *work) error {
	src := p.Company.Sources[w.source]
	if src == nil {
		return fault.New(fault.Record, "unknown_source", "no source %q is configured", w.source)
	}
	if !w.rec.Version.Valid() {
		return fault.New(fault.Record, "version", "the version is not a %s", w.rec.Version.Scale)
	}
	if src.Type.Survey {
		return p.readAnswers(src, w)
	}
	s, err := p.observe(src, w.rec)
	if err != nil {
		return err
	}
	w.says = []saying{s}
	p.recognise(src, w, w.rec.Body)
	return nil
}

func (p *Pipeline) observe(src *config.Source, r record.Received) (saying, error) {
	now := p.Clock.Now().In(p.Company.Zone) // its days are calendar days there
	obs, err := src.Mapping.Observe(connector.Record{Key: r.Key, Event: r.Event, Version: r.Version, Partial: r.Partial, Body: r.Body, Deleted: r.Deleted}, now)
	if err != nil {
		return saying{}, err
	}
	fields := employee.Flatten(obs.Fields)
	p.nameManagers(fields)
	return saying{fields, obs.Effective}, nil
}

// recognise notes by what the person of a record can be found.
func (p *Pipeline) recognise(src *config.Source, w *work, bodies ...json.RawMessage) {
	var all employee.Flat
	for i, s := range w.says {
		switch i {
		case 0:
			all = s.fields
		case 1:
			all = maps.Clone(all)
			fallthrough
		default:
			maps.Copy(all, s.fields)
		}
	}
	w.keys = matchKeys(all, nil, p.matchToken)
	field, _ := src.Settings["our_id_field"].(string)
	if field == "" {
		return
	}
	for _, b := range bodies {
		var body map[string]json.RawMessage
		if w.ours == "" && json.Unmarshal(b, &body) == nil {
			_ = json.Unmarshal(body[field], &w.ours) // anything but a text is not our id
		}
	}
}

func (p *Pipeline) matchToken(kind, value string) string {
	return p.Codec.Sealer.Token("match", kind, value)
}
