// Package bus is the only door to NATS JetStream: the embedded server, the
// connection, publishing with group commit, reading, feeds, keyed lanes, the
// plan of streams and the rights of users. Everything outside speaks in
// CloudEvents ([Out], [In]) and never sees a NATS type.
//
// # Durability
//
// A publish returns when the message is as safe as the [Durability] of the
// connection says. Under Fsync (one server with sync_interval: always) a
// message of its own costs one fsync; therefore publishers of one stream are
// committed together, see [Bus.Publish].
//
// # Order
//
// JetStream keeps the order of a stream, but acknowledgements can be forgotten
// by a crash and unacknowledged messages come again late. A [Feed] therefore
// rewinds its consumer to the acknowledgement floor at each start and each
// reconnect, and [Lanes] turn a feed into one queue per key.
package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Errors of this package, to be compared with errors.Is.
var (
	// ErrNotFound: no such message, stream or consumer.
	ErrNotFound = errors.New("not found on the bus")
	// ErrConflict: an expected sequence was not the last one, or a batch repeats
	// a message id, or a subject with an expectation or a rollup. Nothing of the
	// message or batch was stored. Not retryable as it is: read again first.
	ErrConflict = errors.New("another message came first")
	// ErrUnavailable: no answer, no server or no leader. Whether the message was
	// stored is unknown. Retryable, if storing it twice is harmless.
	ErrUnavailable = errors.New("bus unavailable")
	// ErrBusy: too many publishes wait already. Nothing was stored. Retryable.
	ErrBusy = errors.New("bus busy")
	// ErrTooLarge: the message is larger than the server takes. Not retryable.
	ErrTooLarge = errors.New("message too large for the bus")
	// ErrReset: a feed starts again from its acknowledgement floor; what it gave
	// out before and is not being worked on must be forgotten.
	ErrReset = errors.New("feed was reset")
	// ErrClosed: the bus was closed by us.
	ErrClosed = errors.New("bus closed")
)

// Error codes of the server, from its errors.json.
const (
	codeWrongLastSequence      = 10071
	codeWrongLastSequenceBatch = 10164 // the same without the number: in a batch, or under a pending write
	codeDuplicateInBatch       = 10201
	codeConsumerNotFound       = 10014
	codeMessageNotFound        = 10037
	codeDeleteFailed           = 10057
	codeStreamNotFound         = 10059
	codeTooLarge               = 10054
)

// classify turns an error of the client or server into one of ours, the
// original wrapped beside it. An error of a context stays itself when it is the
// caller's own.
func classify(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return err
	}
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		switch {
		case api.ErrorCode == codeWrongLastSequence || api.ErrorCode == codeWrongLastSequenceBatch || api.ErrorCode == codeDuplicateInBatch:
			return fmt.Errorf("%w: %w", ErrConflict, err)
		case api.ErrorCode == codeConsumerNotFound || api.ErrorCode == codeMessageNotFound || api.ErrorCode == codeStreamNotFound || api.Code == 404:
			return fmt.Errorf("%w: %w", ErrNotFound, err)
		case api.ErrorCode == codeTooLarge:
			return fmt.Errorf("%w: %w", ErrTooLarge, err)
		case api.Code == 503 || api.Code == 429:
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		return err
	}
	if errors.Is(err, jetstream.ErrTooManyStalledMsgs) {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	if errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	for _, target := range []error{
		nats.ErrNoResponders, jetstream.ErrNoStreamResponse, nats.ErrTimeout, jetstream.ErrAsyncPublishTimeout,
		nats.ErrDisconnected, nats.ErrConnectionClosed, nats.ErrConnectionDraining, nats.ErrConnectionReconnecting,
		nats.ErrReconnectBufExceeded, nats.ErrNoServers, nats.ErrStaleConnection, context.DeadlineExceeded,
	} {
		if errors.Is(err, target) {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	return err
}

func isRetryable(err error) bool { return errors.Is(err, ErrUnavailable) }
