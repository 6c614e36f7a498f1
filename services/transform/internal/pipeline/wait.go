package pipeline

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// waiting is an unknown key of an account that is also a target. What it says
// stands in its statement, so a restart waits on and nothing is kept here.
type waiting struct {
	source, token string
	since, until  time.Time
}

// wait keeps a record of an unknown key until our own delivery tells whose it
// is or link_wait, counted from the first one, runs out.
func (p *Pipeline) wait(ctx context.Context, w *work, st *statement) error {
	if _, already := p.waiting[w.key()]; !already {
		now := p.Clock.Now()
		p.waiting[w.key()] = waiting{w.source, w.token, now, now.Add(p.Company.Sources[w.source].LinkWait)}
	}
	return p.state(ctx, w, st, record.StatusWaiting, "", change{})
}

// await takes a waiting statement up again after a start.
func (p *Pipeline) await(ctx context.Context, st record.Statement, token string) {
	src := p.Company.Sources[st.Source]
	if src == nil {
		p.Log.WarnContext(ctx, "a statement waits for a source that is not configured any more", "source", st.Source)
		return
	}
	p.waiting[st.Source+"."+token] = waiting{st.Source, token, st.StatedAt, st.StatedAt.Add(src.LinkWait)}
}

// over takes out the keys whose link_wait has run out, the oldest first.
func (p *Pipeline) over() []waiting {
	if len(p.waiting) == 0 {
		return nil
	}
	var out []waiting
	now := p.Clock.Now()
	for key, w := range p.waiting {
		if !w.until.After(now) {
			delete(p.waiting, key)
			out = append(out, w)
		}
	}
	slices.SortFunc(out, func(a, b waiting) int { return a.until.Compare(b.until) })
	return out
}

// resume gives what a key said while it waited to the stages.
func (p *Pipeline) resume(ctx context.Context, c *committer, key waiting) error {
	if err := p.settle(ctx, c); err != nil { // its statement is read back
		return err
	}
	w := &work{source: key.source, token: key.token, waited: true}
	st := p.ix.statement(w.source, w.token)
	if st.employee != "" || st.status != record.StatusWaiting {
		return nil
	}
	if err := p.recall(ctx, w, st); err != nil {
		return err
	}
	w.in.Seq, w.in.Event = st.raw, event.New(w.old.Event, "/muster/"+p.Company.Name+"/"+w.source, event.RecordReceivedV1, nil)
	w.rec = record.Received{Source: w.source, Event: w.old.Word, Version: st.version, AcceptedAt: w.old.AcceptedAt, Key: w.old.Key, Body: w.old.Whole}
	if n := len(w.old.Partials); w.rec.Body == nil && n > 0 { // for a dead letter
		w.rec.Body = w.old.Partials[n-1]
	}
	if w.says, w.err = p.stated(w.old); w.err == nil {
		p.recognise(p.Company.Sources[w.source], w, append(w.old.Partials, w.old.Whole)...)
	}
	return p.take(ctx, c, w)
}

// stated maps again what a statement says: its last whole record and the
// partial ones since.
func (p *Pipeline) stated(st record.Statement) (says []saying, err error) {
	src := p.Company.Sources[st.Source]
	if src == nil {
		return nil, fault.New(fault.Record, "unknown_source", "no source %q is configured", st.Source)
	}
	r := record.Received{Source: st.Source, Event: st.Word, Version: st.Version, Key: st.Key, Body: st.Whole}
	if st.Whole != nil {
		s, err := p.observe(src, r)
		if err != nil {
			return nil, err
		}
		says = append(says, s)
	}
	r.Partial = true
	for _, r.Body = range st.Partials {
		s, err := p.observe(src, r)
		if err != nil {
			return nil, err
		}
		says = append(says, s)
	}
	return says, nil
}

// reads tells whether a record's statement is read back: for what is laid over
// it, and for what our own deliveries last wrote at an account that is both.
func (p *Pipeline) reads(w *work) bool {
	return w.linked != nil || w.waited || w.rec.Partial || w.rec.Deleted || p.books[w.source].waits
}

// recall reads the statement before, if it is needed. It must not be in flight.
func (p *Pipeline) recall(ctx context.Context, w *work, st *statement) error {
	if !p.reads(w) || st.rev.seq == 0 {
		return nil
	}
	in, err := p.newest(ctx, topology.Said(w.source, w.token), &st.rev)
	if err != nil {
		return err
	}
	w.old, err = p.Codec.OpenStatement(ctx, w.token, in.Event)
	if errors.Is(err, seal.ErrNoKey) { // erased meanwhile
		w.old, err = record.StatementHead(in.Event)
	}
	return err
}
