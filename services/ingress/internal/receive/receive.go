// Package receive answers webhook calls: verify, make durable, say so.
package receive

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/clock"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/telemetry"
	"github.com/muster-hr/muster/libs/topology"
)

// bodyLimit is the largest call taken, in bytes. Vendors' webhooks are a few kB;
// one that tells of hundreds of people is a message for each. Whose a larger one
// is nobody can know without holding it, so it is refused before verification.
const bodyLimit = 1_000_000

// keptLimit in bytes is the largest call that is kept whole as a dead letter: the
// broker's messages end at 1 MB, and what cannot be read is kept as base64, which
// makes three bytes four.
const keptLimit = 700 << 10

// usualBody is the length in bytes up to which an announced one is believed.
const usualBody = 16 << 10

// storeTimeout bounds how long a vendor waits for us to store; they give up
// after some seconds and send again.
const storeTimeout = 10 * time.Second

// Deps is what a receiver works with.
type Deps struct {
	Bus     *bus.Bus
	Codec   record.Codec
	Company string
	Config  string
	Clock   clock.Clock
	Log     *slog.Logger
	Tracer  trace.Tracer
	Count   func(source, code string)
}

// Receiver is the HTTP handler of POST /webhooks/{source}.
type Receiver struct {
	Deps
	hooks   map[string]hook
	refused *refusals
	copy    string // tells this process's counts from those of another
}

type hook struct {
	connector.Webhook
	paused bool
}

// New makes a receiver without sources.
func New(d Deps) *Receiver {
	return &Receiver{Deps: d, hooks: map[string]hook{}, refused: newRefusals(), copy: rand.Text()}
}

// Add opens the door for a source. Not after serving began.
func (r *Receiver) Add(source string, w connector.Webhook, paused bool) {
	r.hooks[source] = hook{w, paused}
}

// ServeHTTP is the way of one call. Before verification only its size and form
// are judged; after it nothing but success or "later" is answered, because
// several vendors never send again after a 4xx.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	source, ours := strings.CutPrefix(req.URL.Path, "/webhooks/")
	if !ours || source == "" || strings.Contains(source, "/") {
		http.NotFound(w, req)
		return
	}
	hook, ok := r.hooks[source]
	if !ok {
		r.Count("-", "404")
		answer(w, http.StatusNotFound, problem("unknown_source", "there is no source of this name"))
		return
	}
	status := r.call(w, req, source, hook)
	r.Count(source, strconv.Itoa(status))
}

func (r *Receiver) call(w http.ResponseWriter, req *http.Request, source string, hook hook) int {
	if req.Method != http.MethodPost && req.Method != http.MethodGet && req.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD, POST")
		return answer(w, http.StatusMethodNotAllowed, problem("method", "webhooks are sent by POST"))
	}
	if hook.paused {
		return retryLater(w, "paused", 5*time.Minute)
	}
	body, err := readBody(w, req)
	if err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return answer(w, http.StatusRequestEntityTooLarge, problem("too_large", "the body is larger than "+strconv.Itoa(bodyLimit/1000)+" kB"))
		}
		return answer(w, http.StatusBadRequest, problem("body", "the body ended early"))
	}
	now := r.Clock.Now()
	records, response, err := hook.Open(req.Context(), connector.Request{Method: req.Method, URL: req.URL.RequestURI(), Header: req.Header, Body: body, Now: now})
	if no, forged := errors.AsType[connector.Unauthentic](err); forged {
		return r.refuse(w, req, source, no, response)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(req.Context()), storeTimeout)
	defer cancel()
	ctx, span := r.root(ctx, req, source)
	defer span.End()
	ids, err := r.store(ctx, source, records, body, now, err)
	if err != nil {
		r.Log.WarnContext(ctx, "a webhook could not be stored", "source", source, "reason", fault.Reason(err), "err", err)
		span.SetStatus(codes.Error, fault.Reason(err))
		answered(span, http.StatusServiceUnavailable)
		return retryLater(w, "unavailable", 5*time.Second)
	}
	status := accepted(w, response, ids)
	answered(span, status)
	return status
}

// answered notes what the vendor was told; a span that nobody records costs nothing.
func answered(span trace.Span, status int) {
	if span.IsRecording() {
		span.SetAttributes(semconv.HTTPResponseStatusCode(status))
	}
}

// readBody reads a call's body whole, at once where its length is announced and
// usual. A longer one is given room as it comes: anybody may announce one.
func readBody(w http.ResponseWriter, req *http.Request) ([]byte, error) {
	room := max(0, min(req.ContentLength, usualBody)) + bytes.MinRead // in which its end is seen too
	body := bytes.NewBuffer(make([]byte, 0, room))
	_, err := body.ReadFrom(http.MaxBytesReader(w, req.Body, bodyLimit))
	return body.Bytes(), err
}

// root begins the trace of a call: it is a new one, after verification; a
// traceparent that the vendor sent is linked, never adopted.
func (r *Receiver) root(ctx context.Context, req *http.Request, source string) (context.Context, trace.Span) {
	ctx, span := r.Tracer.Start(ctx, req.Method+" /webhooks/{source}", newRoot...)
	if !span.IsRecording() {
		return ctx, span // nobody reads what would stand in it
	}
	span.SetAttributes(semconv.HTTPRequestMethodKey.String(req.Method), semconv.HTTPRoute("/webhooks/{source}"), attribute.String("muster.source", source))
	theirs := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(req.Header)))
	if theirs.IsValid() {
		span.AddLink(trace.Link{SpanContext: theirs})
	}
	return ctx, span
}

var newRoot = []trace.SpanStartOption{trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer)}

// store makes everything in a call durable and gives the ids of what was
// stored. unreadable is the connector's complaint about an authentic call.
func (r *Receiver) store(ctx context.Context, source string, records []connector.Record, body []byte, now time.Time, unreadable error) ([]string, error) {
	if unreadable != nil {
		return r.bury(ctx, source, "", body, now, fault.Of(unreadable))
	}
	ids := make([]string, 0, len(records))
	futures := make([]*bus.Future, 0, len(records))
	for _, rec := range records {
		var msg record.Message
		var err error
		stream, template := topology.Raw, "hr.raw.{source}.{key}"
		switch rec.Kind {
		case connector.KindRecord:
			msg, err = r.Codec.Receive(ctx, source, rec, now)
		case connector.KindHint:
			stream, template = topology.Hints, "hr.hint.{account}.{key}"
			msg, err = r.Codec.Ask(ctx, source, rec, now)
		case connector.KindPing, connector.KindIgnored:
			continue
		}
		if err != nil {
			f, letter := fault.Of(err), body // a record that is larger than the bus takes may be of a call that is not
			if rec.Kind == connector.KindRecord && len(rec.Body) > 0 && !json.Valid(rec.Body) {
				f, letter = fault.New(fault.Record, "record", "the record is not JSON"), rec.Body
			} else if len(body) > keptLimit && len(rec.Body) > 0 {
				letter = rec.Body
			}
			if f.Class != fault.Record {
				return nil, err
			}
			// No repeat would help. The others of the call go on.
			buried, err := r.bury(ctx, source, rec.Key, letter, now, f)
			if err != nil {
				return nil, err
			}
			ids = append(ids, buried...)
			continue
		}
		sending, send := telemetry.StartSend(ctx, r.Tracer, telemetry.Message{Stream: stream, Template: template, ID: msg.Event.ID()})
		defer send.End()
		f, err := r.Bus.PublishAsync(sending, stream, bus.Out{Subject: msg.Subject, Event: msg.Event})
		if err != nil {
			return nil, err
		}
		ids, futures = append(ids, msg.Event.ID()), append(futures, f)
	}
	for _, f := range futures {
		if _, err := f.Wait(ctx); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// bury keeps an authentic call that nobody can read, or a record of one, for a
// person to look at. Of one that the bus does not take the letter names the size,
// and its key if there is one: whom to read at the vendor.
func (r *Receiver) bury(ctx context.Context, source, key string, body []byte, now time.Time, f *fault.Error) ([]string, error) {
	rule, kept := f.Rule, json.RawMessage(nil)
	if len(body) > keptLimit {
		rule = strconv.Itoa(len(body)) + " bytes, not kept"
	} else {
		var err error
		if kept, err = json.Marshal(body); err != nil { // base64 text: the bytes are not JSON
			return nil, err
		}
	}
	token := r.Codec.Token(source, string(body))
	letter, err := r.Codec.Bury(ctx, token, record.DeadLetter{
		Stage: topology.StageMap, Source: source, Event: token, Class: fault.Record.String(), Reason: f.Reason, Path: f.Path, Rule: rule,
		Attempts: 1, At: now, Config: r.Config, Key: key, Body: kept,
	})
	if err != nil {
		return nil, err
	}
	none := uint64(0)
	_, err = r.Bus.Publish(ctx, topology.Dead, bus.Out{Subject: letter.Subject, Event: letter.Event, Expect: &none})
	if err != nil && !errors.Is(err, bus.ErrConflict) {
		return nil, err
	}
	r.Log.WarnContext(ctx, "an authentic webhook cannot be read", "source", source, "event", letter.Event.ID(), "reason", f.Reason)
	return []string{letter.Event.ID()}, nil
}

// refuse answers a call that is not the vendor's. Nothing is stored but a
// count. In a flood the answer is 429; the vendor's own calls, which are
// verified before anybody counts, still come through.
func (r *Receiver) refuse(w http.ResponseWriter, req *http.Request, source string, no connector.Unauthentic, response connector.Response) int {
	if !r.refused.add(source, no.Reason, r.Clock.Now()) {
		w.Header().Set("Retry-After", "60")
		return answer(w, http.StatusTooManyRequests, problem("too_many", "too many calls that are not authentic"))
	}
	r.Log.InfoContext(req.Context(), "a webhook was refused", "source", source, "reason", no.Reason)
	status := response.Status
	if status < 400 {
		status = http.StatusUnauthorized
	}
	for name, values := range response.Header {
		w.Header()[name] = values
	}
	return answer(w, status, problem("not_authentic", "the call is not authentic: "+no.Reason))
}

// taken is what the vendor hears: the ids of what is stored now.
type taken struct {
	ID  string   `json:"id,omitempty"`
	IDs []string `json:"ids"`
}

func accepted(w http.ResponseWriter, response connector.Response, ids []string) int {
	for name, values := range response.Header {
		w.Header()[name] = values
	}
	status := response.Status
	if status == 0 {
		status = http.StatusAccepted
	}
	if response.Body != nil {
		w.WriteHeader(status)
		_, _ = w.Write(response.Body) // the vendor hung up; what it sent is stored
		return status
	}
	said := taken{IDs: ids}
	if len(ids) > 0 {
		said.ID = ids[0]
	}
	return answer(w, status, said)
}

func retryLater(w http.ResponseWriter, code string, after time.Duration) int {
	w.Header().Set("Retry-After", strconv.Itoa(int(after.Seconds())))
	return answer(w, http.StatusServiceUnavailable, problem(code, "not now: send it again later"))
}

func problem(code, message string) map[string]any {
	return map[string]any{"ok": false, "error": map[string]string{"code": code, "message": message}}
}

func answer(w http.ResponseWriter, status int, v any) int {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the vendor hung up
	return status
}
