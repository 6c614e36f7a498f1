package pipeline

import (
	"context"
	"iter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/muster-hr/muster/libs/bus"
)

// staged is one message of the next commit. The sequence it expects is read
// from rev when the commit begins, because the commit before may still move it.
type staged struct {
	ctx context.Context // carries the span under which it is sent
	out bus.Out
	rev *revision
}

// item is what one record changes, committed together: the employee's state,
// match keys, leaver pointer, and the statement. Who has come to know a manager
// changes without a record, so such an item has no statement.
type item struct {
	raw       uint64
	statement string // "" if there is none
	employee  string
	people    []staged
	said      staged
	matches   []matchKey // that it reserves
	known     []string   // tokens by which a manager may be named and that somebody has from now on
	seal      []func() error
	atomic    bool // links, match keys and pointers come with it: all or nothing
}

// messages are all of an item, in the order of the commit.
func (i *item) messages() iter.Seq[*staged] {
	return func(yield func(*staged) bool) {
		for n := range i.people {
			if !yield(&i.people[n]) {
				return
			}
		}
		if i.statement != "" {
			yield(&i.said)
		}
	}
}

// size is how many messages it has.
func (i *item) size() int {
	if i.statement == "" {
		return len(i.people)
	}
	return len(i.people) + 1
}

// group is one commit: each subject at most once.
type group struct {
	items   []*item
	dead    []staged
	notes   []staged
	answers []answers
	acks    []bus.In
	begun   time.Time
	claims  map[string]bool

	sealing errgroup.Group
}

// empty tells whether there is nothing to do. A record that waited brings no
// acknowledgement, so that alone does not decide.
func (g *group) empty() bool {
	return len(g.acks)+len(g.items)+len(g.dead)+len(g.notes)+len(g.answers) == 0
}

func (g *group) size() int { return len(g.items) }

func (g *group) add(i *item) {
	if g.claims == nil {
		g.claims, g.begun = map[string]bool{}, time.Now()
		g.sealing.SetLimit(sealers)
	}
	g.items = append(g.items, i)
	if i.statement != "" {
		g.claims["said."+i.statement] = true
	}
	if len(i.people) > 0 {
		g.claims["employee."+i.employee] = true
	}
	g.seal(i)
}

// sealers is how many items are encoded and sealed at a time. The first message
// of a person makes keys, which waits for the bus, not for a core.
const sealers = 256

// seal encodes and seals an item beside the sequencer, which does not touch a
// staged state again.
func (g *group) seal(i *item) {
	g.sealing.Go(func() error {
		for _, seal := range i.seal {
			if err := seal(); err != nil {
				return err
			}
		}
		i.seal = nil // with it the record in the clear
		return nil
	})
}

// pack waits until everything that was staged is sealed.
func (g *group) pack() error { return g.sealing.Wait() }

// touches tells whether the group already writes one of the subjects.
func (g *group) touches(statement, employee string) bool {
	return g != nil && (g.claims["said."+statement] || employee != "" && g.claims["employee."+employee])
}
