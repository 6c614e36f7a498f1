package moodle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/fault"
)

// crowd is a site whose first call waits until the others have queued.
type crowd struct {
	*sink
	vendor fake.Vendor
	held   chan struct{} // the first call has come
	free   chan struct{} // closed: it may go on

	mu    sync.Mutex
	sizes []int // users per create
}

func newCrowd(t *testing.T, settings map[string]any, site map[string]string) *crowd {
	t.Helper()
	c := &crowd{vendor: Type.Fake(fake.Options{Settings: site}), held: make(chan struct{}), free: make(chan struct{})}
	once := sync.Once{}
	all := map[string]any{"read_back": false, "calls": 1}
	for k, v := range settings {
		all[k] = v
	}
	c.sink = against(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		once.Do(func() {
			close(c.held)
			<-c.free
		})
		if function(raw) == fnCreate {
			c.mu.Lock()
			c.sizes = append(c.sizes, strings.Count(string(raw), "[username]="))
			c.mu.Unlock()
		}
		r.Body = io.NopCloser(strings.NewReader(string(raw)))
		c.vendor.ServeHTTP(w, r)
	}), all)
	return c
}

func nth(i int) connector.Delivery {
	name := fmt.Sprintf("p%03d", i)
	return connector.Delivery{ID: name, Status: "active", Body: map[string]any{
		"username": name, "firstname": "P", "lastname": name, "email": name + "@a.example", "idnumber": name,
	}}
}

// apply brings n people at once: the first goes alone, the others wait for it.
func (c *crowd) apply(t *testing.T, ds []connector.Delivery) ([]connector.Receipt, []error) {
	t.Helper()
	receipts, errs := make([]connector.Receipt, len(ds)), make([]error, len(ds))
	var wg sync.WaitGroup
	for i, d := range ds {
		wg.Go(func() { receipts[i], errs[i] = c.Apply(t.Context(), d, nil) })
		if i == 0 {
			<-c.held
		}
	}
	c.queued(len(ds) - 1)
	close(c.free)
	wg.Wait()
	return receipts, errs
}

// queued returns when so many wait.
func (c *crowd) queued(n int) {
	for {
		c.creates.mu.Lock()
		have := len(c.creates.queue)
		c.creates.mu.Unlock()
		if have >= n {
			return
		}
		runtime.Gosched()
	}
}

// TestWhoWaitsGoesTogether, up to the size of a batch, and each gets its own id.
func TestWhoWaitsGoesTogether(t *testing.T) {
	for name, c := range map[string]struct {
		settings map[string]any
		want     []int
	}{
		"twenty":              {nil, []int{1, 20, 9}},
		"alone":               {map[string]any{"batch": 1}, slices.Repeat([]int{1}, 30)},
		"as PHP takes fields": {map[string]any{"max_input_vars": 26}, append([]int{1}, append(slices.Repeat([]int{3}, 9), 2)...)},
	} {
		t.Run(name, func(t *testing.T) {
			site := map[string]string{}
			if name == "as PHP takes fields" {
				site["max_input_vars"] = "26"
			}
			school := newCrowd(t, c.settings, site)
			var ds []connector.Delivery
			for i := range 30 {
				ds = append(ds, nth(i))
			}
			receipts, errs := school.apply(t, ds)
			people, _ := school.vendor.Log().State()
			for i := range ds {
				if errs[i] != nil {
					t.Fatalf("%d: %v", i, errs[i])
				}
				if got := people[receipts[i].Refs[refID]]["username"]; got != ds[i].Body["username"] {
					t.Errorf("%d has the account of %v", i, got)
				}
			}
			if !slices.Equal(school.sizes, c.want) {
				t.Errorf("calls of %v, want %v", school.sizes, c.want)
			}
		})
	}
}

// TestOneBadOneFailsAlone: Moodle refuses the whole call and does not say why.
func TestOneBadOneFailsAlone(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(2, 14).Draw(rt, "people")
		bad := rapid.SliceOfNDistinct(rapid.IntRange(0, n-1), 0, 3, rapid.ID[int]).Draw(rt, "bad")
		c := newCrowd(t, nil, nil)
		var ds []connector.Delivery
		for i := range n {
			ds = append(ds, nth(i))
			if slices.Contains(bad, i) {
				ds[i].Body["lang"] = "zz"
			}
		}
		_, errs := c.apply(t, ds)
		for i, err := range errs {
			if isBad := slices.Contains(bad, i); isBad != is(err, reasonInvalid) || !isBad && err != nil {
				rt.Errorf("%d: %v", i, err)
			}
		}
		if people, _ := c.vendor.Log().State(); len(people) != n-len(bad) {
			rt.Errorf("%d accounts, want %d", len(people), n-len(bad))
		}
	})
}

// TestWhoGivesUpWhileWaiting is not sent, and the others are.
func TestWhoGivesUpWhileWaiting(t *testing.T) {
	c := newCrowd(t, nil, nil)
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp, first := make(chan error, 1), make(chan error, 1)
	go func() { _, err := c.Apply(t.Context(), nth(0), nil); first <- err }()
	<-c.held
	go func() { _, err := c.Apply(ctx, nth(1), nil); gaveUp <- err }()
	c.queued(1)
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) || fault.Of(err).Class != fault.Transient {
		t.Errorf("error %v", err)
	}
	close(c.free)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if people, _ := c.vendor.Log().State(); len(people) != 1 {
		t.Errorf("%d accounts, want 1", len(people))
	}
}

// TestOneWhoGivesUpDoesNotEndTheCallOfOthers: the call goes on as long as
// anybody waits for it, and ends when nobody does.
func TestOneWhoGivesUpDoesNotEndTheCallOfOthers(t *testing.T) {
	c := newCrowd(t, nil, nil)
	var calls sync.WaitGroup
	run, goOn := make(chan context.Context), make(chan struct{})
	b := &batch{api: c.api, most: 5, inputs: 100, run: func(ctx context.Context, es []*entry) ([]error, error) {
		run <- ctx
		<-goOn
		return make([]error, len(es)), ctx.Err()
	}}
	c.api.gate <- struct{}{} // nobody may call yet
	one, endOne := context.WithCancel(t.Context())
	two, endTwo := context.WithCancel(t.Context())
	for _, ctx := range []context.Context{one, two} {
		calls.Go(func() { _ = b.do(ctx, &entry{}) })
	}
	for waiting := 0; waiting < 2; {
		b.mu.Lock()
		waiting = len(b.queue)
		b.mu.Unlock()
		runtime.Gosched()
	}
	<-c.api.gate
	ctx := <-run
	endOne()
	if ctx.Err() != nil {
		t.Error("the call ended with the first who gave up")
	}
	endTwo()
	<-ctx.Done()
	close(goOn)
	calls.Wait()
}

// TestTraceOfACall is that of the first in it; the spans of the others link to it.
func TestTraceOfACall(t *testing.T) {
	c := newCrowd(t, nil, nil)
	spans := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")
	var wg sync.WaitGroup
	for i := range 5 {
		ctx, span := tracer.Start(t.Context(), nth(i).ID)
		wg.Go(func() {
			defer span.End()
			if _, err := c.Apply(ctx, nth(i), nil); err != nil {
				t.Error(err)
			}
		})
		if i == 0 {
			<-c.held
		}
	}
	c.queued(4)
	close(c.free)
	wg.Wait()
	led := map[string]int{} // trace ids of calls, and how many spans link to them
	for _, s := range spans.Ended() {
		for _, l := range s.Links() {
			led[l.SpanContext.TraceID().String()]++
		}
	}
	_, writes := c.vendor.Log().State()
	traces := map[string]int{}
	for _, w := range writes {
		traces[strings.Split(w.Traceparent, "-")[1]]++
	}
	if len(traces) != 2 || len(led) != 1 {
		t.Fatalf("calls of %v, links to %v", traces, led)
	}
	for id, n := range led {
		if n != 3 || traces[id] != 4 {
			t.Errorf("%d spans are linked to the call of %d people", n, traces[id])
		}
	}
}
