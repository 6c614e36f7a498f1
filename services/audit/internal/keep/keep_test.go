package keep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/ledger"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/testkit"
	"github.com/muster-hr/muster/libs/topology"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(stopping{m})
}

type stopping struct{ *testing.M }

func (s stopping) Run() int {
	defer testkit.StopPostgres()
	return s.M.Run()
}

func master(t testing.TB) seal.Master {
	t.Helper()
	m, err := seal.ParseMaster(seal.NewMaster())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// bench is a broker, a database and what was counted.
type bench struct {
	t      *testing.T
	srv    *bus.Server
	bus    *bus.Bus
	ledger *ledger.Ledger
	conn   *pgx.Conn
}

func setup(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, srv: testkit.JetStream(t)}
	b.bus = testkit.Bus(t, b.srv, testkit.SmallCompany())
	dsn := testkit.Postgres(t)
	var err error
	if b.ledger, err = ledger.Open(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.ledger.Close)
	if b.conn, err = pgx.Connect(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.conn.Close(context.Background()) })
	return b
}

// keeper is a running one.
type keeper struct {
	rows <-chan int    // rows added, batch by batch
	done chan struct{} // closed at its end
	err  error         // after done
	stop func()
}

// run starts a keeper. die, if set, is asked after each commit.
func (b *bench) run(streams []string, die func(stream string) error) *keeper {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	added := make(chan int, 10_000)
	r := &keeper{rows: added, done: make(chan struct{})}
	k := New(b.bus, b.ledger, Options{
		Streams: streams, Batch: 64, Within: 5 * time.Millisecond, Log: testkit.Log(b.t),
		Metrics: Metrics{Rows: func(_ string, n int) { added <- n }},
	})
	k.committed = die
	go func() { defer close(r.done); r.err = k.Run(ctx) }()
	r.stop = func() { cancel(); <-r.done }
	b.t.Cleanup(r.stop)
	return r
}

// await waits until n rows were added.
func (b *bench) await(rows <-chan int, n int) {
	b.t.Helper()
	timeout := time.After(30 * time.Second)
	for got := 0; got < n; {
		select {
		case m := <-rows:
			got += m
		case <-timeout:
			b.t.Fatalf("%d rows, want %d", got, n)
		}
	}
}

func (b *bench) publish(stream, subject string, n int) {
	b.t.Helper()
	var futures []*bus.Future
	for i := range n {
		f, err := b.bus.PublishAsync(b.t.Context(), stream, bus.Out{Subject: subject, Event: event.New(
			fmt.Sprintf("%s-%d", subject, i), "/muster/test/x", event.DeliveryCompletedV1, sealed(b.t, fmt.Sprintf(`{"attempt":%d,"outcome":"applied"}`, i)))})
		if err != nil {
			b.t.Fatal(err)
		}
		futures = append(futures, f)
	}
	for _, f := range futures {
		if _, err := f.Wait(b.t.Context()); err != nil {
			b.t.Fatal(err)
		}
	}
}

// whole checks that each message of a stream has one row.
func (b *bench) whole(stream string, want int) {
	b.t.Helper()
	var n, distinct, last int
	err := b.conn.QueryRow(b.t.Context(), `SELECT count(*), count(DISTINCT seq), coalesce(max(seq), 0) FROM audit_records WHERE stream = $1`, stream).Scan(&n, &distinct, &last)
	if err != nil || n != want || distinct != want || last != want {
		b.t.Errorf("%s: %d rows, %d sequences up to %d, %v; want %d of each", stream, n, distinct, last, err, want)
	}
	if _, err := b.ledger.VerifyChain(b.t.Context()); err != nil {
		b.t.Error(err)
	}
}

func TestEveryStreamIsWrittenDown(t *testing.T) {
	b := setup(t)
	subjects := map[string]string{
		topology.Raw: "hr.raw.bamboohr.k", topology.People: "hr.employee.e", topology.Delivered: "hr.delivered.okta.e",
		topology.Parked: "hr.parked.okta.e", topology.Dead: "hr.dead.deliver.iam.e.x", topology.Decisions: "hr.decide.transform.release",
		topology.Audit: "hr.audit.ingress.refused", topology.Surveys: "hr.survey.s.r", "TEAM_bi": "hr.team.bi.hired.e",
	}
	streams := make([]string, 0, len(subjects))
	for stream, subject := range subjects {
		streams = append(streams, stream)
		b.publish(stream, subject, 5)
	}
	r := b.run(streams, nil)
	b.await(r.rows, 5*len(streams))
	if r.stop(); r.err != nil {
		t.Error(r.err)
	}
	for _, s := range streams {
		b.whole(s, 5)
	}
}

// The process dies again and again after a commit and before the
// acknowledgement: what was committed comes again and adds nothing.
func TestOneRowEachThroughCrashes(t *testing.T) {
	b := setup(t)
	const n = 500
	b.publish(topology.Delivered, "hr.delivered.okta.e", n)
	crashed := errors.New("crashed")
	for range 4 {
		var commits atomic.Int32
		r := b.run([]string{topology.Delivered}, func(string) error {
			if commits.Add(1) == 2 {
				return crashed
			}
			return nil
		})
		if <-r.done; !errors.Is(r.err, crashed) {
			t.Fatalf("ended with %v", r.err)
		}
	}
	b.finish(topology.Delivered, n)
	b.whole(topology.Delivered, n)
}

func TestOneRowEachThroughARestartOfTheBroker(t *testing.T) {
	b := setup(t)
	const n = 1000
	b.publish(topology.Delivered, "hr.delivered.okta.e", n)
	var once sync.Once
	half := make(chan struct{})
	r := b.run([]string{topology.Delivered}, func(string) error { once.Do(func() { close(half) }); return nil })
	<-half
	if err := b.srv.Restart(); err != nil {
		t.Fatal(err)
	}
	b.await(r.rows, n)
	r.stop()
	b.whole(topology.Delivered, n)
}

// While the database is away nothing is lost and nothing acknowledged; the
// keeper says that it cannot write.
func TestDatabaseAway(t *testing.T) {
	b := setup(t)
	if err := b.ledger.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.conn.Exec(t.Context(), `ALTER TABLE chain_heads RENAME TO away`); err != nil {
		t.Fatal(err)
	}
	b.publish(topology.Delivered, "hr.delivered.okta.e", 10)
	failing := make(chan struct{})
	var once sync.Once
	k := New(b.bus, b.ledger, Options{Streams: []string{topology.Delivered}, Log: slog.New(onError(func() { once.Do(func() { close(failing) }) }))})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	t.Cleanup(cancel)
	<-failing
	if got := k.State(); got != "cannot write" {
		t.Errorf("state = %q", got)
	}
	if s, err := b.bus.ConsumerState(t.Context(), topology.Delivered, topology.AuditAll); err != nil || s.AckFloor != 0 {
		t.Errorf("acknowledged up to %d, %v", s.AckFloor, err)
	}
	if _, err := b.conn.Exec(t.Context(), `ALTER TABLE away RENAME TO chain_heads`); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	b.finish(topology.Delivered, 10)
	b.whole(topology.Delivered, 10)
}

// While the database was away the time for an acknowledgement went by: what the
// server had given out comes again, behind itself and before what is newer.
func TestOneRowEachWhenTheServerBecameImpatient(t *testing.T) {
	b := setup(t)
	if err := b.ledger.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.publish(topology.Delivered, "hr.delivered.okta.e", 10)
	feed, err := b.bus.Feed(t.Context(), bus.FeedOptions{Stream: topology.Delivered, Durable: topology.AuditAll})
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	ins, err := feed.NextBatch(t.Context(), nil, 10, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	k := New(b.bus, b.ledger, Options{Log: testkit.Log(t)})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, batch := range [][]bus.In{ins[:4], slices.Concat(ins[2:8], ins[2:6]), slices.Concat(ins[6:8], ins[8:])} {
		if err := k.keep(ctx, feed, topology.Delivered, batch, make([]ledger.Record, len(batch))); err != nil {
			t.Fatal(err)
		}
	}
	b.whole(topology.Delivered, 10)
	for s := (bus.ConsumerState{}); s.AckFloor < 10; {
		if s, err = b.bus.ConsumerState(ctx, topology.Delivered, topology.AuditAll); err != nil {
			t.Fatal(err)
		}
	}
}

// onError is a log that calls f for every error.
type onError func()

func (f onError) Enabled(context.Context, slog.Level) bool { return true }
func (f onError) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		f()
	}
	return nil
}
func (f onError) WithAttrs([]slog.Attr) slog.Handler { return f }
func (f onError) WithGroup(string) slog.Handler      { return f }

// finish runs a keeper until the chain of a stream is at a sequence.
func (b *bench) finish(stream string, seq uint64) {
	b.t.Helper()
	there := errors.New("there")
	r := b.run([]string{stream}, func(string) error {
		heads, err := b.ledger.Heads(context.Background())
		if err != nil {
			return err
		}
		if slices.ContainsFunc(heads, func(h ledger.Head) bool { return h.Stream == stream && h.Seq >= seq }) {
			return there
		}
		return nil
	})
	select {
	case <-r.done:
		if !errors.Is(r.err, there) {
			b.t.Fatalf("ended with %v", r.err)
		}
	case <-time.After(30 * time.Second):
		b.t.Fatalf("%s did not reach %d", stream, seq)
	}
}
