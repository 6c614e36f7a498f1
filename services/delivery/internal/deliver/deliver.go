// Package deliver brings one target to what each employee's newest state asks
// for.
//
//	PEOPLE ──► select ► minimise ► map ► same? ► limit ► intent ► Apply ► outcome ──► DELIVERED
//	               one lane per employee: the next call waits until the outcome is durable,
//	               unless the target takes repeats without harm (an idempotency key)
//	PARKED ──► due ─┘                                     └─ failing ──► retry in the lane, park, bury
//
// The last message about an employee in DELIVERED is the memory: the
// connector's refs, what was applied, and whether a write may have happened
// that nobody confirmed. Such a write is looked for before another is made.
package deliver

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/clock"
	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/telemetry"
	"github.com/muster-hr/muster/libs/topology"
)

// Deps is what a deliverer works with.
type Deps struct {
	Bus     *bus.Bus
	Codec   record.Codec
	Company *config.Company
	Target  *config.Target
	Sink    connector.Sink  // or
	Files   connector.Files // of a target that takes files
	Clock   clock.Clock
	Log     *slog.Logger
	Tracer  trace.Tracer
	Metrics Metrics
}

// Metrics counts attempts and shows the breaker.
type Metrics struct {
	Attempt func(outcome string)
	Latency func(time.Duration) // accepted to applied
	Parked  func(n int)
	Dead    func()
	Breaker func(open bool)
}

// Deliverer serves one target.
type Deliverer struct {
	Deps
	integrations []*config.Integration
	allow        map[string]*employee.AllowList // by integration
	restricted   bool                           // an integration needs the restricted part
	needs        func(leaf string) bool         // tells what is read of a person; nil if a condition may ask for anything
	effects      connector.Effects
	event        bool // every change in order, instead of the newest state
	memory       *lru.Cache[string, *record.Delivery]
	before       *lru.Cache[string, struct{}] // of whom the memory is what a process before us left
	trail        trail                        // records that are not durable yet
	parking      *parking
	waits        *waits
	limiter      *rate.Limiter
	breaker      breaker
	lanes        *bus.Lanes // of Run
	filing       *filing    // of a target that takes files
}

// memoryCache is how many employees' last outcomes are kept at hand.
const memoryCache = 8192

// New makes a deliverer for one target of a company.
func New(d Deps) (*Deliverer, error) {
	v := &Deliverer{Deps: d, integrations: d.Company.For(d.Target.Name), parking: newParking(), waits: newWaits(), allow: map[string]*employee.AllowList{}}
	if d.Sink != nil {
		v.effects = d.Sink.Effects()
	}
	v.event = d.Target.Kind == config.KindEvent || d.Target.Kind == "" && !v.effects.StateLike
	for _, i := range v.integrations {
		v.restricted = v.restricted || i.Restricted(d.Company.Custom)
		v.allow[i.Name] = employee.NewAllowList(i.Fields)
	}
	if !slices.ContainsFunc(v.integrations, func(i *config.Integration) bool { return i.When != nil }) {
		v.needs = func(leaf string) bool {
			return slices.ContainsFunc(v.integrations, func(i *config.Integration) bool { return v.allow[i.Name].Has(leaf) })
		}
	}
	if r := d.Target.Limits.Rate; r > 0 {
		v.limiter = rate.NewLimiter(rate.Limit(r), max(1, d.Target.Limits.Burst))
	}
	v.breaker.first, v.breaker.show = d.Target.Retry.First, d.Metrics.Breaker
	var err error
	if v.memory, err = lru.New[string, *record.Delivery](memoryCache); err != nil {
		return nil, err
	}
	if v.before, err = lru.New[string, struct{}](memoryCache); err != nil {
		return nil, err
	}
	if d.Files != nil {
		v.event, v.filing = true, newFiling(v)
	}
	return v, nil
}

// Run follows the employees until ctx ends, then finishes what it holds.
func (d *Deliverer) Run(ctx context.Context) error {
	lanes, err := d.open(ctx)
	switch {
	case err == nil && d.filing == nil:
		return lanes.Run(ctx)
	case err == nil:
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() error { return lanes.Run(ctx) })
		g.Go(func() error { return d.filing.run(ctx) })
		return g.Wait()
	}
	select {
	case <-ctx.Done():
		return nil // ended before it began
	default:
		return err
	}
}

// open recalls who is parked and opens what is to be followed.
func (d *Deliverer) open(ctx context.Context) (*bus.Lanes, error) {
	if err := d.recall(ctx); err != nil {
		return nil, err
	}
	if d.filing != nil {
		if err := d.filing.recall(ctx); err != nil {
			return nil, err
		}
	}
	name := d.Target.Name
	var feeds []*bus.Feed
	for _, o := range []bus.FeedOptions{
		{Stream: topology.People, Durable: topology.DeliveryPeople(name)},
		{Stream: topology.People, Durable: topology.DeliveryLeavers(name)},
		{Stream: topology.Parked, Durable: topology.DeliveryDue(name)},
	} {
		f, err := d.Bus.Feed(ctx, o)
		if err != nil {
			return nil, err
		}
		feeds = append(feeds, f)
	}
	d.lanes = bus.NewLanes(bus.LaneOptions{
		Feeds: feeds[:1], Priority: feeds[1:], InFlight: d.Target.Limits.InFlight, Coalesce: !d.event, Handle: d.Handle,
	})
	d.breaker.pause = d.lanes.Pause
	return d.lanes, nil
}

// Handle takes the next messages of one employee. All but the last were
// overtaken while they waited; only a state-like target gets more than one.
func (d *Deliverer) Handle(ctx context.Context, batch []bus.In, attempt int) bus.Verdict {
	in := batch[len(batch)-1]
	if in.Err != nil {
		d.Log.ErrorContext(ctx, "a message is not a CloudEvent and was passed over", "stream", in.Stream, "sequence", in.Seq, "err", in.Err)
		return bus.Verdict{}
	}
	id := topology.Last(in.Subject)
	if d.filing != nil {
		defer d.filing.lock(id)()
	}
	leaver := in.Stream == topology.People && topology.Token(in.Subject, 1) == "leaver"
	_, parked := d.parking.get(id)
	switch {
	case leaver && d.event:
		return bus.Verdict{} // order first: the change itself is in the backlog
	case in.Stream == topology.Parked, leaver && parked:
		return d.due(ctx, id, attempt)
	case parked:
		return d.follow(ctx, id, batch)
	}
	if !d.event {
		// The message only says that there is something to do. After a crash the
		// older ones come again first, and the target may have the newest already.
		newest, err := d.Bus.Last(ctx, topology.People, topology.Employee(id))
		if errors.Is(err, bus.ErrNotFound) {
			return bus.Verdict{}
		}
		if err != nil {
			return bus.Verdict{Retry: ourPause}
		}
		in = newest
	}
	return d.deliver(ctx, id, in, attempt)
}

// deliver is an attempt in the lane, with what is to be done after it.
func (d *Deliverer) deliver(ctx context.Context, id string, in bus.In, attempt int) bus.Verdict {
	m, durable, err := d.attempt(ctx, in)
	v, _ := d.verdict(ctx, try{id: id, in: in, m: m, attempt: attempt}, err)
	v.After = durable
	if err := d.after(ctx, id); err != nil && v.Retry == 0 {
		// The message comes again and finds the attempt made: its record is
		// waited for here, for those behind it wait for the record.
		if durable != nil {
			_ = durable(ctx) // it ends with the process alone
		}
		return bus.Verdict{Retry: ourPause}
	}
	return v
}

// attempt is one delivery from the state to its outcome. It returns nil when
// nothing more is to be done for this version, and what a further record about
// it repeats. The outcome is durable when it returns, or else when durable does.
func (d *Deliverer) attempt(ctx context.Context, in bus.In) (m record.Delivery, durable func(context.Context) error, err error) {
	id := topology.Last(in.Subject)
	h, unread := headOf(in)
	mem, err := d.recollect(ctx, id)
	if err != nil {
		return d.begin(&record.Delivery{}, id, in, h), nil, err // whom it is about is known all the same
	}
	m, err = d.begin(mem, id, in, h), unread
	if err != nil || h.Version < mem.Done {
		return m, nil, err
	}
	owed, err := d.owed(ctx, mem)
	if err != nil || h.Version == mem.Done && !owed {
		return m, nil, err
	}
	var links []trace.Link
	if m.Attempt > 1 {
		links = telemetry.Links(ctx, mem.Trace)
	}
	ctx, span := telemetry.StartProcess(telemetry.Extract(ctx, in.Traceparent), d.Tracer, telemetry.Message{
		Stream: topology.People, Template: "hr.employee.{id}", ID: in.Event.ID(), Consumer: topology.DeliveryPeople(d.Target.Name), Attempt: m.Attempt,
	}, links)
	defer func() { telemetry.End(span, err) }()
	m.Trace = telemetry.Traceparent(ctx)
	if !d.event {
		for v := mem.Done + 1; v < h.Version; v++ { // those that the newest one stands for
			m.Superseded = append(m.Superseded, v)
		}
	}

	if mem.Outcome == record.OutcomeIntended {
		if err := d.interrupted(ctx, mem); err != nil {
			return m, nil, err
		}
		m.Uncertain = mem.Uncertain
	}
	_, left := d.before.Peek(id)
	j := &job{mem: &m, event: d.event, unsure: left && len(m.Superseded) > 0, owed: owed, again: h.Version == mem.Done, begun: time.Now()}
	if ok, err := d.prepare(ctx, j, in, h); err != nil || !ok {
		return m, nil, err
	}
	switch { // m is what j changes: it is given back as it is after that
	case j.held:
		err = d.conclude(ctx, j, record.OutcomeHeld)
	case j.kept:
		m.Reason = "left"
		err = d.conclude(ctx, j, record.OutcomeDiscarded)
	case j.idle, j.same():
		err = d.conclude(ctx, j, record.OutcomeUnchanged)
	case j.integration.Mode == config.ModeShadow:
		m.Reason = "shadow"
		err = d.conclude(ctx, j, record.OutcomeDiscarded)
	case d.filing != nil:
		err = d.filing.stage(ctx, j)
	default:
		err = d.write(ctx, j)
	}
	return m, j.durable, err
}

// begin is the record of a new attempt: what is known about the employee at
// this target, and whose turn it is now.
func (d *Deliverer) begin(mem *record.Delivery, id string, in bus.In, h employee.Head) record.Delivery {
	number := 1
	if mem.Event == in.Event.ID() && mem.Version == h.Version {
		number = mem.Attempt + 1 // also after a restart
	}
	return record.Delivery{
		Target: d.Target.Name, Employee: id, Event: in.Event.ID(), Type: in.Event.Type(), Version: h.Version,
		Attempt: number, AcceptedAt: h.AcceptedAt, Config: d.Company.Version,
		Done: mem.Done, Digest: mem.Digest, Status: mem.Status, Uncertain: mem.Uncertain, Tried: mem.Tried, Refs: mem.Refs, Body: mem.Body, Staged: mem.Staged,
		Integration: mem.Integration, Left: mem.Left, WaitsFor: mem.WaitsFor, Named: mem.Named,
	}
}

func headOf(in bus.In) (employee.Head, error) {
	var h employee.Head
	raw, err := seal.Head(in.Event.Data())
	if err == nil {
		h, err = employee.ReadHead(raw)
	}
	if err != nil {
		return h, fault.New(fault.Record, "head", "the head of an employee's message cannot be read")
	}
	return h, nil
}
