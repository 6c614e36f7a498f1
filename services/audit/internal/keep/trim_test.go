package keep

import (
	"context"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/testkit"
	"github.com/muster-hr/muster/libs/topology"
)

// follower is a consumer of PEOPLE and what it still owes.
type follower struct {
	feed   *bus.Feed
	filter string
	open   []bus.In        // delivered, not acknowledged
	owes   map[uint64]bool // published, wanted, not acknowledged
}

// trimmed is PEOPLE on a real broker with a model of it beside.
type trimmed struct {
	rt        *rapid.T
	ctx       context.Context
	bus       *bus.Bus
	last      map[string]uint64 // newest sequence by subject
	followers []*follower
}

func (m *trimmed) publish(subject string) {
	seq, err := m.bus.Publish(m.ctx, topology.People, bus.Out{Subject: subject,
		Event: event.New(fmt.Sprint(subject, m.last[subject]), "/muster/test/x", event.EmployeeUpdatedV1, []byte("x"))})
	if err != nil {
		m.rt.Fatal(err)
	}
	m.last[subject] = seq
	for _, f := range m.followers {
		if matches(f.filter, subject) {
			f.owes[seq] = true
		}
	}
}

// step lets a follower take what waits, up to n messages, and acknowledge some.
func (m *trimmed) step(f *follower, n int, some bool) {
	ctx, cancel := context.WithTimeout(m.ctx, 10*time.Second)
	defer cancel()
	for len(f.open) < len(f.owes) && n > 0 {
		in, err := f.feed.Next(ctx)
		if err != nil {
			m.rt.Fatal(err)
		}
		f.open = append(f.open, in)
		n--
	}
	for i := 0; i < len(f.open); {
		if some && !rapid.Bool().Draw(m.rt, "ack") {
			i++
			continue
		}
		in := f.open[i]
		if err := f.feed.Ack(in); err != nil {
			m.rt.Fatal(err)
		}
		delete(f.owes, in.Seq)
		f.open = append(f.open[:i:i], f.open[i+1:]...)
	}
}

// check trims and looks that nothing is gone that is owed or the newest.
func (m *trimmed) check() (stored map[string][]uint64) {
	if _, err := Trim(m.ctx, m.bus, topology.People); err != nil {
		m.rt.Fatal(err)
	}
	stored = make(map[string][]uint64)
	there := make(map[uint64]bool)
	err := m.bus.Each(m.ctx, topology.People, ">", func(in bus.In) error {
		stored[in.Subject] = append(stored[in.Subject], in.Seq)
		there[in.Seq] = true
		return nil
	})
	if err != nil {
		m.rt.Fatal(err)
	}
	for subject, seq := range m.last {
		if !there[seq] {
			m.rt.Fatalf("the newest of %s, %d, is gone", subject, seq)
		}
	}
	for _, f := range m.followers {
		for seq := range f.owes {
			if !there[seq] {
				m.rt.Fatalf("%d is gone, which the follower of %s has not acknowledged", seq, f.filter)
			}
		}
	}
	return stored
}

// Whatever is published, delivered and acknowledged in whatever order: trimming
// takes nothing that somebody needs, and in the end leaves one per subject.
func TestTrimKeepsWhatIsNeeded(t *testing.T) {
	subjects := []string{"hr.employee.a", "hr.employee.b", "hr.leaver.a", "hr.said.s.k", "hr.match.email.x"}
	b := testkit.Bus(t, testkit.JetStream(t), bus.Names{Targets: []string{"okta"}})
	ctx := t.Context()
	rapid.Check(t, func(rt *rapid.T) {
		state, err := b.StreamState(ctx, topology.People)
		if err == nil {
			err = b.Purge(ctx, topology.People, ">", state.LastSeq+1) // what the run before left
		}
		if err != nil {
			rt.Fatal(err)
		}
		m := &trimmed{rt: rt, ctx: ctx, bus: b, last: make(map[string]uint64)}
		for _, f := range []struct{ durable, filter string }{
			{topology.DeliveryPeople("okta"), "hr.employee.>"},
			{topology.DeliveryLeavers("okta"), "hr.leaver.>"},
			{topology.AuditAll, ">"},
		} {
			feed, err := b.Feed(ctx, bus.FeedOptions{Stream: topology.People, Durable: f.durable})
			if err != nil {
				rt.Fatal(err)
			}
			defer feed.Close()
			m.followers = append(m.followers, &follower{feed: feed, filter: f.filter, owes: make(map[uint64]bool)})
		}

		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			switch rapid.IntRange(0, 3).Draw(rt, "what") {
			case 0, 1:
				m.publish(rapid.SampledFrom(subjects).Draw(rt, "subject"))
			case 2:
				m.step(rapid.SampledFrom(m.followers).Draw(rt, "follower"), rapid.IntRange(0, 5).Draw(rt, "take"), true)
			case 3:
				m.check()
			}
		}
		m.check()

		for _, f := range m.followers {
			m.step(f, len(f.owes), false)
		}
		for done := false; !done; { // acknowledgements are on their way
			followers, err := b.Followers(ctx, topology.People)
			if err != nil {
				rt.Fatal(err)
			}
			done = true
			for subject, seq := range m.last {
				done = done && floor(followers, subject) >= seq
			}
		}
		for subject, seqs := range m.check() {
			if len(seqs) != 1 || seqs[0] != m.last[subject] {
				rt.Errorf("%s still has %v, want the newest only, %d", subject, seqs, m.last[subject])
			}
		}
	})
}
