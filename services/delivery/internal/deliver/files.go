package deliver

import (
	"bytes"
	"cmp"
	"context"
	"hash/fnv"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/telemetry"
)

// filing is the way of a target that takes files. A change's piece is kept with
// its person's record; when a file is due, pieces are gathered:
//
//	lane:  select ► minimise ► map ► same? ► Piece ► record (accepted, staged)
//	files: due? ► Build ► intent ► Put ► there ► Answers ► answer ► members' records ► settled
//	                       └──── each a record of the file, durable before the next step ────┘
//
// Lanes add pieces, the one goroutine of run does all the rest; a lock per
// person keeps their records apart. What stands in DELIVERED decides, this is
// an index of it.
type filing struct {
	d     *Deliverer
	files connector.Files
	terms connector.FileTerms
	most  int // pieces in a file

	locks   [64]sync.Mutex // by employee
	nudge   chan struct{}  // a file may be due at once
	breaker breaker        // of the receiver: lanes stage on while it is away

	mu     sync.Mutex
	staged map[string][]mark // by employee, in the order of their versions
	free   int               // marks that are in no file

	// Of run alone.
	last    int64   // number used last
	pending *sent   // intended, and not known to be there
	open    []*sent // there, and not settled, in order
	built   *connector.File
	asked   time.Time // last look for answers
	told    string    // what the last look failed with
}

// mark is a piece that waits, or is on its way in a file.
type mark struct {
	event   string // of a version with several pieces each has one of its own
	version uint64
	at      time.Time
	file    int64 // 0: it waits for one
}

// sent is a file with the place of its last record.
type sent struct {
	record.File
	seq uint64
}

func newFiling(d *Deliverer) *filing {
	f := &filing{d: d, files: d.Files, terms: d.Files.Terms(), nudge: make(chan struct{}, 1), staged: map[string][]mark{}}
	f.most = min(cmp.Or(d.Target.Files.Most, f.terms.Pieces, 500), config.MostInFile)
	if f.terms.Pieces > 0 {
		f.most = min(f.most, f.terms.Pieces)
	}
	f.breaker.first, f.breaker.show, f.breaker.pause = d.Target.Retry.First, d.Metrics.Breaker, func(time.Duration) {}
	return f
}

// lock keeps a person's records apart: those of the lane, and those of a file's end.
func (f *filing) lock(id string) (unlock func()) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // never fails
	m := &f.locks[h.Sum32()%uint32(len(f.locks))]
	m.Lock()
	return m.Unlock
}

// stage makes a piece of the job and keeps it with the person's record. If the
// receiver may have something else instead, see refuse, there is one from each
// of that too: after all of them it has what the job brings.
func (f *filing) stage(ctx context.Context, j *job) error {
	m := j.mem
	next := *m // as it is with them
	next.Staged = slices.Clone(m.Staged)
	for _, from := range append([]record.Staged{{Before: m.Body, Status: m.Status}}, doubts(m)...) {
		d := j.delivery
		d.Before, d.Was = from.Before, from.Status
		p, err := f.files.Piece(d)
		if err != nil {
			return f.d.failed(ctx, j, fault.Of(err))
		}
		made := next.Staged[len(m.Staged):]
		if len(p.Content) == 0 || slices.ContainsFunc(made, func(s record.Staged) bool { return bytes.Equal(s.Content, p.Content) }) {
			continue
		}
		s := record.Staged{
			Event: m.Event, Type: m.Type, Version: m.Version, Integration: m.Integration, Fields: m.Fields, At: f.d.Clock.Now(),
			AcceptedAt: m.AcceptedAt, Trace: telemetry.Traceparent(ctx), Digest: next.Digest, Status: next.Status,
			Keys: p.Also, Content: p.Content, Before: next.Body,
		}
		if slices.ContainsFunc(next.Staged, func(o record.Staged) bool { return o.Event == s.Event }) { // pieces are told apart by it
			s.Event = f.d.Codec.Sealer.Token("again", m.Target, m.Event, strconv.Itoa(len(next.Staged)), s.At.Format(time.RFC3339Nano))
		}
		if p.Key != "" {
			s.Keys = append([]string{p.Key}, p.Also...)
		}
		next.Staged = append(next.Staged, s)
		next.Body, next.Status, next.Digest = j.delivery.Body, j.delivery.Status, j.digest
	}
	if len(next.Staged) == len(m.Staged) {
		return f.d.conclude(ctx, j, record.OutcomeUnchanged) // nothing that the receiver is told: what it knows stays
	}
	msg, err := f.d.Codec.Deliver(ctx, next, f.d.restricted)
	switch {
	case err != nil:
		return err
	case len(msg.Event.Data()) > mostUnanswered:
		return f.d.failed(ctx, j, fault.New(fault.Transient, "unanswered", "no further change of this person fits into a record until the receiver answers for their %d pieces", len(m.Staged)))
	}
	m.Staged, m.Body, m.Reason = next.Staged, j.delivery.Body, "staged"
	if err := f.d.conclude(ctx, j, record.OutcomeAccepted); err != nil {
		return err
	}
	f.learn(m.Employee, m.Staged)
	return nil
}

// mostUnanswered bounds a person's record, in bytes: it repeats each piece that
// is not at its end, and is one message of at most 1 MiB. What comes when the
// receiver has not answered for so many waits, parked, until it does.
const mostUnanswered = 700_000

// doubts are what the receiver may have instead of what is known.
func doubts(m *record.Delivery) []record.Staged {
	return slices.DeleteFunc(slices.Clone(m.Staged), func(s record.Staged) bool { return !s.Cut })
}

// spent tells of a piece that was taken, and is kept for what it told alone:
// nothing of it waits any more.
func spent(s *record.Staged) bool { return s.At.IsZero() }

// learn takes over what a person's record says is staged. That is so when a
// piece was staged, and when a record is read: one whose acknowledgement was
// lost is stored all the same, and its piece would be missed until the next
// start, and then come behind newer ones.
func (f *filing) learn(id string, staged []record.Staged) {
	f.mu.Lock()
	for _, s := range staged {
		if !spent(&s) && !slices.ContainsFunc(f.staged[id], func(m mark) bool { return m.event == s.Event }) {
			f.staged[id] = append(f.staged[id], mark{event: s.Event, version: s.Version, at: s.At})
			f.free++
		}
	}
	slices.SortStableFunc(f.staged[id], func(a, b mark) int { return cmp.Compare(a.version, b.version) })
	full := f.free >= f.most
	f.mu.Unlock()
	if !full {
		return
	}
	select {
	case f.nudge <- struct{}{}:
	default: // it is told already
	}
}

// known is a person's record, for who is not in their lane. While the lane
// writes the next one it waits: what it read before would be kept as the newest.
func (f *filing) known(ctx context.Context, id string) (*record.Delivery, error) {
	defer f.lock(id)()
	return f.d.recollect(ctx, id)
}

// remove forgets a piece.
func (f *filing) remove(id, event string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	left := slices.DeleteFunc(f.staged[id], func(m mark) bool {
		gone := m.event == event
		if gone && m.file == 0 {
			f.free--
		}
		return gone
	})
	if f.staged[id] = left; len(left) == 0 {
		delete(f.staged, id)
	}
}

// move notes in which file members are; 0: they wait again.
func (f *filing) move(members []record.Member, file int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range members {
		for i, s := range f.staged[m.Employee] {
			if s.event != m.Event || s.file == file {
				continue
			}
			if s.file == 0 {
				f.free--
			} else if file == 0 {
				f.free++
			}
			f.staged[m.Employee][i].file = file
		}
	}
}

// inFile tells whether a piece is on its way.
func (f *filing) inFile(id, event string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.staged[id], func(m mark) bool { return m.event == event })
	return i >= 0 && f.staged[id][i].file != 0
}

// waiting is a piece in no file.
type waiting struct {
	id string
	mark
}

// inOrder lists the pieces that wait, the oldest first, each person's in order.
func (f *filing) inOrder() []waiting {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]waiting, 0, f.free)
	for id, marks := range f.staged {
		var since time.Time
		for _, m := range marks {
			if m.file != 0 {
				continue
			}
			if m.at.Before(since) { // a clock that went back does not turn them round
				m.at = since
			}
			since = m.at
			out = append(out, waiting{id, m})
		}
	}
	slices.SortStableFunc(out, func(a, b waiting) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.id, b.id), cmp.Compare(a.version, b.version))
	})
	return out
}

// due tells whether a file is to be made now.
func (f *filing) due(now time.Time) bool {
	f.mu.Lock()
	free := f.free
	f.mu.Unlock()
	if free == 0 {
		return false
	}
	return free >= f.most || f.reached(f.inOrder()[0].at, now)
}

// reached tells whether what waits since then has waited long enough: for the
// length of time, or past a time of day.
func (f *filing) reached(since, now time.Time) bool {
	plan := f.d.Target.Files
	if plan.Every > 0 && now.Sub(since) >= plan.Every {
		return true
	}
	local := since.In(f.d.Company.Zone)
	for _, at := range plan.At {
		for day := range 2 { // the first such time after it is today or tomorrow
			t := time.Date(local.Year(), local.Month(), local.Day()+day, int(at/time.Hour), int(at%time.Hour/time.Minute), 0, 0, local.Location())
			if t.After(since) && !t.After(now) {
				return true
			}
		}
	}
	return false
}

// pieceOf is a staged piece as its connector made it.
func pieceOf(s *record.Staged) connector.Piece {
	p := connector.Piece{Content: s.Content}
	if len(s.Keys) > 0 {
		p.Key, p.Also = s.Keys[0], s.Keys[1:]
	}
	return p
}

// find is where a person's staged piece is in their last record; -1: nowhere any more.
func find(m *record.Delivery, event string) int {
	return slices.IndexFunc(m.Staged, func(s record.Staged) bool { return s.Event == event && !spent(&s) })
}
