package bus_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/testkit"
	"github.com/muster-hr/muster/libs/topology"
)

func publish(t testing.TB, b *bus.Bus, stream string, ms ...bus.Out) {
	t.Helper()
	ctx := deadline(t)
	futures := make([]*bus.Future, len(ms))
	for i, m := range ms {
		f, err := b.PublishAsync(ctx, stream, m)
		if err != nil {
			t.Fatal(err)
		}
		futures[i] = f
	}
	for _, f := range futures {
		if _, err := f.Wait(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// employees makes n messages, employee i%keys each, with ids 1 to n.
func employees(n, keys int) []bus.Out {
	ms := make([]bus.Out, n)
	for i := range ms {
		ms[i] = out(topology.Employee(fmt.Sprint("p", i%keys)), fmt.Sprint(i+1))
	}
	return ms
}

func feed(t testing.TB, b *bus.Bus, o bus.FeedOptions) *bus.Feed {
	t.Helper()
	f, err := b.Feed(deadline(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func okta() bus.FeedOptions {
	return bus.FeedOptions{Stream: topology.People, Durable: topology.DeliveryPeople("okta")}
}

func next(t testing.TB, f *bus.Feed, want uint64) bus.In {
	t.Helper()
	in, err := f.Next(deadline(t))
	if err != nil || in.Seq != want {
		t.Fatalf("want message %d, got %d, %v", want, in.Seq, err)
	}
	return in
}

func TestFeedStartsAtAckFloor(t *testing.T) {
	b := testkit.Bus(t, testkit.JetStream(t), testkit.SmallCompany())
	publish(t, b, topology.People, employees(1000, 10)...)
	f := feed(t, b, okta())
	var ins []bus.In
	for i := range 1000 {
		in := next(t, f, uint64(i+1))
		if in.Event.ID() != fmt.Sprint(i+1) || in.Pending != uint64(999-i) || in.Delivered != 1 {
			t.Fatalf("message %d: %+v", i+1, in)
		}
		ins = append(ins, in)
	}
	if err := f.Ack(append(ins[:100:100], ins[500:]...)...); err != nil {
		t.Fatal(err)
	}
	f.Close()
	awaitFloor(t, b, okta(), 100)
	// 101 is the first without an acknowledgement; what was acknowledged after it
	// comes again too, and no gap.
	f = feed(t, b, okta())
	for seq := uint64(101); seq <= 1000; seq++ {
		next(t, f, seq)
	}
}

func awaitFloor(t testing.TB, b *bus.Bus, o bus.FeedOptions, want uint64) {
	t.Helper()
	ctx := deadline(t)
	for {
		s, err := b.ConsumerState(ctx, o.Stream, o.Durable)
		if err != nil {
			t.Fatalf("floor %d, want %d: %v", s.AckFloor, want, err)
		}
		if s.AckFloor == want {
			return
		}
	}
}

func TestFeedResetsOnceAfterReconnect(t *testing.T) {
	srv := testkit.JetStream(t)
	b := testkit.Bus(t, srv, testkit.SmallCompany())
	publish(t, b, topology.People, employees(300, 10)...)
	f := feed(t, b, okta())
	for seq := uint64(1); seq <= 50; seq++ {
		in := next(t, f, seq)
		if seq <= 20 {
			if err := f.Ack(in); err != nil {
				t.Fatal(err)
			}
		}
	}
	awaitFloor(t, b, okta(), 20)
	srv.Shutdown()
	restarted := make(chan error, 1)
	go func() { restarted <- srv.Restart() }()

	resets := 0
	var in bus.In
	for {
		var err error
		in, err = f.Next(deadline(t))
		if errors.Is(err, bus.ErrReset) {
			resets++
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := <-restarted; err != nil {
		t.Fatal(err)
	}
	in, err := f.Next(deadline(t))
	if err != nil || resets != 1 {
		t.Fatalf("after %d resets: %v", resets, err)
	}
	// Acknowledgements of the last moments may be forgotten, never invented.
	if in.Seq > 21 {
		t.Fatalf("goes on at %d, acknowledged were 20", in.Seq)
	}
	for seq := in.Seq + 1; seq <= 300; seq++ {
		next(t, f, seq)
	}
}

// A consumer that somebody else rewinds shows as a gap, never as a silent jump.
func TestFeedNoticesAnother(t *testing.T) {
	srv := testkit.JetStream(t)
	b := testkit.Bus(t, srv, testkit.SmallCompany())
	publish(t, b, topology.People, employees(20, 10)...)
	f := feed(t, b, bus.FeedOptions{Stream: topology.People, Durable: topology.DeliveryPeople("okta"), Pull: 4, Heartbeat: 100 * time.Millisecond, MaxWait: time.Second})
	next(t, f, 1)
	// What the server still had to send for f's request may fall into the other
	// feed's first moments: then that one is reset too, once.
	other := feed(t, testkit.Connect(t, srv, bus.Options{Name: "other"}), okta())
	in, err := other.Next(deadline(t))
	if errors.Is(err, bus.ErrReset) {
		in, err = other.Next(deadline(t))
	}
	if err != nil || in.Seq != 1 {
		t.Fatalf("the other begins at %d, %v", in.Seq, err)
	}
	for {
		in, err := f.Next(deadline(t))
		if errors.Is(err, bus.ErrReset) {
			return
		}
		if err != nil || in.Seq > 20 {
			t.Fatalf("%d, %v", in.Seq, err)
		}
	}
}

// An idle consumer, one that is paused and one whose limit of unacknowledged
// messages is reached are all quiet for a good reason.
func TestFeedIsPatient(t *testing.T) {
	b := testkit.Bus(t, testkit.JetStream(t), testkit.SmallCompany())
	o := okta()
	o.Heartbeat, o.MaxWait = 100*time.Millisecond, 250*time.Millisecond
	f := feed(t, b, o)
	quiet := func(why string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), 800*time.Millisecond)
		defer cancel()
		if in, err := f.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%s: %d, %v", why, in.Seq, err)
		}
	}
	quiet("nothing there")
	if err := f.Pause(deadline(t), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	publish(t, b, topology.People, employees(bus.MaxAckPending+1, 10)...)
	quiet("paused")
	if s, err := b.ConsumerState(deadline(t), o.Stream, o.Durable); err != nil || s.PausedUntil.IsZero() {
		t.Errorf("not paused: %+v, %v", s, err)
	}
	// A plan that is made again does not end the pause.
	if err := bus.Ensure(deadline(t), b, bus.PlanFor(testkit.SmallCompany())); err != nil {
		t.Fatal(err)
	}
	quiet("paused, planned again")
	if err := f.Resume(deadline(t)); err != nil {
		t.Fatal(err)
	}
	first := next(t, f, 1)
	for seq := uint64(2); seq <= bus.MaxAckPending; seq++ {
		next(t, f, seq)
	}
	quiet("all acknowledgements open")
	if err := f.Ack(first); err != nil {
		t.Fatal(err)
	}
	next(t, f, bus.MaxAckPending+1)
}

func TestFeedBatches(t *testing.T) {
	b := testkit.Bus(t, testkit.JetStream(t), testkit.SmallCompany())
	publish(t, b, topology.People, employees(100, 10)...)
	o := bus.FeedOptions{Stream: topology.People, Durable: topology.AuditAll}
	f := feed(t, b, o)
	ins, err := f.NextBatch(deadline(t), nil, 60, time.Minute)
	if err != nil || len(ins) != 60 {
		t.Fatalf("%d messages, %v", len(ins), err)
	}
	if err := f.Ack(ins...); err != nil {
		t.Fatal(err)
	}
	awaitFloor(t, b, o, 60)
	ins, err = f.NextBatch(deadline(t), nil, 60, 20*time.Millisecond)
	if err != nil || len(ins) != 40 || ins[39].Seq != 100 {
		t.Fatalf("%d messages, %v", len(ins), err)
	}
}

// A message that is replaced while it is under way is done with; those before
// it are not, and come again to the next who asks. Nothing is acknowledged here,
// so the first message must always be the first.
func TestReplacedMessageAcknowledgesNoOther(t *testing.T) {
	b := testkit.Bus(t, testkit.JetStream(t), testkit.SmallCompany())
	o := bus.FeedOptions{Stream: topology.People, Durable: topology.AuditAll}
	for round := range 12 {
		for i := range 10 {
			n := fmt.Sprint(10*round + i)
			said := out(topology.Said("bamboohr", fmt.Sprint("k", i)), "said"+n)
			said.Rollup = true
			publish(t, b, topology.People, out(topology.Employee("p"+n), "employee"+n), said)
		}
		f := feed(t, b, o)
		ins, err := f.NextBatch(deadline(t), nil, 20*(round+1), 20*time.Millisecond)
		for errors.Is(err, bus.ErrReset) {
			ins, err = f.NextBatch(deadline(t), nil, 20*(round+1), 20*time.Millisecond)
		}
		if err != nil {
			t.Fatal(err)
		}
		if ins[0].Seq != 1 {
			t.Fatalf("round %d begins at %d: what nobody acknowledged is gone", round, ins[0].Seq)
		}
		f.Close()
	}
}

func TestFeedOfUnknownConsumer(t *testing.T) {
	b := testkit.Bus(t, testkit.JetStream(t), testkit.SmallCompany())
	if _, err := b.Feed(deadline(t), bus.FeedOptions{Stream: topology.People, Durable: "nobody"}); !errors.Is(err, bus.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}
