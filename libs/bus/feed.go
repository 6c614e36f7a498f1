package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/muster-hr/muster/libs/protection"
)

// FeedOptions name the durable consumer that a feed follows.
type FeedOptions struct {
	Stream    string
	Durable   string
	Pull      int           // messages asked for at a time; default 256
	MaxWait   time.Duration // how long one request for messages stays open; default 30 s, at least twice the heartbeat
	Heartbeat time.Duration // how often an idle server shows that it lives; after three times that the feed is reset; default 5 s
}

// Feed follows a durable consumer in order. One goroutine calls Next;
// acknowledgements may come from anywhere. A consumer has one feed at a time:
// a second one rewinds it.
//
// After each start, reconnect and gap the consumer is reset to its
// acknowledgement floor, because the messages that were delivered and not
// acknowledged would otherwise come after newer ones. A reset also starts
// In.Delivered from 1.
type Feed struct {
	b *Bus
	o FeedOptions

	ackAll bool // an acknowledgement stands for all before it

	ch      chan *nats.Msg
	sub     *nats.Subscription
	epoch   uint64          // the connection it was started on
	changed <-chan struct{} // closed when that connection is replaced
	running bool
	last    time.Time // when it was started last
	wanted  int       // messages asked for and not yet come
	next    uint64    // consumer sequence of the next message
	idle    *time.Timer
}

// Feed follows an existing durable consumer. Nothing is asked for before Next.
func (b *Bus) Feed(ctx context.Context, o FeedOptions) (*Feed, error) {
	if o.Pull == 0 {
		o.Pull = 256
	}
	if o.MaxWait == 0 {
		o.MaxWait = 30 * time.Second
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = 5 * time.Second
	}
	if o.MaxWait < 2*o.Heartbeat {
		return nil, fmt.Errorf("feed %s on %s: MaxWait below two heartbeats", o.Durable, o.Stream)
	}
	info, err := b.consumerInfo(ctx, o.Stream, o.Durable)
	if err != nil {
		return nil, fmt.Errorf("feed %s on %s: %w", o.Durable, o.Stream, err)
	}
	return &Feed{b: b, o: o, ackAll: info.Config.AckPolicy == jetstream.AckAllPolicy}, nil
}

// Next gives the next message; it waits for one. ErrReset says, once for each
// reset, that messages which are queued somewhere must be forgotten, because
// they will come again. Other errors: that of ctx, ErrNotFound when the
// consumer is gone, ErrClosed. While the server is away it waits.
func (f *Feed) Next(ctx context.Context) (In, error) {
	for {
		if err := ctx.Err(); err != nil {
			return In{}, err
		}
		if !f.running {
			if err := f.start(ctx); err != nil {
				return In{}, fmt.Errorf("feed %s on %s: %w", f.o.Durable, f.o.Stream, err)
			}
		}
		if f.wanted <= f.o.Pull/2 {
			if err := f.pull(f.o.Pull - f.wanted); err != nil {
				return In{}, f.stop()
			}
		}
		m, err := f.receive(ctx)
		if err != nil {
			return In{}, err
		}
		if m == nil {
			return In{}, f.stop()
		}
		if m.Reply == "" {
			if ok, err := f.status(m); err != nil {
				return In{}, err
			} else if !ok {
				return In{}, f.stop()
			}
			continue
		}
		meta, err := m.Metadata()
		if err != nil || meta.Sequence.Consumer != f.next {
			return In{}, f.stop()
		}
		f.next++
		f.wanted--
		in := stored(meta.Stream, m.Subject, meta.Sequence.Stream, meta.Timestamp, m.Header, m.Data)
		in.Delivered, in.Pending, in.reply = int(meta.NumDelivered), meta.NumPending, m.Reply
		return in, nil
	}
}

// NextBatch appends up to n messages to ins, which may be room of a batch before:
// it waits for the first and gathers for at most within after it. Errors as
// Next; after one nothing of what was gathered is given out, it comes again.
func (f *Feed) NextBatch(ctx context.Context, ins []In, n int, within time.Duration) ([]In, error) {
	first, err := f.Next(ctx)
	if err != nil {
		return nil, err
	}
	ins = append(ins, first)
	short, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for n--; n > 0; n-- {
		in, err := f.Next(short)
		if err != nil {
			if short.Err() != nil && ctx.Err() == nil {
				break
			}
			return nil, err
		}
		ins = append(ins, in)
	}
	return ins, nil
}

// receive waits for a message, nil when the feed must be reset.
func (f *Feed) receive(ctx context.Context) (*nats.Msg, error) {
	if f.replaced() {
		return nil, nil
	}
	select {
	case m := <-f.ch:
		return m, nil
	default:
	}
	f.idle.Reset(3 * f.o.Heartbeat)
	defer f.idle.Stop()
	for {
		select {
		case m := <-f.ch:
			return m, nil
		case <-f.changed:
			if f.replaced() {
				return nil, nil
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-f.b.closing:
			f.unsubscribe()
			return nil, ErrClosed
		case <-f.idle.C:
			if f.b.Connected() {
				return nil, nil
			}
			f.idle.Reset(3 * f.o.Heartbeat)
		}
	}
}

// replaced tells whether there is another connection than the one the feed was
// started on. A notice about that one itself may come late.
func (f *Feed) replaced() bool {
	select {
	case <-f.changed:
	default:
		return false
	}
	epoch, changed := f.b.connection()
	f.changed = changed
	return epoch != f.epoch
}

// status reads a message of the server about the request for messages. False:
// the feed must be reset.
func (f *Feed) status(m *nats.Msg) (ok bool, err error) {
	switch m.Header.Get("Status") {
	case "100": // heartbeat: a lost message shows in the last delivered sequence
		last, _ := strconv.ParseUint(m.Header.Get("Nats-Last-Consumer"), 10, 64) // 0 if the server does not say
		return last < f.next, nil
	case "404", "408": // the request has expired
		pending, unsaid := strconv.Atoi(m.Header.Get("Nats-Pending-Messages"))
		f.wanted = max(0, f.wanted-pending)
		return unsaid == nil, nil
	case "409":
		if m.Header.Get("Description") == "Consumer Deleted" {
			f.unsubscribe()
			return false, fmt.Errorf("feed %s on %s: consumer deleted: %w", f.o.Durable, f.o.Stream, ErrNotFound)
		}
	}
	return false, nil
}

// start resets the consumer and subscribes to a fresh inbox; what is still
// under way to the old one is lost on purpose. While there is no answer it
// tries again.
func (f *Feed) start(ctx context.Context) error {
	if f.idle == nil {
		f.idle = time.NewTimer(time.Hour)
		f.idle.Stop()
	}
	wait := 50 * time.Millisecond
	if !f.last.IsZero() {
		// Two resets shortly after each other: something is wrong, do not spin.
		if err := f.pause(ctx, time.Until(f.last.Add(250*time.Millisecond))); err != nil {
			return err
		}
	}
	for {
		f.last = time.Now()
		f.epoch, f.changed = f.b.connection()
		err := f.reset(ctx)
		if err == nil {
			f.running = true
			return nil
		}
		f.unsubscribe()
		if !isRetryable(err) {
			return err
		}
		if err := f.pause(ctx, wait); err != nil {
			return err
		}
		wait = min(2*wait, 2*time.Second)
	}
}

func (f *Feed) reset(ctx context.Context) (err error) {
	f.ch = make(chan *nats.Msg, 2*f.o.Pull+64) // messages asked for, heartbeats and expiries
	// An inbox of its own: the server serves a request as long as anybody listens
	// for its answers, and on the inbox that all requests share somebody always does.
	if f.sub, err = f.b.nc.ChanSubscribe(f.b.nc.NewInbox(), f.ch); err != nil {
		return classify(ctx, err)
	}
	var info jetstream.ConsumerInfo
	short, cancel := context.WithTimeout(ctx, 2*time.Second) // a request that a lost connection swallowed gets no answer
	defer cancel()
	verb := "CONSUMER.RESET."
	if protection.Off(protection.LaneReset) {
		verb = "CONSUMER.INFO."
	}
	if err := f.b.api(short, verb+f.o.Stream+"."+f.o.Durable, struct{}{}, &info); err != nil {
		return classify(ctx, err)
	}
	f.wanted, f.next = 0, info.Delivered.Consumer+1
	return nil
}

func (f *Feed) pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	f.idle.Reset(d)
	defer f.idle.Stop()
	select {
	case <-f.idle.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-f.b.closing:
		return ErrClosed
	}
}

// pull asks for n more messages.
func (f *Feed) pull(n int) error {
	req, err := json.Marshal(map[string]any{"batch": n, "expires": f.o.MaxWait, "idle_heartbeat": f.o.Heartbeat})
	if err != nil {
		return err
	}
	err = f.b.nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+f.o.Stream+"."+f.o.Durable, f.sub.Subject, req)
	f.wanted += n
	return err
}

// stop forgets the present pull. The reset itself comes with the next Next, so
// that the owner can put its house in order first.
func (f *Feed) stop() error {
	f.unsubscribe()
	return ErrReset
}

func (f *Feed) unsubscribe() {
	if f.sub != nil {
		_ = f.sub.Unsubscribe() // fails only on a closed connection, where there is nothing left to end
		f.sub = nil
	}
	f.running = false
}

// Close ends the feed. What was asked for and not given out comes again to the
// next feed of this consumer.
func (f *Feed) Close() { f.unsubscribe() }

// Ack acknowledges messages, each alone. An acknowledgement is sent without
// waiting; a crash of the server can forget it, then the message comes again.
// For a consumer that was planned with AckAll the last one stands for all
// before it.
func (f *Feed) Ack(ins ...In) error {
	if f.ackAll && len(ins) > 1 {
		ins = ins[len(ins)-1:]
	}
	return f.respond("+ACK", ins)
}

// Working tells the server that messages are being worked on, which starts
// their time for an acknowledgement anew.
func (f *Feed) Working(ins ...In) error { return f.respond("+WPI", ins) }

func (f *Feed) respond(what string, ins []In) error {
	for _, in := range ins {
		if in.reply == "" {
			return fmt.Errorf("acknowledge message %d of %s: it came from no feed", in.Seq, in.Stream)
		}
		if err := f.b.nc.Publish(in.reply, []byte(what)); err != nil {
			return fmt.Errorf("acknowledge message %d of %s: %w", in.Seq, in.Stream, classify(context.Background(), err))
		}
	}
	return nil
}

// Pause stops deliveries of this consumer until a time. It outlives both the
// server and this program; messages that were given out are not touched.
func (f *Feed) Pause(ctx context.Context, until time.Time) error {
	req := map[string]any{"pause_until": until.UTC()}
	if err := f.b.api(ctx, "CONSUMER.PAUSE."+f.o.Stream+"."+f.o.Durable, req, nil); err != nil {
		return fmt.Errorf("pause %s on %s: %w", f.o.Durable, f.o.Stream, err)
	}
	return nil
}

// Resume ends a pause.
func (f *Feed) Resume(ctx context.Context) error {
	if err := f.b.api(ctx, "CONSUMER.PAUSE."+f.o.Stream+"."+f.o.Durable, struct{}{}, nil); err != nil {
		return fmt.Errorf("resume %s on %s: %w", f.o.Durable, f.o.Stream, err)
	}
	return nil
}
