package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/muster-hr/muster/libs/topology"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// job is what one caller wants stored: one message, or several all or nothing.
type job struct {
	msgs   []*nats.Msg
	atomic bool
	later  bool   // nobody waits for it
	filter string // the subject of the expectation, if it is another one

	state atomic.Int32 // waiting → taken or given up
	done  chan struct{}
	last  uint64
	err   error
}

const (
	waiting int32 = iota
	taken
	givenUp
)

// cancel gives the job up if the committer does not have it yet.
func (j *job) cancel(err error) {
	if j.state.CompareAndSwap(waiting, givenUp) {
		j.finish(0, err)
	}
}

func (j *job) finish(last uint64, err error) {
	j.last, j.err = last, err
	close(j.done)
}

// committer writes what is published on one stream, group by group. An fsync
// (or, for a batch, several) costs the same for one message and for many, so
// one group at a time and as large as what came meanwhile is both the fastest
// and the fairest. Below the crossing single publishes are cheaper than the
// fixed price of a batch.
type committer struct {
	b        *Bus
	stream   string
	linger   time.Duration
	crossing int // so many messages are a batch

	wake chan struct{} // there is something
	full chan struct{} // there is a whole batch
	soon chan struct{} // there is something that somebody waits for

	mu    sync.Mutex
	queue []*job
	size  int // messages in queue
}

// crossing is from how many messages on a batch costs less than publishing
// them one by one: measured under load. On an idle disk it is 12, but a batch
// staged there makes many small file operations.
func (o Options) crossing(stream string) int {
	switch {
	case o.Crossing > 0:
		return o.Crossing
	case o.Staged && stream != topology.People:
		return 6
	}
	return 32
}

// patience is how many times longer a loaded committer collects when nobody
// waits for what it has.
const patience = 4

func (b *Bus) committer(stream string) *committer {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.committers[stream]
	if c == nil {
		c = &committer{b: b, stream: stream, linger: b.o.Linger[stream], crossing: b.o.crossing(stream), wake: make(chan struct{}, 1), full: make(chan struct{}, 1), soon: make(chan struct{}, 1)}
		b.committers[stream] = c
		if !b.isClosing() {
			b.wg.Go(c.run)
		}
	}
	return c
}

// add queues a job. It checks closing under the lock, so that run, which looks
// at the queue once more after closing, sees every job that was taken in.
func (c *committer) add(j *job) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.b.isClosing() {
		return ErrClosed
	}
	if c.size+len(j.msgs) > c.b.o.Queue {
		return fmt.Errorf("publish on %s: %w", c.stream, ErrBusy)
	}
	c.queue = append(c.queue, j)
	c.size += len(j.msgs)
	signal(c.wake)
	if !j.later {
		signal(c.soon)
	}
	if c.size >= maxBatch {
		signal(c.full)
	}
	return nil
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func (c *committer) run() {
	loaded := false // the last group was large: soon there will be more
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if loaded && c.linger > 0 {
			c.collect(timer)
		}
		group := c.take()
		if len(group) == 0 {
			loaded = false
			select {
			case <-c.wake:
				continue
			case <-c.b.closing:
			}
			c.mu.Lock()
			empty := len(c.queue) == 0
			c.mu.Unlock()
			if empty {
				return
			}
			continue
		}
		// Who makes whole batches has collected already.
		loaded = !group[0].atomic && len(group) >= c.crossing
		c.commit(group)
	}
}

// collect waits for the group to grow: for the linger, and longer as long as
// nobody waits for anything in it.
func (c *committer) collect(timer *time.Timer) {
	timer.Reset(c.linger)
	select {
	case <-c.full:
		return
	case <-timer.C:
	case <-c.b.closing:
		return
	}
	timer.Reset((patience - 1) * c.linger)
	select {
	case <-c.soon:
	case <-c.full:
	case <-timer.C:
	case <-c.b.closing:
	}
}

// take removes the next group from the queue: one atomic job, or the single
// messages up to the next atomic one, of each subject only the first. The
// server judges the expectations of a batch before it stores any of it, so what
// depends on a message of the group waits for the next.
func (c *committer) take() []*job {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ch := range []chan struct{}{c.full, c.soon} {
		select {
		case <-ch:
		default:
		}
	}
	var (
		group   []*job
		rest    []*job
		seen    = make(map[string]bool)
		filters []string // expectations on wildcards, of the group and of those left behind
		i       int
	)
	for ; i < len(c.queue) && len(group) < maxBatch && len(rest) < maxBatch; i++ {
		j := c.queue[i]
		if j.state.Load() == givenUp {
			c.size -= len(j.msgs)
			continue
		}
		if j.atomic {
			if len(group)+len(rest) == 0 && j.state.CompareAndSwap(waiting, taken) {
				c.size -= len(j.msgs)
				group = append(group, j)
				i++
			}
			break
		}
		subject := j.msgs[0].Subject
		depends := seen[subject] || j.filter != "" && anyMatches(j.filter, seen) || matchesAny(filters, subject)
		seen[subject] = true
		if j.filter != "" {
			filters = append(filters, j.filter)
		}
		if depends {
			rest = append(rest, j)
			continue
		}
		c.size -= len(j.msgs)
		if j.state.CompareAndSwap(waiting, taken) {
			group = append(group, j)
		}
	}
	c.queue = append(rest, c.queue[i:]...)
	if len(c.queue) == 0 {
		c.queue = nil
	} else if len(group) == 0 {
		signal(c.wake)
	}
	return group
}

// commit stores a group and answers its callers.
func (c *committer) commit(group []*job) {
	if group[0].atomic {
		last, err := c.b.batch(context.Background(), c.stream, group[0].msgs)
		group[0].finish(last, err)
		return
	}
	if len(group) < c.crossing || len(group) == 1 {
		c.single(group)
		return
	}
	msgs := make([]*nats.Msg, len(group))
	for i, j := range group {
		msgs[i] = j.msgs[0]
	}
	last, err := c.b.batch(context.Background(), c.stream, msgs)
	if err == nil {
		first := last - uint64(len(group)) + 1
		for i, j := range group {
			j.finish(first+uint64(i), nil)
		}
		return
	}
	if _, refused := errors.AsType[*jetstream.APIError](err); refused && !errors.Is(err, ErrUnavailable) {
		// One of them is at fault and nothing is stored: each gets its own verdict.
		for _, m := range msgs {
			m.Reply = ""
			delete(m.Header, jetstreamext.BatchIDHeader)
			delete(m.Header, jetstreamext.BatchSeqHeader)
			delete(m.Header, jetstreamext.BatchCommitHeader)
		}
		c.single(group)
		return
	}
	for _, j := range group {
		j.finish(0, err)
	}
}

// single publishes messages one by one, all in flight together.
func (c *committer) single(group []*job) {
	acks := make([]jetstream.PubAckFuture, len(group))
	for i, j := range group {
		ack, err := c.b.send(c.stream, j.msgs[0])
		if err != nil {
			j.finish(0, err)
			continue
		}
		acks[i] = ack
	}
	for i, j := range group {
		if acks[i] == nil {
			continue
		}
		select {
		case ack := <-acks[i].Ok():
			j.finish(ack.Sequence, nil)
		case err := <-acks[i].Err():
			j.finish(0, fmt.Errorf("publish on %s: %w", c.stream, classify(context.Background(), err)))
		}
	}
}

func anyMatches(filter string, subjects map[string]bool) bool {
	if !strings.ContainsAny(filter, "*>") {
		return subjects[filter]
	}
	for s := range subjects {
		if Matches(filter, s) {
			return true
		}
	}
	return false
}

func matchesAny(filters []string, subject string) bool {
	for _, f := range filters {
		if Matches(f, subject) {
			return true
		}
	}
	return false
}

// Matches tells whether a subject falls under a filter: `*` is one token, `>`
// at the end is one or more.
func Matches(filter, subject string) bool {
	for {
		f, restF, moreF := strings.Cut(filter, ".")
		if f == ">" && !moreF {
			return subject != ""
		}
		s, restS, moreS := strings.Cut(subject, ".")
		if f != s && f != "*" || s == "" || moreF != moreS {
			return false
		}
		if !moreF {
			return true
		}
		filter, subject = restF, restS
	}
}
