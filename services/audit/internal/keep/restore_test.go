package keep

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/testkit"
	"github.com/muster-hr/muster/libs/topology"
)

// lose takes the end of a chain away, as a database does that fails over to a
// copy that lags, or is restored.
func (b *bench) lose(stream string, from int) {
	b.t.Helper()
	for _, sql := range []string{
		`SET session_replication_role = replica`, // no triggers
		`DELETE FROM audit_records WHERE stream = $1 AND seq >= $2`,
		`UPDATE chain_heads h SET (seq, at, hash, rows) = (SELECT seq, at, hash, (SELECT count(*) FROM audit_records WHERE stream = $1)
			FROM audit_records WHERE stream = $1 ORDER BY seq DESC LIMIT 1) WHERE stream = $1 AND $2 > 0`,
		`RESET session_replication_role`,
	} {
		var args []any
		if sql[0] == 'D' || sql[0] == 'U' {
			args = []any{stream, from}
		}
		if _, err := b.conn.Exec(b.t.Context(), sql, args...); err != nil {
			b.t.Fatal(err)
		}
	}
}

// restorer runs a keeper of one stream that tells of losses.
func (b *bench) restorer(stream string) (rows <-chan int, lost <-chan uint64, stop func()) {
	b.t.Helper()
	sealer, err := seal.New(b.t.Context(), &seal.Memory{}, master(b.t), seal.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	added, gone := make(chan int, 1000), make(chan uint64, 10)
	k := New(b.bus, b.ledger, Options{
		Codec: &record.Codec{Sealer: sealer, Company: "acme"}, Streams: []string{stream}, Batch: 64, Within: 5 * time.Millisecond, Log: testkit.Log(b.t),
		Metrics: Metrics{Rows: func(_ string, n int) { added <- n }, Lost: func(_ string, n uint64) { gone <- n }},
	})
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	stop = func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	}
	return added, gone, stop
}

// acknowledged waits until the audit is done with a stream up to a sequence.
func (b *bench) acknowledged(stream string, seq uint64) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 20*time.Second)
	defer cancel()
	for s := (bus.ConsumerState{}); s.AckFloor < seq; {
		var err error
		if s, err = b.bus.ConsumerState(ctx, stream, topology.AuditAll); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *bench) notes() (all []loss) {
	b.t.Helper()
	err := b.bus.Each(b.t.Context(), topology.Audit, topology.AuditOf("audit", "rows_lost"), func(in bus.In) error {
		var l loss
		head, err := seal.Head(in.Event.Data())
		if err == nil {
			err = json.Unmarshal(head, &l)
		}
		all = append(all, l)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return all
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// A database that was restored has lost what the broker believes to be written
// down. What is still there is read again, the rest is told.
func TestDatabaseIsRestored(t *testing.T) {
	for _, c := range []struct {
		name    string
		trimmed uint64 // up to it the stream has nothing
		rows    int
		gone    uint64
	}{{name: "all is there", rows: 100}, {name: "some is trimmed", trimmed: 70, rows: 90, gone: 10}} {
		t.Run(c.name, func(t *testing.T) {
			b := setup(t)
			b.publish(topology.Delivered, "hr.delivered.okta.e", 100)
			rows, _, stop := b.restorer(topology.Delivered)
			b.await(rows, 100)
			b.acknowledged(topology.Delivered, 100)
			stop()
			b.lose(topology.Delivered, 61)
			if err := b.bus.Purge(t.Context(), topology.Delivered, "hr.delivered.okta.e", c.trimmed+1); err != nil {
				t.Fatal(err)
			}
			_, lost, stop := b.restorer(topology.Delivered)
			if gone := receive(t, lost); gone != c.gone {
				t.Errorf("%d are gone, want %d", gone, c.gone)
			}
			stop()
			b.has(topology.Delivered, c.rows, 100)
			if d := cmp.Diff([]loss{{topology.Delivered, 61, 100}}, b.notes()); d != "" {
				t.Errorf("notes (-want +got):\n%s", d)
			}
		})
	}
}

// The same while the audit runs: the next commit finds it.
func TestDatabaseFailsOver(t *testing.T) {
	b := setup(t)
	b.publish(topology.Delivered, "hr.delivered.okta.e", 100)
	rows, lost, stop := b.restorer(topology.Delivered)
	defer stop()
	b.await(rows, 100)
	b.lose(topology.Delivered, 61)
	b.publish(topology.Delivered, "hr.delivered.okta.e", 1)
	if gone := receive(t, lost); gone != 0 {
		t.Errorf("%d are gone", gone)
	}
	b.await(rows, 41)
	b.has(topology.Delivered, 101, 101)
}

// What is replaced before it was read counts as acknowledged and has no row:
// that is no loss.
func TestReplacedIsNotLost(t *testing.T) {
	b := setup(t)
	for i := range 5 {
		out := bus.Out{Subject: "hr.parked.okta.e", Rollup: true, Event: event.New(string(rune('a'+i)), "/muster/test/x", event.DeliveryParkedV1, sealed(t, `{}`))}
		if _, err := b.bus.Publish(t.Context(), topology.Parked, out); err != nil {
			t.Fatal(err)
		}
	}
	rows, _, stop := b.restorer(topology.Parked)
	b.await(rows, 1)
	b.acknowledged(topology.Parked, 5)
	if err := b.bus.Purge(t.Context(), topology.Parked, "hr.parked.okta.e", 6); err != nil {
		t.Fatal(err)
	}
	stop()
	b.publish(topology.Parked, "hr.parked.okta.x", 1) // replaced while the audit is away
	if err := b.bus.Purge(t.Context(), topology.Parked, "hr.parked.okta.x", 7); err != nil {
		t.Fatal(err)
	}
	b.publish(topology.Parked, "hr.parked.okta.y", 1)
	rows, lost, stop := b.restorer(topology.Parked)
	b.await(rows, 1)
	stop()
	if len(lost) > 0 || len(b.notes()) > 0 {
		t.Errorf("%d losses, notes %v", len(lost), b.notes())
	}
}

// has checks the number of rows of a stream, the last sequence and the chain.
func (b *bench) has(stream string, rows, last int) {
	b.t.Helper()
	var n, end int
	if err := b.conn.QueryRow(b.t.Context(), `SELECT count(*), max(seq) FROM audit_records WHERE stream = $1`, stream).Scan(&n, &end); err != nil {
		b.t.Fatal(err)
	}
	if n != rows || end != last {
		b.t.Errorf("%s: %d rows up to %d, want %d up to %d", stream, n, end, rows, last)
	}
	if _, err := b.ledger.VerifyChain(b.t.Context()); err != nil {
		b.t.Error(err)
	}
}
