package pipeline

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/seal"
)

// Days come without a record: a hire begins, a last day is over, what was said
// for a later day holds. At the start and on every new day transform looks
// through everybody's state and calls those for whom the day changes something.
// Dates are sealed, so no head and no index can tell who that is.

// round is a look through everybody's state on one day.
type round struct {
	day  string
	left []string // employees who were not looked at yet
}

// roundSlice is how many states are looked at per tick, so that records go on
// meanwhile.
const roundSlice = 256

// begin starts a round. All that is staged must be committed. The states are
// read in the order in which they are stored: a broker reads blocks of many at a
// time and keeps each for a while.
func (r *round) begin(day string, ix *index) {
	r.day = day
	r.left = slices.SortedFunc(maps.Keys(ix.employees), func(a, b string) int {
		return cmp.Or(cmp.Compare(ix.employees[a].rev.seq, ix.employees[b].rev.seq), cmp.Compare(a, b))
	})
}

// newDay begins a round when the day is another one, and looks at the next few.
func (p *Pipeline) newDay(ctx context.Context, c *committer) error {
	today := p.effective.today(p.Clock.Now())
	if today != p.round.day {
		// What is collected or in flight may have been laid over on the day before.
		if err := c.drain(ctx); err != nil {
			return err
		}
		p.round.begin(today, p.ix)
	}
	next := p.round.left[:min(roundSlice, len(p.round.left))]
	touched := make([]bool, len(next))
	var reads errgroup.Group
	reads.SetLimit(openers)
	for i, id := range next {
		reads.Go(func() (err error) {
			touched[i], err = p.touchedBy(ctx, today, id)
			return err
		})
	}
	if err := reads.Wait(); err != nil {
		return err
	}
	p.round.left = p.round.left[len(next):]
	for i, id := range next {
		if touched[i] {
			p.meeting.add(met{id: id, acceptedAt: p.Clock.Now()})
		}
	}
	return nil
}

// touchedBy tells whether a day changes an employee's state. It keeps out of
// the cache what it reads: staged states have their place there.
func (p *Pipeline) touchedBy(ctx context.Context, today, id string) (bool, error) {
	s, ok := p.states.Peek(id)
	if !ok {
		var err error
		switch s, err = p.read(ctx, id); {
		case errors.Is(err, seal.ErrNoKey): // erased
			return false, nil
		case errors.Is(err, errBehind): // another copy is at work, and looks itself
			return false, nil
		case err != nil:
			return false, err
		}
	}
	due := func(later employee.Pending) bool { return later.Effective <= today }
	return s.Version > 0 && (status(s, today) != s.Status || slices.ContainsFunc(s.Pending, due)), nil
}
