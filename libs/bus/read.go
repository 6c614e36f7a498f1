package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// Last reads the last message of a subject; with wildcards the last of all that
// match. ErrNotFound if there is none. Needs only the right to read that
// subject directly.
func (b *Bus) Last(ctx context.Context, stream, subject string) (In, error) {
	m, err := b.direct(ctx, "$JS.API.DIRECT.GET."+stream+"."+subject, nil)
	if err != nil {
		return In{}, fmt.Errorf("last of %s on %s: %w", subject, stream, err)
	}
	return m, nil
}

// Get reads the message with a sequence. ErrNotFound if it is not there (any more).
func (b *Bus) Get(ctx context.Context, stream string, seq uint64) (In, error) {
	m, err := b.direct(ctx, "$JS.API.DIRECT.GET."+stream, map[string]any{"seq": seq})
	if err != nil {
		return In{}, fmt.Errorf("message %d of %s: %w", seq, stream, err)
	}
	return m, nil
}

// pageSize and pageBytes bound one answer to a batched read.
const (
	pageSize  = 512
	pageBytes = 8 << 20
)

// Each calls fn with every stored message that matches a filter, in order, up
// to the last one at the time of the call. It ends with the first error of fn.
// Needs the right to read the whole stream directly.
func (b *Bus) Each(ctx context.Context, stream, filter string, fn func(In) error) error {
	last, err := b.Last(ctx, stream, filter)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for next := uint64(1); next <= last.Seq; {
		ins, err := b.From(ctx, stream, filter, next)
		if err != nil {
			return err
		}
		if len(ins) == 0 {
			return nil
		}
		for _, in := range ins {
			if in.Seq > last.Seq {
				return nil
			}
			if err := fn(in); err != nil {
				return err
			}
			next = in.Seq + 1
		}
	}
	return nil
}

// From reads stored messages that match a filter, in order, from a sequence on:
// some of them, none if there are none. Needs the right to read the whole stream
// directly.
func (b *Bus) From(ctx context.Context, stream, filter string, seq uint64) ([]In, error) {
	ins, err := b.page(ctx, stream, func(ctx context.Context) (iter.Seq2[*jetstream.RawStreamMsg, error], error) {
		return jetstreamext.GetBatch(ctx, b.js, stream, pageSize,
			jetstreamext.GetBatchSeq(seq), jetstreamext.GetBatchSubject(filter), jetstreamext.GetBatchMaxBytes(pageBytes))
	})
	if err != nil {
		return nil, fmt.Errorf("read %s on %s: %w", filter, stream, err)
	}
	return ins, nil
}

// EachLast calls fn with the last message of every subject that matches a
// filter; no order across subjects. Needs the rights to read the whole stream
// directly and its info.
func (b *Bus) EachLast(ctx context.Context, stream, filter string, fn func(In) error) error {
	subjects, err := b.Subjects(ctx, stream, filter)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(subjects))
	for s := range subjects {
		names = append(names, s)
	}
	for len(names) > 0 {
		asked := names[:min(len(names), pageSize)]
		names = names[len(asked):]
		for len(asked) > 0 { // an answer may be cut by its size, and a subject may be gone meanwhile
			ins, err := b.page(ctx, stream, func(ctx context.Context) (iter.Seq2[*jetstream.RawStreamMsg, error], error) {
				return jetstreamext.GetLastMsgsFor(ctx, b.js, stream, asked)
			})
			if err != nil {
				return fmt.Errorf("read the last of %s on %s: %w", filter, stream, err)
			}
			if len(ins) == 0 {
				break
			}
			got := make(map[string]bool, len(ins))
			for _, in := range ins {
				if err := fn(in); err != nil {
					return err
				}
				got[in.Subject] = true
			}
			asked = slices.DeleteFunc(asked, func(s string) bool { return got[s] })
		}
	}
	return nil
}

// Subjects counts the stored messages of every subject that matches a filter.
// Needs the right to the stream's info.
func (b *Bus) Subjects(ctx context.Context, stream, filter string) (map[string]uint64, error) {
	all := make(map[string]uint64)
	for {
		var resp struct {
			Total int `json:"total"`
			State struct {
				Subjects map[string]uint64 `json:"subjects"`
			} `json:"state"`
		}
		req := map[string]any{"subjects_filter": filter, "offset": len(all)}
		if err := b.api(ctx, "STREAM.INFO."+stream, req, &resp); err != nil {
			return nil, fmt.Errorf("subjects of %s: %w", stream, err)
		}
		before := len(all)
		for s, n := range resp.State.Subjects {
			all[s] = n
		}
		if len(all) >= resp.Total || len(all) == before {
			return all, nil
		}
	}
}

// Purge removes the messages of a subject, wildcards allowed, whose sequence is
// below upTo. So upTo = the last sequence keeps the newest message and 0 removes
// nothing. math.MaxUint64 removes everything of the subject: the server is then
// asked without a sequence, because one beyond its last makes its count wrap.
func (b *Bus) Purge(ctx context.Context, stream, subject string, upTo uint64) error {
	if upTo == 0 {
		return nil
	}
	request := map[string]any{"filter": subject}
	if upTo != math.MaxUint64 {
		request["seq"] = upTo
	}
	if err := b.api(ctx, "STREAM.PURGE."+stream, request, nil); err != nil {
		return fmt.Errorf("purge %s on %s: %w", subject, stream, err)
	}
	return nil
}

// SecureDelete removes one message and overwrites its bytes in the file.
// ErrNotFound if it is not there (any more).
func (b *Bus) SecureDelete(ctx context.Context, stream string, seq uint64) error {
	if err := b.api(ctx, "STREAM.MSG.DELETE."+stream, map[string]any{"seq": seq}, nil); err != nil {
		if api, ok := errors.AsType[*jetstream.APIError](err); ok && api.ErrorCode == codeDeleteFailed && strings.Contains(api.Description, "no message found") {
			err = ErrNotFound // the code alone also stands for "not allowed on this stream"
		}
		return fmt.Errorf("delete message %d of %s: %w", seq, stream, err)
	}
	return nil
}

// StreamState is how full a stream is.
type StreamState struct {
	Messages  uint64 `json:"messages"`
	Bytes     uint64 `json:"bytes"`
	FirstSeq  uint64 `json:"first_seq"`
	LastSeq   uint64 `json:"last_seq"`
	Consumers int    `json:"consumer_count"`
}

// StreamState reads how full a stream is.
func (b *Bus) StreamState(ctx context.Context, stream string) (StreamState, error) {
	var resp struct {
		State StreamState `json:"state"`
	}
	if err := b.api(ctx, "STREAM.INFO."+stream, nil, &resp); err != nil {
		return StreamState{}, fmt.Errorf("state of %s: %w", stream, err)
	}
	return resp.State, nil
}

// ConsumerState is how far a durable consumer is.
type ConsumerState struct {
	Pending     uint64    // not yet delivered
	AckPending  int       // delivered, not yet acknowledged
	AckFloor    uint64    // stream sequence up to which everything is acknowledged
	AckAll      bool      // see [ConsumerPlan]: what is acknowledged was given out
	LastAck     time.Time // zero if never
	PausedUntil time.Time // zero if it is not paused
}

// ConsumerState reads how far a durable consumer is.
func (b *Bus) ConsumerState(ctx context.Context, stream, durable string) (ConsumerState, error) {
	info, err := b.consumerInfo(ctx, stream, durable)
	if err != nil {
		return ConsumerState{}, fmt.Errorf("state of consumer %s on %s: %w", durable, stream, err)
	}
	s := ConsumerState{Pending: info.NumPending, AckPending: info.NumAckPending, AckFloor: info.AckFloor.Stream,
		AckAll: info.Config.AckPolicy == jetstream.AckAllPolicy}
	if info.AckFloor.Last != nil {
		s.LastAck = *info.AckFloor.Last
	}
	if info.Paused && info.Config.PauseUntil != nil {
		s.PausedUntil = *info.Config.PauseUntil
	}
	return s, nil
}

func (b *Bus) consumerInfo(ctx context.Context, stream, durable string) (*jetstream.ConsumerInfo, error) {
	var info jetstream.ConsumerInfo
	if err := b.api(ctx, "CONSUMER.INFO."+stream+"."+durable, nil, &info); err != nil {
		return nil, err
	}
	return &info, nil
}

// api makes a request to the JetStream API and decodes its answer into out.
func (b *Bus) api(ctx context.Context, subject string, in, out any) error {
	m, err := b.request(ctx, "$JS.API."+subject, in)
	if err != nil {
		return err
	}
	var resp struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &resp); err != nil {
		return fmt.Errorf("answer to %s: %w", subject, err)
	}
	if resp.Error != nil {
		return classify(context.Background(), resp.Error)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(m.Data, out); err != nil {
		return fmt.Errorf("answer to %s: %w", subject, err)
	}
	return nil
}

func (b *Bus) request(ctx context.Context, subject string, in any) (*nats.Msg, error) {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return nil, err
		}
	}
	short, cancel := context.WithTimeout(ctx, b.o.Timeout)
	defer cancel()
	m, err := b.nc.RequestWithContext(short, subject, body)
	if err != nil {
		return nil, classify(ctx, err)
	}
	return m, nil
}

// direct reads one message past the stream's leader.
func (b *Bus) direct(ctx context.Context, subject string, in any) (In, error) {
	m, err := b.request(ctx, subject, in)
	if err != nil {
		return In{}, err
	}
	switch status := m.Header.Get("Status"); {
	case status == "":
	case status == "404" && len(m.Data) == 0:
		return In{}, ErrNotFound
	default:
		if len(m.Data) == 0 {
			return In{}, fmt.Errorf("%w: %s %s", ErrUnavailable, status, m.Header.Get("Description"))
		}
	}
	seq, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return In{}, fmt.Errorf("answer without a sequence: %w", err)
	}
	at, err := time.Parse(time.RFC3339Nano, m.Header.Get(jetstream.TimeStampHeaer))
	if err != nil {
		return In{}, fmt.Errorf("answer without a time: %w", err)
	}
	return stored(m.Header.Get(jetstream.StreamHeader), m.Header.Get(jetstream.SubjectHeader), seq, at, m.Header, m.Data), nil
}

func stored(stream, subject string, seq uint64, at time.Time, h nats.Header, data []byte) In {
	in := read(h, data)
	in.Stream, in.Subject, in.Seq, in.At = stream, subject, seq, at.UTC()
	return in
}

// page collects one answer to a batched read. It is collected before it is
// used, so that a slow reader does not make the answer time out.
func (b *Bus) page(ctx context.Context, stream string, get func(context.Context) (iter.Seq2[*jetstream.RawStreamMsg, error], error)) ([]In, error) {
	short, cancel := context.WithTimeout(ctx, 4*b.o.Timeout)
	defer cancel()
	msgs, err := get(short)
	if err != nil {
		return nil, classify(ctx, err)
	}
	var ins []In
	for m, err := range msgs {
		if errors.Is(err, jetstreamext.ErrNoMessages) {
			break
		}
		if err != nil {
			return nil, classify(ctx, err)
		}
		ins = append(ins, stored(stream, m.Subject, m.Sequence, m.Time, m.Header, m.Data))
	}
	if err := short.Err(); err != nil {
		return nil, classify(ctx, err)
	}
	return ins, nil
}
