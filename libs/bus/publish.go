package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// maxBatch is how many messages the server takes in one atomic batch.
const maxBatch = 1000

// Publish stores one message and returns its sequence when it is durable.
//
// Under Fsync the publishes of one stream are committed together: while one
// group is written the next one gathers, small groups go as single publishes
// in flight together, large ones as one atomic batch. Each caller gets the
// verdict on its own message, whoever shares the group. Messages of one
// subject are stored in the order of the calls.
//
// When ctx ends first, the message may or may not be stored.
func (b *Bus) Publish(ctx context.Context, stream string, m Out) (seq uint64, err error) {
	f, err := b.PublishAsync(ctx, stream, m)
	if err != nil {
		return 0, err
	}
	return f.Wait(ctx)
}

// PublishAsync hands one message over and returns at once. Messages of one
// goroutine are stored in the order of its calls. A message whose Wait was
// never called is published all the same, unless the bus is closed before.
func (b *Bus) PublishAsync(ctx context.Context, stream string, m Out) (*Future, error) {
	msg, err := message(ctx, m)
	if err != nil {
		return nil, err
	}
	if b.o.Durability == Fsync {
		j := &job{msgs: []*nats.Msg{msg}, later: m.Later, done: make(chan struct{})}
		if m.ExpectOn != "" {
			j.filter = m.ExpectOn
		}
		if err := b.committer(stream).add(j); err != nil {
			return nil, err
		}
		return &Future{job: j}, nil
	}
	ack, err := b.send(stream, msg)
	if err != nil {
		return nil, err
	}
	return &Future{ack: ack, turn: make(chan struct{}, 1)}, nil
}

// send publishes one message without waiting for its acknowledgement.
func (b *Bus) send(stream string, msg *nats.Msg) (jetstream.PubAckFuture, error) {
	if b.isClosing() && b.o.Durability != Fsync {
		return nil, ErrClosed
	}
	if b.js.PublishAsyncPending() >= b.o.Queue {
		return nil, fmt.Errorf("publish on %s: %w", stream, ErrBusy)
	}
	msg.Header[jetstream.ExpectedStreamHeader] = []string{stream}
	ack, err := b.js.PublishMsgAsync(msg)
	if err != nil {
		return nil, fmt.Errorf("publish on %s: %w", stream, classify(context.Background(), err))
	}
	return ack, nil
}

func (b *Bus) isClosing() bool {
	select {
	case <-b.closing:
		return true
	default:
		return false
	}
}

// Future is a publish under way.
type Future struct {
	job *job

	ack  jetstream.PubAckFuture
	turn chan struct{} // one goroutine at a time waits for ack
	done bool
	seq  uint64
	err  error
}

// Wait returns the sequence when the message is durable. It may be called
// again, also after ctx ended.
func (f *Future) Wait(ctx context.Context) (seq uint64, err error) {
	if f.job != nil {
		select {
		case <-f.job.done:
			return f.job.last, f.job.err
		case <-ctx.Done():
			f.job.cancel(ctx.Err())
			return 0, ctx.Err()
		}
	}
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if f.done {
		return f.seq, f.err
	}
	select {
	case ack := <-f.ack.Ok():
		f.done, f.seq = true, ack.Sequence
	case err := <-f.ack.Err():
		f.done, f.err = true, classify(context.Background(), err)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return f.seq, f.err
}

// PublishAtomic stores all messages or none, at most 1000, and returns the
// sequence of the last one: message i of n has last-n+1+i. ErrConflict when any
// expectation failed. A subject may stand only once in the batch if one of its
// messages has an expectation or a rollup.
//
// ErrUnavailable and the end of ctx leave open whether the batch was stored;
// it is never stored in part.
func (b *Bus) PublishAtomic(ctx context.Context, stream string, ms []Out) (last uint64, err error) {
	switch {
	case len(ms) == 0:
		return 0, fmt.Errorf("publish on %s: an empty batch", stream)
	case len(ms) > maxBatch:
		return 0, fmt.Errorf("publish on %s: a batch of %d messages, the most is %d", stream, len(ms), maxBatch)
	}
	j := &job{atomic: true, msgs: make([]*nats.Msg, len(ms)), done: make(chan struct{})}
	strict := make(map[string]bool, len(ms))
	for i, m := range ms {
		if j.msgs[i], err = message(ctx, m); err != nil {
			return 0, err
		}
		this := m.Expect != nil || m.Rollup
		if other, twice := strict[m.Subject]; twice && (this || other) {
			return 0, fmt.Errorf("publish on %s: a subject stands twice in one batch, with an expectation or a rollup: %w", stream, ErrConflict)
		}
		strict[m.Subject] = this || strict[m.Subject]
	}
	if b.o.Durability == Fsync {
		if err := b.committer(stream).add(j); err != nil {
			return 0, err
		}
		return (&Future{job: j}).Wait(ctx)
	}
	if b.isClosing() {
		return 0, ErrClosed
	}
	select {
	case b.atomics <- struct{}{}:
		defer func() { <-b.atomics }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return b.batch(ctx, stream, j.msgs)
}

// batch commits messages as one atomic batch; a single one needs none.
func (b *Bus) batch(ctx context.Context, stream string, msgs []*nats.Msg) (last uint64, err error) {
	short, cancel := context.WithTimeout(ctx, b.o.Timeout+time.Duration(len(msgs))*10*time.Millisecond)
	defer cancel()
	if len(msgs) == 1 {
		msgs[0].Header[jetstream.ExpectedStreamHeader] = []string{stream}
		ack, err := b.js.PublishMsg(short, msgs[0])
		if err != nil {
			return 0, fmt.Errorf("publish on %s: %w", stream, classify(ctx, err))
		}
		return ack.Sequence, nil
	}
	msgs[0].Header[jetstream.ExpectedStreamHeader] = []string{stream}
	ack, err := jetstreamext.PublishMsgBatch(short, b.js, msgs, jetstreamext.BatchFlowControl{AckTimeout: b.o.Timeout})
	if err != nil {
		return 0, fmt.Errorf("commit %d messages on %s: %w", len(msgs), stream, classify(ctx, err))
	}
	return ack.Sequence, nil
}
