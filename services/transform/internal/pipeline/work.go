package pipeline

import (
	"context"
	"encoding/json"
	"time"

	"github.com/muster-hr/muster/libs/bus"
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
	said   employee.Flat
	from   string // effective day, "" if at once
	ours   string // our own id, if the record holds one
	keys   []matchKey
	waited bool      // link_wait has run out
	until  time.Time // end of link_wait
	err    error
	fatal  bool // the feed failed, not the record
	skip   bool // nothing to do but acknowledge
}

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
			p.mapRecord(w)
		}
	default:
		w.skip = true
	}
	return w
}

// mapRecord is the first stage: the source's mapping makes an observation.
func (p *Pipeline) mapRecord(w *work) {
	src := p.Company.Sources[w.source]
	if src == nil {
		w.err = fault.New(fault.Record, "unknown_source", "no source %q is configured", w.source)
		return
	}
	if !validVersion(w.rec.Version) {
		w.err = fault.New(fault.Record, "version", "the version is not a %s", w.rec.Version.Scale)
		return
	}
	obs, err := src.Mapping.Observe(connector.Record{
		Key: w.rec.Key, Event: w.rec.Event, Version: w.rec.Version, Partial: w.rec.Partial, Body: w.rec.Body, Deleted: w.rec.Deleted,
	}, p.Clock.Now().In(p.Company.Zone)) // its days are calendar days there
	if err != nil {
		w.err = err
		return
	}
	w.said, w.from = employee.Flatten(obs.Fields), obs.Effective
	w.keys = matchKeys(w.said, func(kind, value string) string { return p.Codec.Sealer.Token("match", kind, value) })
	if field, _ := src.Settings["our_id_field"].(string); field != "" {
		var body map[string]json.RawMessage
		if json.Unmarshal(w.rec.Body, &body) == nil {
			_ = json.Unmarshal(body[field], &w.ours) // anything but a text is not our id
		}
	}
}

func (w *work) id() string { return w.in.Event.ID() }
