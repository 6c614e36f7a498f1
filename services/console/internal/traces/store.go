package traces

import (
	"slices"
	"sync"
)

// Limits bound a Store. Zero values get the defaults.
type Limits struct {
	Traces   int // 20000
	Spans    int // 200000, of all traces together
	PerTrace int // 5000: more spans of one trace are dropped
	Bytes    int // 96 MiB, roughly
}

// Store keeps the newest traces. When a limit is reached the trace that began
// to arrive first goes, whole. Safe for concurrent use.
type Store struct {
	limits Limits

	mu     sync.RWMutex
	traces map[traceID][]stored
	order  []traceID // by first arrival; the head is next to go
	head   int
	spans  int
	bytes  int
}

// NewStore makes an empty store.
func NewStore(l Limits) *Store {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&l.Traces, 20_000)
	def(&l.Spans, 200_000)
	def(&l.PerTrace, 5_000)
	def(&l.Bytes, 96<<20)
	return &Store{limits: l, traces: map[traceID][]stored{}}
}

// add keeps spans and makes room for them.
func (s *Store) add(spans []stored) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, span := range spans {
		have, known := s.traces[span.trace]
		if len(have) >= s.limits.PerTrace {
			continue
		}
		if !known {
			s.order = append(s.order, span.trace)
		}
		s.traces[span.trace] = append(have, span)
		s.spans++
		s.bytes += span.size()
		s.trim()
	}
}

func (s *Store) trim() {
	for len(s.traces) > s.limits.Traces || s.spans > s.limits.Spans || s.bytes > s.limits.Bytes {
		oldest := s.order[s.head]
		s.head++
		for _, span := range s.traces[oldest] {
			s.bytes -= span.size()
		}
		s.spans -= len(s.traces[oldest])
		delete(s.traces, oldest)
	}
	if s.head > 1024 && s.head > len(s.order)/2 {
		s.order = slices.Delete(s.order, 0, s.head)
		s.head = 0
	}
}

// Get finds a trace by its 32 hex digits.
func (s *Store) Get(id string) (Trace, bool) {
	t, ok := parseTraceID(id)
	if !ok {
		return Trace{}, false
	}
	s.mu.RLock()
	have := slices.Clone(s.traces[t])
	s.mu.RUnlock()
	if len(have) == 0 {
		return Trace{}, false
	}
	slices.SortStableFunc(have, func(a, b stored) int {
		switch {
		case a.start < b.start:
			return -1
		case a.start > b.start:
			return 1
		}
		return 0
	})
	out := Trace{TraceID: t.String(), Spans: make([]Span, len(have))}
	for i := range have {
		out.Spans[i] = have[i].span()
	}
	return out, true
}

// Recent lists the n traces that began to arrive last, the newest first.
func (s *Store) Recent(n int) []Summary {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]Summary, 0, n)
	for i := len(s.order) - 1; i >= s.head && len(out) < n; i-- {
		out = append(out, summarise(s.order[i], s.traces[s.order[i]]))
	}
	return out
}

// Len counts what is kept.
func (s *Store) Len() (traces, spans int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.traces), s.spans
}
