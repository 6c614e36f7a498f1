package bus

import (
	"context"
	"strings"
	"sync"
	"time"
)

// engine holds the lanes. It has no goroutine of its own: whoever changes
// something starts the handlers that may run now.
type engine struct {
	o       LaneOptions
	sources []source
	ctx     context.Context // of the handlers
	cancel  context.CancelFunc
	taking  context.Context // when it ends, nothing is started any more

	mu      sync.Mutex
	lanes   map[string]*lane
	held    map[held]*item // everything in a lane or in a handler
	done    memory
	urgent  queue // lanes with a priority message
	ready   queue // lanes whose first message may be handled
	running int
	after   int // handled, and their After runs
	closed  bool
	idle    chan struct{} // closed when closed and nothing runs

	pausedUntil time.Time
	pauseTimer  *time.Timer
	pauses      int // counts pauses, to tell a success from before from one after
	probing     bool
}

// held names a message: sequences are per stream, and two feeds may read one.
type held struct {
	source int
	seq    uint64
}

// item is a message in a lane.
type item struct {
	in        In
	source    int
	priority  bool
	attempts  int
	notBefore time.Time
}

// lane is the queue of one key. Its first items are the priority ones.
type lane struct {
	key     string
	items   []*item
	running []*item
	timer   *time.Timer // runs while the first item waits for its retry
	place   *queue      // where it stands in line, nil if nowhere
}

// queue is a line of lanes. Entries of lanes that have moved on are stale and
// skipped.
type queue struct{ lanes []*lane }

func newEngine(o LaneOptions, sources []source) *engine {
	e := &engine{
		o: o, sources: sources,
		lanes: make(map[string]*lane),
		held:  make(map[held]*item),
		done:  memory{limit: o.Remember},
		idle:  make(chan struct{}),

		taking: context.Background(),
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return e
}

// push takes one message in.
func (e *engine) push(source int, key string, in In, priority bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if it := e.held[held{source, in.Seq}]; it != nil {
		it.in.reply = in.reply // a copy of what is still here: acknowledge the newest
		return
	}
	if in.Seq <= e.done.get(source, key) {
		_ = e.sources[source].Ack(in) // if it is lost, the message comes a third time
		return
	}
	it := &item{in: in, source: source, priority: priority}
	e.held[held{source, in.Seq}] = it
	l := e.lanes[key]
	if l == nil {
		l = &lane{key: key}
		e.lanes[key] = l
	}
	if priority {
		n := 0
		for n < len(l.items) && l.items[n].priority {
			n++
		}
		l.items = append(l.items[:n], append([]*item{it}, l.items[n:]...)...)
	} else {
		l.items = append(l.items, it)
	}
	e.schedule(l)
	e.dispatch()
}

// schedule puts a lane where its first item belongs: in a line, or on a timer.
func (e *engine) schedule(l *lane) {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	if len(l.running) > 0 || e.lanes[l.key] != l {
		return // its handler comes back here; or it was given up and its timer was too late to know
	}
	if len(l.items) == 0 {
		l.place = nil
		delete(e.lanes, l.key)
		return
	}
	first := l.items[0]
	if wait := time.Until(first.notBefore); wait > 0 {
		l.place = nil
		if !e.closed {
			l.timer = time.AfterFunc(wait, func() { e.wake(l) })
		}
		return
	}
	line := &e.ready
	if first.priority {
		line = &e.urgent
	}
	if l.place != line {
		l.place = line
		line.lanes = append(line.lanes, l)
	}
}

// wake ends a lane's wait for its retry.
func (e *engine) wake(l *lane) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.schedule(l)
	e.dispatch()
}

// dispatch starts handlers as long as there is room and work.
func (e *engine) dispatch() {
	for e.running < e.room() {
		l := e.pop()
		if l == nil {
			return
		}
		e.running++
		batch := e.batch(l)
		go e.work(l, batch, e.pauses)
	}
}

// room is how many handlers may run now.
func (e *engine) room() int {
	switch {
	case e.closed || e.taking.Err() != nil || time.Now().Before(e.pausedUntil):
		return 0
	case e.probing:
		return 1
	}
	return e.o.InFlight
}

func (e *engine) pop() *lane {
	if l := e.urgent.pop(); l != nil {
		return l
	}
	return e.ready.pop()
}

func (q *queue) pop() *lane {
	for len(q.lanes) > 0 {
		l := q.lanes[0]
		q.lanes[0] = nil
		q.lanes = q.lanes[1:]
		if l.place == q {
			l.place = nil
			return l
		}
	}
	return nil
}

// batch moves the items of a lane's next attempt into running.
func (e *engine) batch(l *lane) []In {
	n := 1
	first := l.items[0]
	if e.o.Coalesce && !first.priority && first.in.Err == nil {
		for n < len(l.items) && l.items[n].source == first.source && !l.items[n].priority && l.items[n].in.Err == nil {
			n++
		}
	}
	l.running = l.items[:n:n]
	l.items = l.items[n:]
	ins := make([]In, n)
	attempt := first.attempts + 1
	for i, it := range l.running {
		it.attempts = attempt
		ins[i] = it.in
	}
	return ins
}

// work handles one batch, and then the next that may run.
func (e *engine) work(l *lane, batch []In, pauses int) {
	for {
		v := e.o.Handle(e.ctx, batch, l.running[0].attempts)
		e.mu.Lock()
		e.settle(l, v, pauses)
		if e.running > e.room() {
			l = nil
		} else {
			l = e.pop()
		}
		if l == nil {
			e.running--
			e.rest()
			e.dispatch() // a success may have made room for more than this one
			e.mu.Unlock()
			return
		}
		batch, pauses = e.batch(l), e.pauses
		e.dispatch()
		e.mu.Unlock()
	}
}

// settle acts on a verdict.
func (e *engine) settle(l *lane, v Verdict, pauses int) {
	items := l.running
	l.running = nil
	if v.Retry > 0 && !v.Done {
		items[0].notBefore = time.Now().Add(v.Retry)
		e.putBack(l, items)
	} else {
		if e.probing && pauses == e.pauses {
			e.probing = false
		}
		if v.After == nil {
			e.acknowledge(l.key, items)
		} else { // until then a copy that comes again finds them held
			e.after++
			go e.await(v.After, l.key, items)
		}
	}
	e.schedule(l)
}

func (e *engine) acknowledge(key string, items []*item) {
	for _, it := range items {
		delete(e.held, held{it.source, it.in.Seq})
		e.done.put(it.source, key, it.in.Seq)
		_ = e.sources[it.source].Ack(it.in) // if it is lost, the message comes again and is skipped
	}
}

// await acknowledges a batch once it may be.
func (e *engine) await(after func(context.Context) error, key string, items []*item) {
	err := after(e.ctx)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil {
		e.acknowledge(key, items)
	}
	e.after--
	e.rest()
}

// rest tells drain when there is nothing left to wait for.
func (e *engine) rest() {
	if e.closed && e.running == 0 && e.after == 0 {
		close(e.idle)
	}
}

// putBack returns items to their place: before all others of their kind.
func (e *engine) putBack(l *lane, items []*item) {
	n := 0
	if !items[0].priority {
		for n < len(l.items) && l.items[n].priority {
			n++
		}
	}
	l.items = append(l.items[:n:n], append(items, l.items[n:]...)...)
}

// forget drops what a feed gave and no handler has.
func (e *engine) forget(source int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.lanes {
		kept := l.items[:0]
		for _, it := range l.items {
			if it.source == source {
				delete(e.held, held{source, it.in.Seq})
			} else {
				kept = append(kept, it)
			}
		}
		clear(l.items[len(kept):])
		l.items = kept
		e.schedule(l)
	}
	e.dispatch()
}

func (e *engine) pause(d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	e.pauses++
	e.probing = true
	e.pausedUntil = time.Now().Add(d)
	if e.pauseTimer != nil {
		e.pauseTimer.Stop()
	}
	e.pauseTimer = time.AfterFunc(max(0, d), func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.dispatch()
	})
}

// heartbeat reports the messages that are in handlers.
func (e *engine) heartbeat() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.lanes {
		for _, it := range l.running {
			_ = e.sources[it.source].Working(it.in) // the next beat or a redelivered copy makes up for it
		}
	}
}

// drain starts nothing any more and waits for what runs.
func (e *engine) drain(limit time.Duration) {
	e.mu.Lock()
	e.closed = true
	if e.pauseTimer != nil {
		e.pauseTimer.Stop()
	}
	for _, l := range e.lanes {
		if l.timer != nil {
			l.timer.Stop()
		}
	}
	idle := e.running == 0 && e.after == 0
	e.mu.Unlock()
	defer e.cancel()
	if idle {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-e.idle:
		return
	case <-timer.C:
	}
	e.cancel()
	timer.Reset(time.Second) // those that heed their context end now
	select {
	case <-e.idle:
	case <-timer.C:
	}
}

func (e *engine) stats() LaneStats {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := LaneStats{Keys: len(e.lanes), Running: e.running, Paused: time.Now().Before(e.pausedUntil), Probing: e.probing}
	for _, l := range e.lanes {
		s.Queued += len(l.items)
		if l.timer != nil {
			s.Waiting++
		}
	}
	return s
}

// memory remembers the newest done message per feed and key, of the keys that
// were touched last: two generations, the older one is dropped when the younger
// is full.
type memory struct {
	limit      int
	young, old map[memoryKey]uint64
}

type memoryKey struct {
	source int
	key    string
}

func (m *memory) get(source int, key string) uint64 {
	k := memoryKey{source, key}
	if seq, ok := m.young[k]; ok {
		return seq
	}
	return m.old[k]
}

func (m *memory) put(source int, key string, seq uint64) {
	if len(m.young) >= m.limit {
		m.old, m.young = m.young, nil
	}
	if m.young == nil {
		m.young = make(map[memoryKey]uint64)
	}
	k := memoryKey{source, key}
	m.young[k] = max(seq, m.get(source, key))
}

func lastToken(subject string) string { return subject[strings.LastIndexByte(subject, '.')+1:] }
