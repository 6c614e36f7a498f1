package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/muster-hr/muster/libs/topology"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
)

// Durability says when a publish may return.
type Durability string

// The three durabilities, by the words of MUSTER_DURABILITY.
const (
	Fsync      Durability = "fsync"      // one server with SyncAlways: after its fsync, in groups
	Replicated Durability = "replicated" // a cluster: after its quorum, which groups by itself
	OS         Durability = "os"         // in the operating system's memory: for load tests only
)

// Options say how to connect. URL or Server is required.
type Options struct {
	URL        string // one or several, separated by commas
	Server     *Server
	Name       string // the user's or program's name, shown in the server's monitoring
	NKeySeed   string // text of the NKey seed, "" for none
	TLS        *tls.Config
	Durability Durability // default Fsync
	Log        *slog.Logger

	// InboxPrefix is where answers come in; default InboxPrefix(Name), which is
	// what Rights allows. A user who may listen on another's inbox reads his
	// answers.
	InboxPrefix string

	Staged   bool                     // the server stages batches in memory where it may (Stage): they are worth it earlier
	Crossing int                      // from so many waiting messages on a group is one atomic batch; default 32, where they are staged in memory 6
	Queue    int                      // so many publishes may wait, more get ErrBusy; default 20000
	Linger   map[string]time.Duration // by stream: how long a loaded committer collects; default RAW 3 ms, PEOPLE 10 ms, DELIVERED 5 ms
	Timeout  time.Duration            // of one request to the server; default 5 s
}

// Bus is a connection. It is safe for concurrent use.
type Bus struct {
	o   Options
	nc  *nats.Conn
	js  jetstream.JetStream
	log *slog.Logger

	closing chan struct{}
	closed  chan struct{} // by the client, after the drain

	mu         sync.Mutex
	changed    chan struct{} // closed at the next reconnect
	committers map[string]*committer
	atomics    chan struct{} // how many batches may be under way when nothing is grouped
	wg         sync.WaitGroup
}

func (o Options) withDefaults() Options {
	if o.Durability == "" {
		o.Durability = Fsync
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.InboxPrefix == "" {
		o.InboxPrefix = nats.InboxPrefix[:len(nats.InboxPrefix)-1]
		if topology.ValidToken(o.Name) {
			o.InboxPrefix = InboxPrefix(o.Name)
		}
	}
	if o.Queue == 0 {
		o.Queue = 20000
	}
	if o.Linger == nil {
		o.Linger = map[string]time.Duration{
			topology.Raw: 3 * time.Millisecond, topology.People: 10 * time.Millisecond, topology.Delivered: 5 * time.Millisecond,
		}
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	return o
}

// Connect connects and keeps the connection for ever. While there is no server
// it tries again until ctx ends. A user that is refused is an error at once.
func Connect(ctx context.Context, o Options) (*Bus, error) {
	o = o.withDefaults()
	switch o.Durability {
	case Fsync, Replicated, OS:
	default:
		return nil, fmt.Errorf("connect to nats: durability %q is none of fsync, replicated, os", o.Durability)
	}
	b := &Bus{
		o: o, log: o.Log,
		closing: make(chan struct{}), closed: make(chan struct{}), changed: make(chan struct{}),
		committers: make(map[string]*committer),
		atomics:    make(chan struct{}, 2),
	}
	opts, err := b.natsOptions()
	if err != nil {
		return nil, err
	}
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		if b.nc, err = nats.Connect(o.URL, opts...); err == nil {
			break
		}
		if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || errors.Is(err, nats.ErrAuthRevoked) {
			return nil, fmt.Errorf("connect to nats: %w", err)
		}
		o.Log.Debug("nats not there yet", "error", err)
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("connect to nats: %w: %w", err, ctx.Err())
		case <-time.After(wait):
		}
	}
	b.js, err = jetstream.New(b.nc,
		jetstream.WithDefaultTimeout(o.Timeout),
		jetstream.WithPublishAsyncMaxPending(o.Queue),
		jetstream.WithPublishAsyncTimeout(o.Timeout))
	if err != nil {
		b.nc.Close()
		return nil, fmt.Errorf("connect to jetstream: %w", err)
	}
	return b, nil
}

func (b *Bus) natsOptions() ([]nats.Option, error) {
	o := b.o
	opts := []nats.Option{
		nats.Name(o.Name),
		nats.CustomInboxPrefix(o.InboxPrefix),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(50 * time.Millisecond),
		nats.ReconnectJitter(50*time.Millisecond, 250*time.Millisecond),
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectBufSize(-1), // what cannot be sent now is an error now, not a surprise later
		nats.Timeout(o.Timeout),
		nats.PingInterval(10 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				b.log.Warn("nats connection lost", "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) {
			b.log.Info("nats connection restored")
			b.reconnected()
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			b.log.Error("nats", "error", err)
		}),
		nats.ClosedHandler(func(*nats.Conn) { close(b.closed) }),
	}
	if o.Server != nil {
		opts = append(opts, nats.InProcessServer(o.Server))
	}
	if o.TLS != nil {
		opts = append(opts, nats.Secure(o.TLS))
	}
	if o.NKeySeed != "" {
		pair, err := nkeys.FromSeed([]byte(o.NKeySeed))
		if err != nil {
			return nil, fmt.Errorf("connect to nats: the nkey seed is not one: %w", err)
		}
		public, err := pair.PublicKey()
		if err != nil {
			return nil, fmt.Errorf("connect to nats: the nkey seed has no public key: %w", err)
		}
		opts = append(opts, nats.Nkey(public, pair.Sign))
	}
	return opts, nil
}

// reconnected wakes the feeds.
func (b *Bus) reconnected() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.changed)
	b.changed = make(chan struct{})
}

// connection is the number of the present connection and a channel that is
// closed soon after there is a new one. The number comes from the client, which
// counts before anything is sent on the new connection.
func (b *Bus) connection() (epoch uint64, changed <-chan struct{}) {
	b.mu.Lock()
	changed = b.changed
	b.mu.Unlock()
	return b.nc.Stats().Reconnects, changed
}

// Connected tells whether there is a connection now.
func (b *Bus) Connected() bool { return b.nc.IsConnected() }

// Ping asks the server for an answer: nil if it gave one before ctx ended.
func (b *Bus) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.o.Timeout)
	defer cancel()
	return classify(ctx, b.nc.FlushWithContext(ctx))
}

// Close commits what waits, sends what is buffered and closes the connection.
// Publishes after it get ErrClosed.
func (b *Bus) Close() error {
	b.mu.Lock()
	select {
	case <-b.closing:
		b.mu.Unlock()
		<-b.closed
		return nil
	default:
	}
	close(b.closing)
	b.mu.Unlock()
	b.wg.Wait()
	if err := b.nc.Drain(); err != nil {
		b.nc.Close()
	}
	select {
	case <-b.closed:
	case <-time.After(b.o.Timeout):
		b.nc.Close()
		<-b.closed
	}
	return nil
}

// NewUser makes an NKey pair for a user. The seed is a secret; the public key
// goes into [User].
func NewUser(name string) (seed, public string, err error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return "", "", fmt.Errorf("make an nkey for %s: %w", name, err)
	}
	s, err := pair.Seed()
	if err != nil {
		return "", "", fmt.Errorf("make an nkey for %s: %w", name, err)
	}
	if public, err = pair.PublicKey(); err != nil {
		return "", "", fmt.Errorf("make an nkey for %s: %w", name, err)
	}
	return string(s), public, nil
}

// PublicKey is the public key of a seed, by which a server knows its user.
func PublicKey(seed string) (string, error) {
	pair, err := nkeys.FromSeed([]byte(seed))
	if err != nil {
		return "", fmt.Errorf("not an nkey seed: %w", err)
	}
	return pair.PublicKey()
}
