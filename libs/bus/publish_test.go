package bus_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/testkit"
	"github.com/muster-hr/muster/libs/topology"
	"go.opentelemetry.io/otel/trace"
	"pgregory.net/rapid"
)

func out(subject, id string) bus.Out {
	return bus.Out{Subject: subject, Event: event.New(id, "/muster/test/it", "hr.test.done.v1", []byte(`{"id":"`+id+`"}`))}
}

func expecting(m bus.Out, seq uint64) bus.Out { m.Expect = &seq; return m }

func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestPublishAndReadBack(t *testing.T) {
	b := testkit.Bus(t, testkit.JetStream(t), testkit.SmallCompany())
	sc := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	ctx := trace.ContextWithSpanContext(deadline(t), sc)

	seq, err := b.Publish(ctx, topology.Raw, out(topology.RawRecord("bamboohr", "k1"), "e 1%"))
	if err != nil || seq != 1 {
		t.Fatalf("seq %d, %v", seq, err)
	}
	in, err := b.Last(ctx, topology.Raw, "hr.raw.*.k1")
	if err != nil {
		t.Fatal(err)
	}
	if in.Err != nil || in.Event.ID() != "e 1%" || in.Stream != topology.Raw || in.Subject != "hr.raw.bamboohr.k1" || in.Seq != 1 || in.At.IsZero() {
		t.Errorf("read %+v", in)
	}
	if got := trace.SpanContextFromContext(in.Context(context.Background())); got.TraceID() != sc.TraceID() || got.SpanID() != sc.SpanID() || !got.IsRemote() {
		t.Errorf("trace %v of %q", got, in.Traceparent)
	}
	if _, err := b.Get(ctx, topology.Raw, 2); !errors.Is(err, bus.ErrNotFound) {
		t.Errorf("a message that is not there: %v", err)
	}
	if _, err := b.Last(ctx, topology.Raw, "hr.raw.bamboohr.k2"); !errors.Is(err, bus.ErrNotFound) {
		t.Errorf("a subject that is not there: %v", err)
	}
	if _, err := b.Publish(ctx, topology.People, out(topology.RawRecord("bamboohr", "k1"), "e2")); err == nil {
		t.Error("a message for another stream was taken")
	}
	for _, subject := range []string{"", "hr.raw.*.k", "hr.raw.a b.k"} {
		if _, err := b.Publish(ctx, topology.Raw, out(subject, "e3")); err == nil {
			t.Errorf("subject %q was taken", subject)
		}
	}
}

// A group of many callers, some of whom expect something wrong: each gets what
// he would have got alone, and the log holds exactly what was acknowledged.
func TestGroupsAgreeWithModel(t *testing.T) {
	b := testkit.Connect(t, testkit.JetStream(t), bus.Options{Name: "test", Crossing: 4, Linger: map[string]time.Duration{}})
	ctx := deadline(t)
	if err := bus.Ensure(ctx, b, bus.PlanFor(testkit.SmallCompany())); err != nil {
		t.Fatal(err)
	}
	model := newModel()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		type call struct {
			m      bus.Out
			expect string // none, right or wrong
		}
		calls := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) call {
			n++
			subject := "hr.employee." + rapid.StringMatching(`[a-h]`).Draw(t, "id")
			return call{out(subject, fmt.Sprint("e", n)), rapid.SampledFrom([]string{"none", "right", "wrong", "wild"}).Draw(t, "expect")}
		}), 1, 60).Draw(t, "calls")

		// The first call of each subject knows what to expect; a later one in the
		// same burst cannot know the sequence, so its expectation is stale.
		futures := make([]*bus.Future, len(calls))
		fresh := make(map[string]bool)
		want := make([]bool, len(calls)) // is it stored?
		for i, c := range calls {
			last := model.last[c.m.Subject]
			wasFresh := !fresh[c.m.Subject]
			switch c.expect {
			case "none":
				want[i] = true
			case "right":
				c.m = expecting(c.m, last)
				want[i] = wasFresh
			case "wrong":
				c.m = expecting(c.m, last+1_000_000)
			case "wild":
				c.m = expecting(c.m, last)
				c.m.ExpectOn = "*.employee." + topology.Last(c.m.Subject)
				want[i] = wasFresh
			}
			if want[i] {
				fresh[c.m.Subject] = true
			}
			f, err := b.PublishAsync(ctx, topology.People, c.m)
			if err != nil {
				t.Fatal(err)
			}
			futures[i] = f
		}
		seqs := make(map[string]uint64)
		for i, f := range futures {
			seq, err := f.Wait(ctx)
			switch {
			case want[i] && err != nil:
				t.Fatalf("call %d of %d (%s): %v", i, len(calls), calls[i].expect, err)
			case !want[i] && !errors.Is(err, bus.ErrConflict):
				t.Fatalf("call %d of %d (%s): want a conflict, got %d, %v", i, len(calls), calls[i].expect, seq, err)
			case want[i]:
				subject := calls[i].m.Subject
				if seq <= seqs[subject] {
					t.Fatalf("call %d of %s stored as %d, an earlier one as %d", i, subject, seq, seqs[subject])
				}
				seqs[subject] = seq
				model.add(t, seq, subject, calls[i].m.Event.ID())
			}
		}
	})
	model.compare(t, ctx, b)
}

type model struct {
	last map[string]uint64
	log  map[uint64][2]string // sequence → subject, id
}

func newModel() *model { return &model{make(map[string]uint64), make(map[uint64][2]string)} }

func (m *model) add(t interface{ Fatalf(string, ...any) }, seq uint64, subject, id string) {
	if _, twice := m.log[seq]; twice {
		t.Fatalf("sequence %d was given twice", seq)
	}
	m.log[seq] = [2]string{subject, id}
	m.last[subject] = max(m.last[subject], seq)
}

func (m *model) compare(t *testing.T, ctx context.Context, b *bus.Bus) {
	t.Helper()
	stored := make(map[uint64][2]string)
	var before uint64
	err := b.Each(ctx, topology.People, "hr.employee.>", func(in bus.In) error {
		if in.Seq <= before {
			t.Errorf("%d read after %d", in.Seq, before)
		}
		before = in.Seq
		stored[in.Seq] = [2]string{in.Subject, in.Event.ID()}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(stored) != len(m.log) {
		t.Errorf("%d messages stored, %d acknowledged", len(stored), len(m.log))
	}
	for seq, want := range m.log {
		if stored[seq] != want {
			t.Errorf("sequence %d holds %v, acknowledged was %v", seq, stored[seq], want)
		}
	}
	lasts := 0
	err = b.EachLast(ctx, topology.People, "hr.employee.>", func(in bus.In) error {
		lasts++
		if in.Seq != m.last[in.Subject] {
			t.Errorf("last of %s is %d, want %d", in.Subject, in.Seq, m.last[in.Subject])
		}
		return nil
	})
	if err != nil || lasts != len(m.last) {
		t.Errorf("%d of %d last messages, %v", lasts, len(m.last), err)
	}
}

func TestAtomicIsAllOrNothing(t *testing.T) {
	for _, d := range []bus.Durability{bus.Fsync, bus.Replicated, bus.OS} {
		t.Run(string(d), func(t *testing.T) {
			srv := testkit.JetStream(t)
			testkit.Bus(t, srv, testkit.SmallCompany())
			b := testkit.Connect(t, srv, bus.Options{Name: "test2", Durability: d})
			ctx := deadline(t)
			said := out(topology.Said("bamboohr", "k"), "s1")
			said.Rollup = true
			last, err := b.PublishAtomic(ctx, topology.People, []bus.Out{
				expecting(out(topology.Employee("a"), "a1"), 0), said, expecting(out(topology.Match("email", "x"), "m1"), 0),
			})
			if err != nil || last != 3 {
				t.Fatalf("last %d, %v", last, err)
			}
			_, err = b.PublishAtomic(ctx, topology.People, []bus.Out{
				expecting(out(topology.Employee("a"), "a2"), 1),
				expecting(out(topology.Match("email", "x"), "m2"), 0), // taken
				out(topology.Leaver("a"), "l1"),
			})
			if !errors.Is(err, bus.ErrConflict) {
				t.Fatalf("want a conflict, got %v", err)
			}
			if s, err := b.StreamState(ctx, topology.People); err != nil || s.LastSeq != 3 || s.Messages != 3 {
				t.Errorf("stored in spite of it: %+v, %v", s, err)
			}
			_, err = b.PublishAtomic(ctx, topology.People, []bus.Out{
				expecting(out(topology.Employee("a"), "a2"), 1), out(topology.Employee("a"), "a3"),
			})
			if !errors.Is(err, bus.ErrConflict) {
				t.Errorf("a subject twice: %v", err)
			}
			if seq, err := b.Publish(ctx, topology.People, expecting(out(topology.Employee("a"), "a2"), 1)); err != nil || seq != 4 {
				t.Errorf("after it: %d, %v", seq, err)
			}
		})
	}
}

func TestPlainModesGiveEachItsVerdict(t *testing.T) {
	srv := testkit.JetStream(t)
	testkit.Bus(t, srv, testkit.SmallCompany())
	b := testkit.Connect(t, srv, bus.Options{Name: "test2", Durability: bus.OS})
	ctx := deadline(t)
	good, err := b.PublishAsync(ctx, topology.People, expecting(out("hr.employee.a", "1"), 0))
	if err != nil {
		t.Fatal(err)
	}
	bad, err := b.PublishAsync(ctx, topology.People, expecting(out("hr.employee.a", "2"), 0))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // Wait may be called again
		if seq, err := good.Wait(ctx); seq != 1 || err != nil {
			t.Errorf("first: %d, %v", seq, err)
		}
		if _, err := bad.Wait(ctx); !errors.Is(err, bus.ErrConflict) {
			t.Errorf("second: %v", err)
		}
	}
}

func TestPublishWhileServerIsAway(t *testing.T) {
	srv := testkit.JetStream(t)
	b := testkit.Bus(t, srv, testkit.SmallCompany())
	ctx := deadline(t)
	if _, err := b.Publish(ctx, topology.Raw, out("hr.raw.a.k", "1")); err != nil {
		t.Fatal(err)
	}
	srv.Shutdown()
	if _, err := b.Publish(ctx, topology.Raw, out("hr.raw.a.k", "2")); !errors.Is(err, bus.ErrUnavailable) {
		t.Errorf("want unavailable, got %v", err)
	}
	if _, err := b.Last(ctx, topology.Raw, "hr.raw.a.k"); !errors.Is(err, bus.ErrUnavailable) {
		t.Errorf("want unavailable, got %v", err)
	}
	if err := srv.Restart(); err != nil {
		t.Fatal(err)
	}
	for b.Ping(ctx) != nil {
		if ctx.Err() != nil {
			t.Fatal("not reconnected")
		}
	}
	var seq uint64
	var err error
	for seq, err = b.Publish(ctx, topology.Raw, out("hr.raw.a.k", "3")); errors.Is(err, bus.ErrUnavailable); seq, err = b.Publish(ctx, topology.Raw, out("hr.raw.a.k", "3")) {
		// JetStream of the restarted server is not ready yet
	}
	if err != nil || seq < 2 {
		t.Errorf("after the restart: %d, %v", seq, err)
	}
}

func TestQueueIsBounded(t *testing.T) {
	srv := testkit.JetStream(t)
	testkit.Bus(t, srv, testkit.SmallCompany())
	b := testkit.Connect(t, srv, bus.Options{Name: "test2", Queue: 50})
	ctx := deadline(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	busy, stored := 0, 0
	for i := range 2000 {
		f, err := b.PublishAsync(ctx, topology.Raw, out(fmt.Sprint("hr.raw.a.", i), "1"))
		if errors.Is(err, bus.ErrBusy) {
			busy++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if _, err := f.Wait(ctx); err == nil {
				mu.Lock()
				stored++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if busy == 0 || stored+busy != 2000 {
		t.Errorf("%d busy, %d stored of 2000", busy, stored)
	}
	if s, err := b.StreamState(ctx, topology.Raw); err != nil || s.Messages != uint64(stored) {
		t.Errorf("stream has %d, %d acknowledged, %v", s.Messages, stored, err)
	}
}

func TestCloseCommitsWhatWaits(t *testing.T) {
	srv := testkit.JetStream(t)
	watch := testkit.Bus(t, srv, testkit.SmallCompany())
	b := testkit.Connect(t, srv, bus.Options{Name: "test2"})
	ctx := deadline(t)
	var futures []*bus.Future
	for i := range 300 {
		f, err := b.PublishAsync(ctx, topology.Raw, out(fmt.Sprint("hr.raw.a.", i%7), fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		futures = append(futures, f)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for i, f := range futures {
		if _, err := f.Wait(ctx); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	if s, err := watch.StreamState(ctx, topology.Raw); err != nil || s.Messages != 300 {
		t.Errorf("%d of 300 stored, %v", s.Messages, err)
	}
	if _, err := b.Publish(ctx, topology.Raw, out("hr.raw.a.k", "x")); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("after close: %v", err)
	}
}
