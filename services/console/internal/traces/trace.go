// Package traces keeps the newest traces of all services in memory, so that a
// run without a telemetry backend still shows the way of a change.
//
//	services ──OTLP/HTTP──► Receive ──► Store: oldest trace out ──► Get, Recent
//
// Memory is bounded by traces, spans and bytes. Nothing is written to disk.
package traces

import (
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Trace is what is known of one trace, its spans by their start.
type Trace struct {
	TraceID string `json:"trace_id"` // 32 hex digits
	Spans   []Span `json:"spans"`
}

// Span is one span as the API shows it.
type Span struct {
	SpanID     string         `json:"span_id"`   // 16 hex digits
	ParentID   string         `json:"parent_id"` // "" for the root
	Name       string         `json:"name"`
	Kind       string         `json:"kind"`    // internal, server, client, producer, consumer
	Service    string         `json:"service"` // resource attribute service.name
	Start      time.Time      `json:"start"`
	End        time.Time      `json:"end"`
	Status     string         `json:"status"` // unset, ok, error
	Reason     string         `json:"reason,omitempty"`
	Attributes map[string]any `json:"attributes"` // service.name among them
	Links      []Link         `json:"links"`
}

// Link leads to a span of another trace, or to an earlier attempt.
type Link struct {
	TraceID string `json:"trace_id"`
	SpanID  string `json:"span_id"`
}

// Summary is one line of a list of traces.
type Summary struct {
	TraceID  string
	Name     string // of the root, else of the earliest span
	Services []string
	Start    time.Time
	Took     time.Duration
	Spans    int
	Failed   bool
}

type (
	traceID [16]byte
	spanID  [8]byte
)

func (t traceID) String() string { return hex.EncodeToString(t[:]) }

func (s spanID) String() string {
	if s == (spanID{}) {
		return ""
	}
	return hex.EncodeToString(s[:])
}

func parseTraceID(s string) (id traceID, ok bool) {
	if len(s) != 2*len(id) {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(strings.ToLower(s)))
	return id, err == nil
}

// stored is a span as it is kept: compact, because there are many.
type stored struct {
	trace        traceID
	id, parent   spanID
	name         string
	service      string // shared between the spans of a batch
	kind, status byte
	reason       string
	start, end   int64  // nanoseconds since 1970
	attributes   []byte // JSON object
	links        []Link
}

// size is roughly what a stored span costs in memory.
func (s *stored) size() int {
	const fixed = 192
	return fixed + len(s.name) + len(s.reason) + len(s.attributes) + len(s.links)*96
}

func (s *stored) span() Span {
	out := Span{
		SpanID: s.id.String(), ParentID: s.parent.String(), Name: s.name, Kind: kinds[s.kind], Service: s.service,
		Start: time.Unix(0, s.start).UTC(), End: time.Unix(0, s.end).UTC(),
		Status: statuses[s.status], Reason: s.reason, Attributes: map[string]any{}, Links: s.links,
	}
	_ = json.Unmarshal(s.attributes, &out.Attributes) // we wrote it
	if out.Links == nil {
		out.Links = []Link{}
	}
	return out
}

// By the numbers of the protocol, opentelemetry/proto/trace/v1.
var (
	kinds    = [...]string{"internal", "internal", "server", "client", "producer", "consumer"}
	statuses = [...]string{"unset", "ok", "error"}
)

func summarise(id traceID, spans []stored) Summary {
	out := Summary{TraceID: id.String(), Spans: len(spans)}
	var first, last int64
	var root *stored
	for i := range spans {
		s := &spans[i]
		if first == 0 || s.start < first {
			first = s.start
		}
		last = max(last, s.end)
		if root == nil || (s.parent == spanID{}) && (root.parent != spanID{}) || (s.parent == spanID{}) == (root.parent == spanID{}) && s.start < root.start {
			root = s
		}
		out.Failed = out.Failed || statuses[s.status] == "error"
		if !slices.Contains(out.Services, s.service) {
			out.Services = append(out.Services, s.service)
		}
	}
	if root != nil {
		out.Name = root.name
	}
	slices.Sort(out.Services)
	out.Start, out.Took = time.Unix(0, first).UTC(), time.Duration(max(0, last-first))
	return out
}
