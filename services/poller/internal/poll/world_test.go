package poll

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace/noop"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/clock"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/testkit"
	"github.com/muster-hr/muster/libs/topology"
)

// vendor answers reads as it is told to, and watches how they are made.
type vendor struct {
	read    func(ctx context.Context, key string, nth int) (connector.Record, error)
	changes func(ctx context.Context, after connector.Cursor) (connector.Page, error)

	mu      sync.Mutex
	reads   map[string]int
	running map[string]int
	overlap bool
	most    int // reads of all keys at once
}

func (v *vendor) Read(ctx context.Context, key string) (connector.Record, error) {
	v.mu.Lock()
	v.reads[key]++
	nth := v.reads[key]
	v.running[key]++
	v.overlap = v.overlap || v.running[key] > 1
	all := 0
	for _, n := range v.running {
		all += n
	}
	v.most = max(v.most, all)
	v.mu.Unlock()
	defer func() { v.mu.Lock(); v.running[key]--; v.mu.Unlock() }()
	if v.read != nil {
		return v.read(ctx, key, nth)
	}
	return whole(key, nth), nil
}

func (v *vendor) Changes(ctx context.Context, after connector.Cursor) (connector.Page, error) {
	return v.changes(ctx, after)
}

func (v *vendor) count(key string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.reads[key]
}

// whole is a record as a read gives it.
func whole(key string, nth int) connector.Record {
	body, _ := json.Marshal(map[string]any{"id": key, "nth": nth})
	return connector.Record{
		Kind: connector.KindRecord, Key: key, Body: body,
		Version: connector.Version{Scale: connector.ScaleRead, Value: time.Now().UTC().Format(time.RFC3339Nano)},
	}
}

// world is a poller on a real broker.
type world struct {
	t      *testing.T
	srv    *bus.Server
	bus    *bus.Bus
	codec  record.Codec
	vendor *vendor
	deps   Deps
	dead   atomic.Int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	srv := testkit.JetStream(t)
	b := testkit.Bus(t, srv, bus.Names{Sources: []string{"hr"}})
	master, err := seal.ParseMaster(seal.NewMaster())
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.New(t.Context(), &seal.Memory{}, master, seal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, srv: srv, bus: b, codec: record.Codec{Sealer: sealer, Company: "acme"}, vendor: &vendor{reads: map[string]int{}, running: map[string]int{}}}
	w.deps = Deps{
		Bus: b, Codec: w.codec, Company: "acme", Config: "c1", Source: "hr", Reader: w.vendor, InFlight: 4, Clock: clock.System{},
		Log: testkit.Log(t), Tracer: noop.NewTracerProvider().Tracer(""), Dead: func() { w.dead.Add(1) },
	}
	return w
}

// start runs a poller; the result stops it and waits for its end.
func (w *world) start() (stop func()) {
	w.t.Helper()
	p := New(w.deps)
	p.first = 5 * time.Millisecond
	return w.run(p)
}

// run runs a poller as start does.
func (w *world) run(p *Poller) (stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				if err != nil {
					w.t.Errorf("Run: %v", err)
				}
			case <-time.After(20 * time.Second):
				w.t.Error("the poller did not end")
			}
		})
	}
	w.t.Cleanup(stop)
	return stop
}

// hint asks for a key; id tells hints of one key apart.
func (w *world) hint(key, id, event string) {
	w.t.Helper()
	w.tell("hr", key, id, event)
}

// tell asks for a key of an account.
func (w *world) tell(account, key, id, event string) {
	w.t.Helper()
	msg, err := w.codec.Ask(w.t.Context(), account, connector.Record{Kind: connector.KindHint, Key: key, ID: id, Event: event}, time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.bus.Publish(w.t.Context(), topology.Hints, bus.Out{Subject: msg.Subject, Event: msg.Event}); err != nil {
		w.t.Fatal(err)
	}
}

// stored are the messages of a stream on a subject, oldest first.
func (w *world) stored(stream, filter string) []bus.In {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.t.Context()), 20*time.Second)
	defer cancel()
	var all []bus.In
	if err := w.bus.Each(ctx, stream, filter, func(in bus.In) error { all = append(all, in); return nil }); err != nil {
		w.t.Fatalf("read %s: %v", stream, err)
	}
	return all
}

// records are the records of a key in RAW.
func (w *world) records(key string) (all []record.Received) {
	w.t.Helper()
	token := w.codec.Token("hr", key)
	for _, in := range w.stored(topology.Raw, topology.RawRecord("hr", token)) {
		r, err := w.codec.OpenReceived(w.t.Context(), token, in.Event)
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// until asks until cond holds: what it waits for has no signal of its own.
func (w *world) until(what string, cond func() bool) {
	w.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !cond(); <-tick.C {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// settled waits until no hint is left.
func (w *world) settled() {
	w.t.Helper()
	w.until("the hints to be done", func() bool {
		s, err := w.bus.StreamState(w.t.Context(), topology.Hints)
		if err != nil {
			w.t.Fatal(err)
		}
		return s.Messages == 0
	})
}
