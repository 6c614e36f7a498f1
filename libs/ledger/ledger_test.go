package ledger_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/ledger"
	"github.com/muster-hr/muster/libs/testkit"
	"github.com/muster-hr/muster/libs/topology"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// open gives a ledger with its tables, and a plain connection beside it.
func open(t testing.TB) (*ledger.Ledger, *pgx.Conn) {
	t.Helper()
	dsn := testkit.PostgresWith(t, "ledger", func(ctx context.Context, dsn string) error {
		l, err := ledger.Open(ctx, dsn)
		if err != nil {
			return err
		}
		defer l.Close()
		return errors.Join(l.Migrate(ctx), l.Ahead(ctx, noon))
	})
	l, err := ledger.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return l, conn
}

// change is a row as a test needs it, n seconds after noon.
func change(stream string, seq uint64, with func(*ledger.Record)) ledger.Record {
	r := ledger.Record{
		Stream: stream, Seq: seq, At: noon.Add(time.Duration(seq) * time.Second), Kind: ledger.KindChange,
		ID: fmt.Sprintf("id-%s-%d", stream, seq), Type: "hr.employee.updated.v1", Employee: "emp1", Subject: "hr.employee.emp1",
		Fields: []string{"name.given", "position.title"}, BodyHash: sha256.Sum256([]byte{byte(seq)}), Detail: []byte(`{"b": 1.0, "a":[1e2]}`),
	}
	if with != nil {
		with(&r)
	}
	return r
}

func changes(stream string, from, to uint64) (rs []ledger.Record) {
	for seq := from; seq <= to; seq++ {
		rs = append(rs, change(stream, seq, nil))
	}
	return rs
}

func add(t *testing.T, l *ledger.Ledger, rs ...ledger.Record) int {
	t.Helper()
	n, err := l.Append(t.Context(), rs[0].Stream, rs)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func sound(t *testing.T, l *ledger.Ledger, want int64) {
	t.Helper()
	if n, err := l.VerifyChain(t.Context()); err != nil || n != want {
		t.Errorf("verify: %d rows, %v; want %d", n, err, want)
	}
}

func TestAppendTakesEachSequenceOnce(t *testing.T) {
	l, _ := open(t)
	if n := add(t, l, changes("PEOPLE", 1, 5)...); n != 5 {
		t.Errorf("added %d, want 5", n)
	}
	if n := add(t, l, changes("PEOPLE", 1, 5)...); n != 0 {
		t.Errorf("added %d of a batch that came again, want 0", n)
	}
	if n := add(t, l, changes("PEOPLE", 3, 9)...); n != 4 {
		t.Errorf("added %d of an overlapping batch, want 4", n)
	}
	if n := add(t, l, changes("PEOPLE", 12, 13)...); n != 2 { // a stream may have gaps
		t.Errorf("added %d after a gap, want 2", n)
	}
	sound(t, l, 11)
	if _, err := l.Append(t.Context(), "PEOPLE", slices.Concat(changes("PEOPLE", 15, 15), changes("PEOPLE", 14, 14))); err == nil {
		t.Error("records out of order were taken")
	}
}

// Any cutting of a stream into batches, with any part of it coming again from
// an earlier place and from two writers, adds every record once.
func TestAppendAnyRedelivery(t *testing.T) {
	l, conn := open(t)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		stream := fmt.Sprintf("S%d", run)
		last := rapid.Uint64Range(1, 30).Draw(rt, "last")
		for next := uint64(1); next <= last; {
			from := rapid.Uint64Range(1, next).Draw(rt, "from")
			to := rapid.Uint64Range(from, last).Draw(rt, "to")
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() {
					if _, err := l.Append(context.Background(), stream, changes(stream, from, to)); err != nil {
						rt.Error(err)
					}
				})
			}
			wg.Wait()
			next = max(next, to+1)
		}
		var n, distinct uint64
		if err := conn.QueryRow(context.Background(), `SELECT count(*), count(DISTINCT seq) FROM audit_records WHERE stream = $1`, stream).Scan(&n, &distinct); err != nil {
			rt.Fatal(err)
		}
		if n != last || distinct != last {
			rt.Errorf("%d rows of %d sequences, want %d", n, distinct, last)
		}
	})
	if _, err := l.VerifyChain(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestStreamMadeAnew(t *testing.T) {
	l, _ := open(t)
	add(t, l, changes("PEOPLE", 1, 3)...)
	again := changes("PEOPLE", 1, 2)
	for i := range again {
		again[i].At = again[i].At.Add(time.Hour)
	}
	if n := add(t, l, again...); n != 2 {
		t.Errorf("added %d of the new stream, want 2", n)
	}
	if n := add(t, l, again...); n != 0 {
		t.Errorf("added %d of it again, want 0", n)
	}
	sound(t, l, 5)
}

func TestWhatPostgresCannotHoldIsCleaned(t *testing.T) {
	l, _ := open(t)
	long := strings.Repeat("x", 100_000)
	add(t, l, change("RAW", 1, func(r *ledger.Record) {
		r.Employee, r.Reason, r.Fields = "emp\x00\xff1", long, []string{"a\x00b"}
		r.Attempt, r.At = 1<<40, r.At.Add(123*time.Nanosecond)
		r.Detail = []byte("{\"a\":\"\\u0000\xff\\ud800\"}")
	}), change("RAW", 2, func(r *ledger.Record) { r.Detail = []byte("{") }))
	sound(t, l, 2)
	if lines, _, err := l.Timeline(t.Context(), "emp1", 0, ""); err != nil || len(lines) != 2 {
		t.Errorf("%d lines, %v", len(lines), err)
	}
}

func TestVerifyFindsWhatWasDone(t *testing.T) {
	for name, c := range map[string]struct {
		sql string
		seq uint64 // where it shows; 0: at the end
	}{
		"a changed text":       {`UPDATE audit_records SET outcome = 'applied' WHERE seq = 4`, 4},
		"a changed time":       {`UPDATE audit_records SET at = at + interval '1 microsecond' WHERE seq = 4`, 4},
		"a changed list":       {`UPDATE audit_records SET fields = fields[2:] WHERE seq = 4`, 4},
		"a changed head":       {`UPDATE audit_records SET detail = '{"b":1.0,"a":[1e2]}' WHERE seq = 4`, 4},
		"text moved across":    {`UPDATE audit_records SET class = outcome, outcome = class, reason = 'x' WHERE seq = 4`, 4},
		"a changed body":       {`UPDATE audit_records SET body_hash = sha256('other') WHERE seq = 4`, 4},
		"a removed row":        {`DELETE FROM audit_records WHERE seq = 4`, 5},
		"the first row":        {`DELETE FROM audit_records WHERE seq = 1`, 2},
		"a removed tail":       {`DELETE FROM audit_records WHERE seq >= 7`, 0},
		"all rows":             {`DELETE FROM audit_records`, 0},
		"tail and head":        {`DELETE FROM audit_records WHERE seq = 8; DELETE FROM chain_heads`, 0},
		"an added row":         {`INSERT INTO audit_records SELECT stream, life, 9, at, rank, kind, id, type, subject, event, change, employee, source, target, integration, key_token, version, fields, outcome, class, reason, attempt, path, rule, trace_id, config_version, purpose, legal_basis, processor, actor, body_hash, detail, hash FROM audit_records WHERE seq = 8`, 9},
		"two rows in exchange": {`UPDATE audit_records SET seq = 100 WHERE seq = 4; UPDATE audit_records SET seq = 4 WHERE seq = 5; UPDATE audit_records SET seq = 5 WHERE seq = 100`, 4},
	} {
		t.Run(name, func(t *testing.T) {
			l, conn := open(t)
			add(t, l, changes("PEOPLE", 1, 8)...)
			add(t, l, changes("RAW", 1, 2)...)
			sound(t, l, 10)
			// session_replication_role switches the triggers off: what a superuser can do.
			if _, err := conn.Exec(t.Context(), `SET session_replication_role = replica; `+strings.ReplaceAll(c.sql, "WHERE", "WHERE stream = 'PEOPLE' AND")); err != nil {
				t.Fatal(err)
			}
			_, err := l.VerifyChain(t.Context())
			broken, ok := errors.AsType[*ledger.Broken](err)
			if !ok || broken.Stream != "PEOPLE" && name != "tail and head" && name != "all rows" || broken.Seq != c.seq {
				t.Errorf("verify: %v, want PEOPLE broken at %d", err, c.seq)
			}
		})
	}
}

func TestAppendOnly(t *testing.T) {
	l, conn := open(t)
	late := change("PEOPLE", 3, func(r *ledger.Record) { r.At = noon.AddDate(5, 0, 0) }) // in the default partition
	rs := append(changes("PEOPLE", 1, 2), late)
	rs[0].Conflicts = []ledger.Conflict{{Path: "name.given", Rule: "authority", Winner: "bamboohr"}}
	add(t, l, rs...)
	for _, sql := range []string{
		`UPDATE audit_records SET reason = 'x'`, `DELETE FROM audit_records`, `TRUNCATE audit_records`,
		`UPDATE audit_records_2026_11 SET reason = 'x'`, `DELETE FROM audit_records_2026_11`, `TRUNCATE audit_records_2026_11`,
		`UPDATE audit_records_default SET reason = 'x'`, `DELETE FROM audit_records_default`, `TRUNCATE audit_records_default`,
		`UPDATE conflicts SET rule = 'x'`, `DELETE FROM conflicts`, `TRUNCATE conflicts`,
		`UPDATE chain_heads SET seq = 1`, `UPDATE chain_heads SET hash = ''`, `DELETE FROM chain_heads`, `TRUNCATE chain_heads`,
	} {
		_, err := conn.Exec(t.Context(), sql)
		if err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%s: %v, want it refused", sql, err)
		}
	}
	sound(t, l, 3)
}

func TestPartitionsAreMadeAheadOnce(t *testing.T) {
	l, conn := open(t)
	add(t, l, change("PEOPLE", 1, func(r *ledger.Record) { r.At = noon.AddDate(1, 0, 0) }))
	for _, now := range []time.Time{noon, noon, noon.AddDate(1, 0, 0), time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC)} {
		if err := l.Ahead(t.Context(), now); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := conn.Query(t.Context(), `SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit_records'::regclass ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	// November 2027 has a row in the default partition already.
	want := []string{"audit_records_2026_11", "audit_records_2026_12", "audit_records_2027_01", "audit_records_2027_02",
		"audit_records_2027_12", "audit_records_2028_01", "audit_records_default"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("partitions (-want +got):\n%s", diff)
	}
}

func TestMigrateByManyAtOnce(t *testing.T) {
	dsn := testkit.Postgres(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			l, err := ledger.Open(t.Context(), dsn)
			if err == nil {
				defer l.Close()
				err = l.Migrate(t.Context())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestOpenDoesNotRepeatTheURL(t *testing.T) {
	_, err := ledger.Open(t.Context(), "postgres://u:s3cret@127.0.0.1:port/x")
	if err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error = %v", err)
	}
}

// story appends the life of one employee in an order that is not that of time.
func story(t *testing.T, l *ledger.Ledger) {
	t.Helper()
	delivery := func(seq uint64, target, outcome string, attempt int, at time.Duration) ledger.Record {
		return change(topology.Delivered, seq, func(r *ledger.Record) {
			r.Kind, r.Type, r.Target, r.Outcome, r.Attempt = ledger.KindDelivery, "hr.delivery.completed.v1", target, outcome, attempt
			r.Change, r.Event, r.At = "hr.employee.hired.v1", "ev1", noon.Add(at)
		})
	}
	add(t, l,
		delivery(1, "okta", "intended", 1, 10*time.Second),
		delivery(2, "okta", "applied", 1, 11*time.Second),
		delivery(3, "payroll", "intended", 1, 12*time.Second), // no outcome yet
	)
	add(t, l,
		change(topology.People, 1, func(r *ledger.Record) { r.At, r.Type, r.ID = noon.Add(2*time.Second), "hr.employee.hired.v1", "ev1" }),
		change(topology.People, 2, func(r *ledger.Record) {
			r.At, r.Kind, r.Type, r.Source, r.Outcome = noon.Add(2*time.Second), ledger.KindRecord, "hr.record.stated.v1", "bamboohr", "applied"
			r.Conflicts = []ledger.Conflict{{Path: "pay.salary", Rule: "authority", Winner: "payroll"}, {Path: "name.given", Rule: "authority", Winner: "payroll"}}
		}),
		change(topology.People, 3, func(r *ledger.Record) { r.Employee = "emp2" }),
		change(topology.People, 4, func(r *ledger.Record) { r.Kind = ledger.KindOther }),
	)
}

func TestTimelineIsOrderedAndWhole(t *testing.T) {
	l, _ := open(t)
	story(t, l)
	type line struct{ Kind, Type, Target, Outcome, Field string }
	want := []line{
		{"change", "hr.employee.hired.v1", "", "", "name.given"},
		{"record", "hr.record.stated.v1", "", "applied", "name.given"},
		{"conflict", "", "", "refused", "pay.salary"},
		{"conflict", "", "", "refused", "name.given"},
		{"delivery", "hr.employee.hired.v1", "okta", "applied", "name.given"},
		{"delivery", "hr.employee.hired.v1", "payroll", "intended", "name.given"},
	}
	for _, limit := range []int{0, 1, 2, 3, 5, 6} {
		var got []line
		for after, pages := "", 0; pages == 0 || after != ""; pages++ {
			lines, next, err := l.Timeline(t.Context(), "emp1", limit, after)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range lines {
				got = append(got, line{e.Kind, e.Type, e.Target, e.Outcome, e.Fields[0]})
			}
			after = next
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pages of %d (-want +got):\n%s", limit, diff)
		}
	}
	if _, _, err := l.Timeline(t.Context(), "emp1", 0, "nonsense"); !errors.Is(err, ledger.ErrCursor) {
		t.Errorf("foreign cursor: %v", err)
	}
	if lines, _, err := l.Timeline(t.Context(), "nobody", 0, ""); err != nil || lines == nil || len(lines) != 0 {
		t.Errorf("nobody: %v, %v", lines, err)
	}
}

func TestAttemptsAndTrace(t *testing.T) {
	l, _ := open(t)
	story(t, l)
	got, err := l.Attempts(t.Context())
	if diff := cmp.Diff(map[string]map[string]int64{"okta": {"applied": 1}}, got); err != nil || diff != "" {
		t.Errorf("attempts: %v (-want +got):\n%s", err, diff)
	}
	add(t, l, change(topology.Raw, 1, func(r *ledger.Record) { r.TraceID, r.Employee = "t1", "x" }))
	if lines, err := l.Trace(t.Context(), "t1"); err != nil || len(lines) != 1 {
		t.Errorf("trace: %d, %v", len(lines), err)
	}
}

func TestDeadLettersOpenAndSettle(t *testing.T) {
	l, _ := open(t)
	letter := func(seq uint64, event string) ledger.Record {
		return change(topology.Dead, seq, func(r *ledger.Record) {
			r.Kind, r.Subject, r.Stage, r.Event, r.Target = ledger.KindOther, "hr.dead.deliver.int.emp1."+event, "deliver", event, "okta"
			r.Integration, r.Class, r.Reason, r.Attempt = "int", "record", "schema", 3
		})
	}
	add(t, l, letter(1, "e1"), letter(2, "e2"), letter(3, "e3"), letter(4, "e4"))
	settle := func(seq uint64, event, outcome string) ledger.Record {
		return change(topology.Delivered, seq, func(r *ledger.Record) {
			r.Kind, r.Target, r.Event, r.Outcome, r.At = ledger.KindDelivery, "okta", event, outcome, noon.Add(time.Hour)
		})
	}
	add(t, l, settle(1, "e1", "applied"), settle(2, "e2", "failed"), settle(3, "e3", "discarded"))

	var open []string
	for after, pages := "", 0; pages == 0 || after != ""; pages++ {
		letters, next, err := l.Dead(t.Context(), 1, after)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range letters {
			open = append(open, d.Event)
		}
		after = next
	}
	if diff := cmp.Diff([]string{"e4", "e2"}, open); diff != "" {
		t.Errorf("open, newest first (-want +got):\n%s", diff)
	}
	got, err := l.DeadLetter(t.Context(), "id-DEAD-3")
	want := ledger.DeadLetter{ID: "id-DEAD-3", Stage: "deliver", Integration: "int", Employee: "emp1", Event: "e3", Class: "record",
		Reason: "schema", Attempts: 3, At: noon.Add(3 * time.Second), Target: "okta", State: "discarded", SettledBy: "e3", Subject: "hr.dead.deliver.int.emp1.e3"}
	if diff := cmp.Diff(want, got, cmpopts.EquateApproxTime(0)); err != nil || diff != "" {
		t.Errorf("one letter: %v (-want +got):\n%s", err, diff)
	}
	if _, err := l.DeadLetter(t.Context(), "none"); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("none: %v", err)
	}
}

// A letter ends when a newer version arrives at a target that takes the newest
// state, and tells by which; at one that takes every change it stays, and so it
// does while nothing newer has arrived. It does not matter which of the two
// streams is written down first.
func TestANewerVersionSettlesDeadLetters(t *testing.T) {
	letters := func(newest bool) (rs []ledger.Record) {
		for i := range uint64(3) { // versions 1 to 3
			rs = append(rs, change(topology.Dead, i+1, func(r *ledger.Record) {
				r.Kind, r.Event, r.Version, r.Newest = ledger.KindOther, fmt.Sprint("e", i+1), int64(i+1), newest
				r.Subject, r.Stage, r.Target = "hr.dead.deliver.int.emp1."+r.Event, "deliver", "okta"
			}))
		}
		return rs
	}
	for name, c := range map[string]struct {
		newest bool
		with   func(*ledger.Record)
		want   map[string]string // open, or what it was settled by
	}{
		"newer":              {true, nil, map[string]string{"e1": "e3", "e2": "e3", "e3": "e3"}},
		"the one in between": {true, func(r *ledger.Record) { r.Event, r.Version = "e2", 2 }, map[string]string{"e1": "e2", "e2": "e2", "e3": "open"}},
		"every change":       {false, nil, map[string]string{"e1": "open", "e2": "open", "e3": "e3"}},
		"before the letter":  {true, func(r *ledger.Record) { r.At = noon }, map[string]string{"e1": "open", "e2": "open", "e3": "open"}},
		"another target":     {true, func(r *ledger.Record) { r.Target = "payroll" }, map[string]string{"e1": "open", "e2": "open", "e3": "open"}},
		"another person":     {true, func(r *ledger.Record) { r.Employee = "emp2" }, map[string]string{"e1": "open", "e2": "open", "e3": "open"}},
		"failed":             {true, func(r *ledger.Record) { r.Outcome = "failed" }, map[string]string{"e1": "open", "e2": "open", "e3": "open"}},
		"left":               {true, func(r *ledger.Record) { r.Outcome = "discarded" }, map[string]string{"e1": "open", "e2": "open", "e3": "e3"}},
	} {
		for _, first := range []string{topology.Dead, topology.Delivered} {
			t.Run(name+", "+first+" first", func(t *testing.T) {
				l, _ := open(t)
				arrived := change(topology.Delivered, 1, func(r *ledger.Record) {
					r.Kind, r.Target, r.Event, r.Version, r.Outcome, r.At = ledger.KindDelivery, "okta", "e3", 3, "applied", noon.Add(time.Hour)
					r.Newest = c.newest
				})
				if c.with != nil {
					c.with(&arrived)
				}
				if first == topology.Delivered {
					add(t, l, arrived)
				}
				add(t, l, letters(c.newest)...)
				if first == topology.Dead {
					add(t, l, arrived)
				}
				got := map[string]string{}
				for seq := 1; seq <= 3; seq++ {
					d, err := l.DeadLetter(t.Context(), fmt.Sprint("id-DEAD-", seq))
					if err != nil {
						t.Fatal(err)
					}
					if got[d.Event] = d.SettledBy; d.State == "open" {
						got[d.Event] = "open" + d.SettledBy
					}
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("settled by (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// Both streams at the same time: whichever comes second sees the other.
func TestDeadLettersSettleWhileTheyAreWritten(t *testing.T) {
	l, _ := open(t)
	for n := range uint64(30) {
		event, seq := fmt.Sprint("e", n), n+1
		letter := change(topology.Dead, seq, func(r *ledger.Record) {
			r.Kind, r.Event, r.Subject, r.Stage, r.Target = ledger.KindOther, event, "hr.dead.deliver.int.emp1."+event, "deliver", "okta"
		})
		arrived := change(topology.Delivered, seq, func(r *ledger.Record) {
			r.Kind, r.Target, r.Event, r.Outcome, r.At = ledger.KindDelivery, "okta", event, "applied", noon.Add(time.Hour)
		})
		var wg sync.WaitGroup
		for _, r := range []ledger.Record{letter, arrived} {
			wg.Go(func() {
				if _, err := l.Append(t.Context(), r.Stream, []ledger.Record{r}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	if letters, _, err := l.Dead(t.Context(), 0, ""); err != nil || len(letters) > 0 {
		t.Errorf("%d letters are open, %v", len(letters), err)
	}
}

// A batch with a row that cannot be stored leaves nothing behind.
func TestAppendIsAllOrNothing(t *testing.T) {
	l, conn := open(t)
	add(t, l, changes("PEOPLE", 1, 1)...)
	rs := changes("PEOPLE", 2, 50)
	rs[rand.IntN(len(rs))].At = time.Date(300_000, 1, 1, 0, 0, 0, 0, time.UTC) // out of the range of timestamptz
	if _, err := l.Append(t.Context(), "PEOPLE", rs); err == nil {
		t.Fatal("an impossible time was stored")
	}
	var n int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM audit_records`).Scan(&n); err != nil || n != 1 {
		t.Errorf("%d rows, %v; want 1", n, err)
	}
	add(t, l, changes("PEOPLE", 2, 50)...)
	sound(t, l, 50)
}

// A database that does not answer any more, not even with a refusal, does not
// hold up the end of a service.
func TestCloseWhileTheDatabaseIsSilent(t *testing.T) {
	dsn := testkit.Postgres(t)
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	back := u.Host
	var silent atomic.Bool
	go func() {
		for {
			client, err := front.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", back)
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { _, _ = client.Close(), server.Close() })
			pass := func(to io.Writer, from io.Reader) {
				for buf := make([]byte, 4096); ; {
					n, err := from.Read(buf)
					if err != nil {
						return
					}
					if !silent.Load() {
						_, _ = to.Write(buf[:n])
					}
				}
			}
			go pass(server, client)
			go pass(client, server)
		}
	}()
	u.Host = front.Addr().String()
	l, err := ledger.Open(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	silent.Store(true)
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := l.Ping(short); err == nil {
		t.Fatal("it answers")
	}
	begun := time.Now()
	l.Close()
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("closed after %s", took)
	}
}

func FuzzCursor(f *testing.F) {
	f.Add("eyJhIjoiMjAyNi0xMS0yNFQxMjowMDowMFoifQ")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if err := ledger.CheckCursor(s); err != nil && !errors.Is(err, ledger.ErrCursor) {
			t.Error(err)
		}
	})
}
