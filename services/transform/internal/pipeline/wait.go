package pipeline

import (
	"context"
	"strconv"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/topology"
)

// wait keeps a record of an unknown key until our own delivery tells whose it
// is or link_wait runs out. The statement says so, so that a restart waits on.
func (p *Pipeline) wait(ctx context.Context, w *work, st *statement) error {
	w.until = p.Clock.Now().Add(p.Company.Sources[w.source].LinkWait)
	p.waiting[w.source+"."+w.token] = w
	return p.state(ctx, w, st, record.StatusWaiting, "", nil, change{})
}

// await takes a waiting statement up again after a start.
func (p *Pipeline) await(ctx context.Context, in bus.In) {
	token := topology.Last(in.Subject)
	st, err := p.Codec.OpenStatement(ctx, token, in.Event)
	src := p.Company.Sources[st.Source]
	if err != nil || src == nil {
		p.Log.WarnContext(ctx, "a waiting statement cannot be opened", "source", st.Source, "err", err)
		return
	}
	body := st.Whole
	for _, partial := range st.Partials {
		body = partial // the newest is what came last
	}
	w := &work{in: bus.In{Seq: st.Raw, Event: in.Event}, source: st.Source, token: token, waited: false,
		rec:   record.Received{Source: st.Source, Event: st.Word, Version: st.Version, Partial: st.Whole == nil, AcceptedAt: st.AcceptedAt, Key: st.Key, Body: body},
		until: st.StatedAt.Add(src.LinkWait)}
	w.in.Event.SetID(st.Event)
	p.mapRecord(w)
	p.waiting[st.Source+"."+token] = w
}

// nextWait fires when the earliest link_wait has run out.
func (p *Pipeline) nextWait() <-chan time.Time {
	if len(p.waiting) == 0 {
		return nil
	}
	var first time.Time
	for _, w := range p.waiting {
		if first.IsZero() || w.until.Before(first) {
			first = w.until
		}
	}
	return time.After(min(time.Second, max(0, first.Sub(p.Clock.Now())))) // at most a second: the clock may be moved
}

// ended gives every record whose link_wait has run out back to the stages.
func (p *Pipeline) ended() []*work {
	var out []*work
	now := p.Clock.Now()
	for key, w := range p.waiting {
		if !w.until.After(now) {
			delete(p.waiting, key)
			w.waited = true
			out = append(out, w)
		}
	}
	return out
}

func itoa(v uint64) string { return strconv.FormatUint(v, 10) }
