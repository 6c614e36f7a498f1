package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"github.com/muster-hr/muster/libs/employee"
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
		telemetry.Message{Stream: topology.Raw, Template: "hr.raw.{source}.{key}", ID: w.id(), Consumer: topology.TransformRaw}, nil)
	outcome, err := p.stages(ctx, w)
	telemetry.End(span, err)
	if f := fault.Of(err); f != nil {
		if f.Class != fault.Record {
			return err
		}
		outcome = "dead"
		if err := p.bury(w, f, trace.SpanContextFromContext(ctx)); err != nil {
			return err
		}
	}
	p.Metrics.Record(w.source, outcome)
	if !w.waited && !w.again() { // those were acknowledged when they came first
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
	if errors.Is(w.err, seal.ErrNoKey) {
		return "erased", nil
	}
	if w.err != nil {
		return "", w.err
	}
	if p.refused.raw == w.in.Seq && p.refused.times >= refusalLimit {
		return "", fault.New(fault.Record, "refused", "the commit of this record was refused %d times", refusalLimit)
	}
	if w.sheet != nil {
		p.link(w)
		if outcome, done, err := p.answersStage(ctx, w); done || err != nil {
			return outcome, err
		}
	}
	st := p.ix.statement(w.source, w.token)
	if !w.waited {
		if w.in.Seq <= st.raw {
			return "repeated", nil // committed before a crash, the acknowledgement was lost
		}
		if w.linked == nil {
			switch order(st, w.rec.Version, w.id()) {
			case late:
				return "late", p.superseded(ctx, w, st)
			case again:
				return "repeated", nil
			}
		}
		if err := p.recall(ctx, w, st); err != nil {
			return "", err
		}
	}
	if w.linked != nil {
		return p.linkStage(ctx, w, st)
	}
	if w.rec.Deleted && st.employee == "" {
		return "ignored", p.forget(ctx, w, st)
	}
	if w.rec.Partial && st.employee == "" && st.rev.seq != 0 {
		// What this is laid over was never merged: it waited, or is in review.
		// All of it together says whose it is.
		before, err := p.stated(w.old)
		if err != nil {
			return "", err
		}
		w.says = append(before, w.says...)
		p.recognise(p.Company.Sources[w.source], w, append([]json.RawMessage{w.rec.Body, w.old.Whole}, w.old.Partials...)...)
	}
	v := p.identify(w)
	switch {
	case v.wait:
		return record.StatusWaiting, p.wait(ctx, w, st)
	case v.review:
		return record.StatusReview, p.state(ctx, w, st, record.StatusReview, "", change{})
	}
	id := v.employee
	if v.create {
		id = p.newID(w)
	}
	return p.mergeStage(ctx, w, st, id)
}

// forget is the end of a record that went away before anybody knew whose it
// was: nobody waits for it or reviews it any more. It is noted also of a key that
// was never seen, so that an older record which comes later makes nobody.
func (p *Pipeline) forget(ctx context.Context, w *work, st *statement) error {
	w.old.Whole, w.old.Partials = nil, nil
	return p.state(ctx, w, st, record.StatusUnchanged, "", change{})
}

// linkStage takes note that a delivery of ours stands behind a key. What that
// key said while it waited for it, or for a review, is merged with it in one
// commit.
func (p *Pipeline) linkStage(ctx context.Context, w *work, st *statement) (string, error) {
	id := strings.Clone(w.linked.Employee) // the index keeps it
	if p.ix.employees[id] == nil {
		return "", fault.New(fault.Record, "unknown_employee", "a link to an employee that does not exist")
	}
	if st.employee != "" && st.employee != id {
		return "", fault.New(fault.Record, "linked_twice", "the key is linked to another employee")
	}
	w.rec.Version = st.version
	if st.status == record.StatusWaiting || st.status == record.StatusReview {
		var err error
		if w.says, err = p.stated(w.old); err == nil {
			return p.mergeStage(ctx, w, st, id)
		}
		// It was mapped when it came, so the mapping has changed since. The
		// link holds all the same.
		p.Log.WarnContext(ctx, "a record that waited does not map any more", "source", w.source, "event", w.old.Event, "reason", fault.Reason(err))
	}
	status := st.status
	if st.employee == "" {
		status = record.StatusLinked
	}
	return record.StatusLinked, p.state(ctx, w, st, status, id, change{})
}

// mergeStage lays what was said over the employee's state and stages the
// result.
func (p *Pipeline) mergeStage(ctx context.Context, w *work, st *statement, id string) (string, error) {
	before, err := p.load(ctx, id)
	if err != nil {
		return "", err
	}
	c := p.lay(before, w)
	switch {
	case before.Contains[w.key()] >= w.in.Seq:
		// The employee got through before a crash, its statement did not.
		return record.StatusApplied, p.state(ctx, w, st, record.StatusApplied, id, change{conflicts: c.conflicts})
	case len(c.leaves) == 0 && !c.kept && before.Version > 0:
		return record.StatusUnchanged, p.state(ctx, w, st, record.StatusUnchanged, id, c)
	}
	return record.StatusApplied, p.apply(ctx, w, st, id, c)
}

// change is what differs in an employee after a statement was merged.
type change struct {
	before, after *employee.State
	leaves        []string
	conflicts     []record.Conflict
	kept          bool // something else of the state is to be kept: what is pending, who said it
}
