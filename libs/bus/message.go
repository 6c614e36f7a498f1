package bus

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/event"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/propagation"
)

// Out is a message to be published. Subject and Event are required.
type Out struct {
	Subject string
	Event   event.Event

	// Expect, if not nil, is the sequence that the last message of the subject
	// must have (0: there is none), else ErrConflict. With ExpectOn the last
	// message of that subject is meant instead; wildcards are allowed.
	Expect   *uint64
	ExpectOn string

	// Rollup removes all earlier messages of the subject, of a schedule those of
	// Target when it fires. The old bytes stay in the file until the server
	// compacts it.
	Rollup bool

	// MsgID is refused as a duplicate by the server within the stream's window
	// (2 minutes); the sequence of the first is returned. Costs a lone publish
	// when it repeats inside a group, so use it for what seldom comes twice.
	MsgID string

	// Traceparent is the W3C trace context of the span it is sent under; "" means
	// that of the caller's context. The messages of one batch differ in it.
	Traceparent string

	// Later says that nobody waits for it: under load it may be collected for
	// longer, since larger groups cost less.
	Later bool

	// At and Target schedule: the message is kept and a copy of it published on
	// Target, a subject of the same stream, at that time (up to 250 ms late).
	// One schedule per subject; a new one replaces it, purging cancels it.
	At     time.Time
	Target string
}

// In is a message that was read.
type In struct {
	Stream  string
	Subject string
	Seq     uint64    // in the stream, from 1
	At      time.Time // when it was stored, UTC
	Event   event.Event
	// Err says why the message is no CloudEvent; Event is empty then and Data is
	// all there is.
	Err  error
	Data []byte
	// Traceparent is the W3C trace context of the hop that published it, "" if none.
	Traceparent string
	// Delivered counts deliveries of this message by its consumer since the feed
	// was started, from 1. 0 for messages that were read directly.
	Delivered int
	// Pending is how many messages wait behind this one at its consumer.
	Pending uint64

	reply string // where the acknowledgement goes
}

// Context is ctx with the remote span context of the message's traceparent.
func (in In) Context(ctx context.Context) context.Context {
	if in.Traceparent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, carrier{traceparent: []string{in.Traceparent}})
}

const traceparent = "traceparent"

// carrier writes trace headers in lower case, as they are named by W3C; the
// carriers of OpenTelemetry and the header type of the client change the case.
type carrier nats.Header

func (c carrier) Get(key string) string {
	if v := c[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func (c carrier) Set(key, value string) { c[key] = []string{value} }

func (c carrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for k := range c {
		keys = append(keys, k)
	}
	return keys
}

// message writes m for the wire, with the span context of ctx.
func message(ctx context.Context, m Out) (*nats.Msg, error) {
	if m.Subject == "" || strings.ContainsAny(m.Subject, " *>\t\r\n") {
		return nil, fmt.Errorf("publish: %q is not a subject to publish on", m.Subject)
	}
	h := nats.Header(event.Header(m.Event))
	if m.Traceparent != "" {
		h[traceparent] = []string{m.Traceparent}
	} else {
		propagation.TraceContext{}.Inject(ctx, carrier(h))
	}
	set := func(name, value string) { h[name] = []string{value} }
	if m.Expect != nil {
		set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(*m.Expect, 10))
		if m.ExpectOn != "" {
			set(jetstream.ExpectedLastSubjSeqSubjHeader, m.ExpectOn)
		}
	} else if m.ExpectOn != "" {
		return nil, fmt.Errorf("publish on %s: ExpectOn without Expect", m.Subject)
	}
	if m.Rollup {
		set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	}
	if m.MsgID != "" {
		set(jetstream.MsgIDHeader, m.MsgID)
	}
	if !m.At.IsZero() {
		if m.Target == "" || m.Target == m.Subject {
			return nil, fmt.Errorf("publish on %s: a schedule needs another subject of the stream as its target", m.Subject)
		}
		set(jetstream.ScheduleHeader, "@at "+m.At.UTC().Format(time.RFC3339Nano))
		set(jetstream.ScheduleTargetHeader, m.Target)
		if m.Rollup {
			set(jetstream.ScheduleRollupHeader, jetstream.MsgRollupSubject)
		}
	}
	return &nats.Msg{Subject: m.Subject, Header: h, Data: m.Event.DataEncoded}, nil
}

// read makes an In of what came from the wire.
func read(h nats.Header, data []byte) In {
	in := In{Data: data}
	in.Event, in.Err = event.Read(h, data)
	if v := h[traceparent]; len(v) > 0 {
		in.Traceparent = v[0]
		return in
	}
	for name, v := range h {
		if len(v) > 0 && strings.EqualFold(name, traceparent) {
			in.Traceparent = v[0]
		}
	}
	return in
}
