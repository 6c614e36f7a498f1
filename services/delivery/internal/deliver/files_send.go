package deliver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/topology"
)

// putTime bounds one Put: a slow line is no reason to begin again and again.
const putTime = 10 * time.Minute

// errElsewhere ends a process whose file another one has written about: there
// is to be one per target.
var errElsewhere = errors.New("another process works on the files of this target")

// run makes, brings and follows files until ctx ends.
func (f *filing) run(ctx context.Context) error {
	plan := f.d.Target.Files
	look := min(time.Second, plan.Answers)
	if plan.Every > 0 {
		look = min(look, plan.Every)
	}
	tick := time.NewTicker(max(look, 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-f.nudge:
		}
		err := f.step(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errElsewhere):
			return err
		case err != nil:
			x := fault.Of(err)
			f.d.Log.WarnContext(ctx, "a file has to wait", "target", f.d.Target.Name, "class", x.Class.String(), "reason", x.Reason, "err", err)
			if err := pause(ctx, ourPause); err != nil {
				return nil // it is over, which is no error
			}
		}
	}
}

// step does what is to be done now. A receiver that takes no file may still
// answer for others, and the other way round.
func (f *filing) step(ctx context.Context) error {
	return errors.Join(f.settleAll(ctx), f.send(ctx), f.ask(ctx), f.late(ctx))
}

// send brings the file that was intended, or makes one if it is due.
func (f *filing) send(ctx context.Context) error {
	now := f.d.Clock.Now()
	if f.pending == nil && !f.due(now) {
		return nil
	}
	leave, ok := f.breaker.enter()
	if !ok {
		return nil
	}
	defer leave()
	if f.pending == nil {
		if err := f.intend(ctx, &record.File{Number: max(f.last+1, f.terms.FirstNumber, 1), Previous: f.last, Built: now}, 0); err != nil || f.pending == nil {
			return err
		}
	} else if f.built == nil { // of a process before this one
		if ready, err := f.again(ctx); err != nil || !ready {
			return err
		}
	}
	return f.bring(ctx)
}

// intend gathers what a file takes, builds it, and makes durable that it is
// going to be brought: from now on its number stands for these bytes.
func (f *filing) intend(ctx context.Context, as *record.File, seq uint64) error {
	members, pieces, err := f.gather(ctx)
	if err != nil || len(members) == 0 {
		return err
	}
	built, err := f.build(*as, pieces)
	if err != nil {
		return f.stopped(err)
	}
	as.Target, as.Outcome, as.Config = f.d.Target.Name, record.FileIntended, f.d.Company.Version
	as.Content = contentOf(built)
	as.Members, as.Starts = members, built.Starts
	next := &sent{*as, seq}
	if err := f.note(ctx, next); err != nil {
		return err
	}
	f.move(members, as.Number)
	f.pending, f.built, f.last = next, &built, as.Number
	return nil
}

// stopped opens the receiver's breaker for a fault.
func (f *filing) stopped(err error) error {
	f.breaker.open()
	return err
}

func (f *filing) build(as record.File, pieces []connector.Piece) (connector.File, error) {
	built, err := f.files.Build(connector.Numbering{Number: as.Number, Previous: as.Previous, At: as.Built}, pieces)
	if err != nil {
		return built, fmt.Errorf("build file %d: %w", as.Number, err)
	}
	if len(built.Parts) == 0 || len(built.Starts) != len(pieces) {
		return built, fault.New(fault.Target, "file_form", "file %d has %d parts and %d starts of %d pieces", as.Number, len(built.Parts), len(built.Starts), len(pieces))
	}
	return built, nil
}

func contentOf(built connector.File) (c record.Content) {
	for _, p := range built.Parts {
		sum := sha256.Sum256(p.Content)
		c.Names, c.SHA256, c.Sizes = append(c.Names, p.Name), append(c.SHA256, hex.EncodeToString(sum[:])), append(c.Sizes, len(p.Content))
	}
	return c
}

// gather takes the pieces that wait, in order, up to a full file. A second one
// with the same key, and all that come after it of its person, wait on. Who was
// erased is left out.
func (f *filing) gather(ctx context.Context) (members []record.Member, pieces []connector.Piece, err error) {
	keys, behind := map[string]bool{}, map[string]bool{}
	for _, w := range f.inOrder() {
		if len(members) == f.most {
			break
		}
		if behind[w.id] {
			continue
		}
		mem, err := f.known(ctx, w.id)
		if err != nil {
			return nil, nil, err
		}
		i := find(mem, w.event)
		if i < 0 {
			f.remove(w.id, w.event)
			continue
		}
		s := &mem.Staged[i]
		if slices.ContainsFunc(s.Keys, func(k string) bool { return keys[k] }) {
			behind[w.id] = true
			continue
		}
		for _, k := range s.Keys {
			keys[k] = true
		}
		members = append(members, record.Member{Employee: w.id, Event: s.Event, Version: s.Version})
		pieces = append(pieces, pieceOf(s))
	}
	return members, pieces, nil
}

// again builds the intended file once more after a restart. If that does not
// give the same bytes, because somebody in it was erased or the settings are
// others now, nobody knows whether the first one is at the receiver. Then the
// number is kept for what can be built: a Put of it either succeeds, or finds
// the name taken by the first. See decision 8.
func (f *filing) again(ctx context.Context) (ready bool, err error) {
	p := f.pending
	var pieces []connector.Piece
	for _, m := range p.Members {
		mem, err := f.known(ctx, m.Employee)
		if err != nil {
			return false, err
		}
		if i := find(mem, m.Event); i >= 0 {
			pieces = append(pieces, pieceOf(&mem.Staged[i]))
		}
	}
	if len(pieces) == len(p.Members) {
		built, err := f.build(p.File, pieces)
		if err == nil && slices.Equal(contentOf(built).SHA256, p.SHA256) {
			f.built = &built
			return true, nil
		}
	}
	f.d.Log.WarnContext(ctx, "a file cannot be built again as it was intended; its number is kept for what can be", "target", f.d.Target.Name, "file", p.Number)
	next := p.File
	if next.Earlier == nil {
		first := p.Content
		next.Earlier = &first
	}
	f.move(p.Members, 0)
	f.pending = nil
	err = f.intend(ctx, &next, p.seq)
	if f.pending == nil { // nobody is left, or it failed: the same again with the next look
		f.pending = p
		return false, err
	}
	return true, nil
}

// bring puts the built file to the receiver and notes that it is there.
func (f *filing) bring(ctx context.Context) error {
	p := f.pending
	call, cancel := context.WithTimeout(ctx, putTime)
	defer cancel()
	err := f.files.Put(call, *f.built)
	ctx = context.WithoutCancel(ctx) // it happened: that is told, also when our time is up
	x := fault.Of(err)
	next := p.File
	switch {
	case x == nil, x.Class == fault.Done:
	case x.Class == fault.Record && x.Reason == connector.ReasonFileExists && p.Earlier != nil:
		// The first one came through. Who is only in the second waits on.
		f.move(p.Members, 0)
		next.Content, next.Earlier = *p.Earlier, nil
		f.move(next.Members, next.Number)
	default:
		return f.stopped(fmt.Errorf("bring file %d: %w", p.Number, err))
	}
	f.breaker.close()
	next.Outcome = record.FileAccepted
	if err := f.note(ctx, &sent{next, p.seq}); err != nil {
		return err
	}
	f.d.Log.InfoContext(ctx, "a file is there", "target", f.d.Target.Name, "file", next.Number, "changes", len(next.Members))
	return f.settleAll(ctx)
}

// note makes the next record of a file durable and takes it into the index.
func (f *filing) note(ctx context.Context, s *sent) error {
	s.At = f.d.Clock.Now()
	msg, err := f.d.Codec.File(ctx, s.File)
	if err != nil {
		return err
	}
	expect := s.seq
	seq, err := f.d.Bus.Publish(ctx, topology.Delivered, bus.Out{Subject: msg.Subject, Event: msg.Event, Expect: &expect})
	if errors.Is(err, bus.ErrConflict) {
		in, lookErr := f.d.Bus.Last(ctx, topology.Delivered, msg.Subject)
		if lookErr != nil {
			return lookErr
		}
		if in.Event.ID() != msg.Event.ID() {
			return fmt.Errorf("file %d: %w", s.Number, errElsewhere)
		}
		seq, err = in.Seq, nil // ours, whose acknowledgement was lost
	}
	if err != nil {
		return err
	}
	s.seq = seq
	f.took(s)
	return nil
}

// took puts the newest record of a file into the index.
func (f *filing) took(s *sent) {
	i := slices.IndexFunc(f.open, func(o *sent) bool { return o.Number == s.Number })
	f.last = max(f.last, s.Number)
	switch s.Outcome {
	case record.FileIntended:
		f.pending = s
		return
	case record.FileSettled:
		if i >= 0 {
			f.open = slices.Delete(f.open, i, i+1)
		}
	default:
		if i >= 0 {
			f.open[i] = s
		} else {
			f.open = append(f.open, s)
		}
	}
	if f.pending != nil && f.pending.Number == s.Number {
		f.pending, f.built = nil, nil
	}
}
