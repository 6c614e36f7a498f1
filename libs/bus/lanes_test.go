package bus_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/testkit"
	"github.com/muster-hr/muster/libs/topology"
)

// journal notes what handlers did and checks the order of each key.
type journal struct {
	mu      sync.Mutex
	handled map[uint64]int
	newest  map[string]uint64 // newest success of a key
	active  map[string]bool
	again   bool // successes may be repeated, since their acknowledgement was lost
	errs    []string
	left    int
	all     chan struct{}
}

func newJournal(n int) *journal {
	return &journal{handled: make(map[uint64]int), newest: make(map[string]uint64), active: make(map[string]bool), left: n, all: make(chan struct{})}
}

func (j *journal) begin(in bus.In) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.active[in.Subject] {
		j.errs = append(j.errs, "two handlers of one key at once")
	}
	j.active[in.Subject] = true
	if in.Seq < j.newest[in.Subject] && !(j.again && j.handled[in.Seq] > 0) {
		j.errs = append(j.errs, fmt.Sprintf("%d of %s after %d had succeeded", in.Seq, in.Subject, j.newest[in.Subject]))
	}
}

func (j *journal) end(in bus.In, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.active, in.Subject)
	if !ok {
		return
	}
	j.newest[in.Subject] = max(j.newest[in.Subject], in.Seq)
	if j.handled[in.Seq]++; j.handled[in.Seq] == 1 {
		if j.left--; j.left == 0 {
			close(j.all)
		}
	}
}

func (j *journal) check(t *testing.T, n int) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, e := range j.errs {
		if i == 5 {
			break
		}
		t.Error(e)
	}
	if len(j.handled) != n {
		t.Errorf("%d of %d messages handled", len(j.handled), n)
	}
}

// Handlers fail at random and the broker goes away in the middle: every message
// is handled, and none of a key after a newer one of it.
func TestLanesKeepOrderThroughRestart(t *testing.T) {
	const n, keys = 2000, 50
	srv := testkit.JetStream(t)
	b := testkit.Bus(t, srv, testkit.SmallCompany())
	publish(t, b, topology.People, employees(n, keys)...)
	j := newJournal(n)
	half := make(chan struct{})
	var once sync.Once
	lanes := bus.NewLanes(bus.LaneOptions{
		Feeds:    []*bus.Feed{feed(t, b, okta())},
		InFlight: 16,
		Handle: func(ctx context.Context, batch []bus.In, attempt int) bus.Verdict {
			in := batch[0]
			j.begin(in)
			time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond) // the work itself
			ok := rand.IntN(10) > 0
			j.end(in, ok)
			if in.Seq > n/3 {
				once.Do(func() { close(half) })
			}
			if !ok {
				return bus.Verdict{Retry: time.Duration(1+rand.IntN(20)) * time.Millisecond}
			}
			return bus.Verdict{}
		},
	})
	ctx, cancel := context.WithCancel(deadline(t))
	done := make(chan error, 1)
	go func() { done <- lanes.Run(ctx) }()
	<-half
	for range 2 {
		if err := srv.Restart(); err != nil {
			t.Fatal(err)
		}
		for b.Ping(ctx) != nil && ctx.Err() == nil {
		}
	}
	select {
	case <-j.all:
	case <-ctx.Done():
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	j.check(t, n)
}

// What a stopped program leaves behind comes to the next one in order.
func TestLanesHandOver(t *testing.T) {
	const n, keys = 400, 20
	srv := testkit.JetStream(t)
	b := testkit.Bus(t, srv, testkit.SmallCompany())
	publish(t, b, topology.People, employees(n, keys)...)
	j := newJournal(n)
	j.again = true
	limit := deadline(t)
	for run := 0; ; run++ {
		ctx, cancel := context.WithCancel(limit)
		handled := 0
		lanes := bus.NewLanes(bus.LaneOptions{
			Feeds: []*bus.Feed{feed(t, b, okta())}, InFlight: 8,
			Handle: func(_ context.Context, batch []bus.In, _ int) bus.Verdict {
				j.begin(batch[0])
				j.end(batch[0], true)
				j.mu.Lock()
				defer j.mu.Unlock()
				if handled++; handled == 150 {
					cancel()
				}
				return bus.Verdict{}
			},
		})
		go func() {
			select {
			case <-j.all:
				cancel()
			case <-ctx.Done():
			}
		}()
		if err := lanes.Run(ctx); err != nil {
			t.Fatal(err)
		}
		cancel()
		select {
		case <-j.all:
			j.check(t, n)
			return
		default:
		}
		if run > 10 || limit.Err() != nil {
			t.Fatalf("%d of %d handled in %d runs", n-j.left, n, run+1)
		}
	}
}

// A leaver is handled before what waits, alone, also when his own lane waits
// for a retry.
func TestLanesPriority(t *testing.T) {
	b := testkit.Bus(t, testkit.JetStream(t), testkit.SmallCompany())
	publish(t, b, topology.People, employees(40, 4)...)
	var mu sync.Mutex
	var order []string
	failing := make(chan struct{})
	gone := make(chan struct{})
	var once, twice sync.Once
	lanes := bus.NewLanes(bus.LaneOptions{
		Feeds:    []*bus.Feed{feed(t, b, okta())},
		Priority: []*bus.Feed{feed(t, b, bus.FeedOptions{Stream: topology.People, Durable: topology.DeliveryLeavers("okta")})},
		InFlight: 1,
		Coalesce: true,
		Handle: func(_ context.Context, batch []bus.In, attempt int) bus.Verdict {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, batch[0].Subject)
			if batch[0].Subject == topology.Leaver("p1") {
				if len(batch) != 1 {
					t.Errorf("a leaver with %d others", len(batch)-1)
				}
				twice.Do(func() { close(gone) })
				return bus.Verdict{}
			}
			if batch[0].Subject == topology.Employee("p1") {
				once.Do(func() { close(failing) })
				return bus.Verdict{Retry: time.Hour}
			}
			return bus.Verdict{Done: true}
		},
	})
	ctx, cancel := context.WithCancel(deadline(t))
	done := make(chan error, 1)
	go func() { done <- lanes.Run(ctx) }()
	<-failing
	publish(t, b, topology.People, out(topology.Leaver("p1"), "l1"))
	select {
	case <-gone:
	case <-ctx.Done():
		t.Error("the leaver waits with his lane")
	}
	if s := lanes.Stats(); s.Running > 1 {
		t.Errorf("%+v", s)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestLanesCoalesce(t *testing.T) {
	const n, keys = 90, 3
	b := testkit.Bus(t, testkit.JetStream(t), testkit.SmallCompany())
	publish(t, b, topology.People, employees(n, keys)...)
	var mu sync.Mutex
	seen := make(map[string][]uint64)
	total, calls := 0, 0
	ctx, cancel := context.WithCancel(deadline(t))
	defer cancel()
	lanes := bus.NewLanes(bus.LaneOptions{
		Feeds: []*bus.Feed{feed(t, b, okta())}, InFlight: 2, Coalesce: true,
		Handle: func(_ context.Context, batch []bus.In, attempt int) bus.Verdict {
			if attempt == 1 {
				return bus.Verdict{Retry: 50 * time.Millisecond} // meanwhile the others come
			}
			mu.Lock()
			defer mu.Unlock()
			calls++
			for _, in := range batch {
				if in.Subject != batch[0].Subject {
					t.Errorf("two keys in one batch")
				}
				seen[in.Subject] = append(seen[in.Subject], in.Seq)
				if total++; total == n {
					cancel()
				}
			}
			return bus.Verdict{}
		},
	})
	if err := lanes.Run(ctx); err != nil {
		t.Fatal(err)
	}
	for key, seqs := range seen {
		for i := 1; i < len(seqs); i++ {
			if seqs[i] != seqs[i-1]+keys {
				t.Errorf("%s: %d after %d", key, seqs[i], seqs[i-1])
			}
		}
	}
	if total != n || calls > n/2 {
		t.Errorf("%d messages in %d calls", total, calls)
	}
	awaitFloor(t, b, okta(), n) // all are acknowledged, the superseded ones too
}

// When ctx ends, running handlers end by themselves or are told to.
func TestLanesDrain(t *testing.T) {
	for _, heeds := range []bool{true, false} {
		t.Run(strconv.FormatBool(heeds), func(t *testing.T) {
			b := testkit.Bus(t, testkit.JetStream(t), testkit.SmallCompany())
			publish(t, b, topology.People, employees(3, 1)...)
			started := make(chan struct{})
			ctx, cancel := context.WithCancel(deadline(t))
			calls, told, stopped := 0, false, ctx
			lanes := bus.NewLanes(bus.LaneOptions{
				Feeds: []*bus.Feed{feed(t, b, okta())}, DrainTimeout: 100 * time.Millisecond,
				Handle: func(ctx context.Context, _ []bus.In, _ int) bus.Verdict {
					calls++
					close(started)
					<-stopped.Done()
					if !heeds {
						<-ctx.Done()
						told = true
						return bus.Verdict{Retry: time.Second}
					}
					return bus.Verdict{}
				},
			})
			go func() { <-started; cancel() }()
			if err := lanes.Run(ctx); err != nil {
				t.Fatal(err)
			}
			if calls != 1 || told == heeds {
				t.Errorf("%d calls, told %v", calls, told)
			}
		})
	}
}
