package pipeline

import "context"

// aside are records that wait for the next group, because this one has their
// statement or employee already: a subject stands once in a commit. Others go
// on meanwhile, those of the same employee line up behind.
type aside struct {
	list   []*work
	claims map[string]bool
}

// asideLimit bounds how far the sequencer looks ahead.
const asideLimit = 2048

func (a *aside) add(w *work, employee string) {
	if a.claims == nil {
		a.claims = map[string]bool{}
	}
	a.list = append(a.list, w)
	a.claims["said."+w.key()] = true
	a.claims["employee."+employee] = true
}

func (a *aside) touches(statement, employee string) bool {
	return a.claims["said."+statement] || employee != "" && a.claims["employee."+employee]
}

// busy tells whether a commit must come before a record can be processed.
func (p *Pipeline) busy(c *committer, w *work, id string) bool {
	return p.group.touches(w.key(), id) || p.aside.touches(w.key(), id) || p.reads(w) && c.inflight.touches(w.key(), "") || p.unmerged(w)
}

// unmerged tells whether a record is partial and laid over what waits or is in
// review: whose it is shows only when that was read back.
func (p *Pipeline) unmerged(w *work) bool {
	st := p.ix.said(w.source, w.token)
	return w.rec.Partial && st != nil && st.employee == ""
}

// known tells whether a record says nothing about who is who: its statement is
// linked. Only such a record may be overtaken, and only such a one overtakes.
func (p *Pipeline) known(w *work) bool {
	if w.linked != nil || w.waited || w.sheet != nil {
		return false
	}
	st := p.ix.said(w.source, w.token)
	return st != nil && st.employee != ""
}

// flush commits what is collected, if no commit is in flight, and begins the
// next group with what waits for it.
func (p *Pipeline) flush(ctx context.Context, c *committer) error {
	if !c.idle() {
		return nil
	}
	c.flush(ctx)
	return p.goOn(ctx, c)
}

// goOn processes what was set aside, as far as the group takes it, and after it
// those whose state goes on without a record.
func (p *Pipeline) goOn(ctx context.Context, c *committer) error {
	list := p.aside.list
	p.aside = aside{}
	for _, w := range list {
		id := p.whose(w)
		if p.group.size() >= p.limit || p.busy(c, w, id) {
			p.aside.add(w, id)
			continue
		}
		if err := p.process(ctx, w); err != nil {
			return err
		}
	}
	return p.introduce(ctx)
}

// settle commits everything, also what was set aside. Each turn begins with
// nothing collected or in flight, so its first record goes on.
func (p *Pipeline) settle(ctx context.Context, c *committer) error {
	for {
		if err := c.drain(ctx); err != nil || len(p.aside.list) == 0 {
			return err
		}
		if err := p.goOn(ctx, c); err != nil {
			return err
		}
	}
}
