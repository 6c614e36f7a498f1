// Package deliver brings one target to what each employee's newest state asks
// for.
//
//	PEOPLE ──► select ► minimise ► map ► same? ► limit ► intent ► Apply ► outcome ──► DELIVERED
//	               one lane per employee: the next call waits until the outcome is durable
//	PARKED ──► due ─┘                                     └─ failing ──► retry in the lane, park, bury
//
// The last message about an employee in DELIVERED is the memory: the
// connector's refs, what was applied, and whether a write may have happened
// that nobody confirmed. Such a write is looked for before another is made.
package deliver

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/clock"
	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
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
	Sink    connector.Sink
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
	restricted   bool // an integration needs the restricted part
	effects      connector.Effects
	event        bool // every change in order, instead of the newest state
	memory       *lru.Cache[string, *record.Delivery]
	parking      *parking
	limiter      *rate.Limiter
	breaker      breaker
	pause        func(time.Duration)
}

// memoryCache is how many employees' last outcomes are kept at hand.
const memoryCache = 8192

// New makes a deliverer for one target of a company.
func New(d Deps) (*Deliverer, error) {
	v := &Deliverer{Deps: d, integrations: d.Company.For(d.Target.Name), effects: d.Sink.Effects(), parking: newParking()}
	v.event = d.Target.Kind == config.KindEvent || d.Target.Kind == "" && !v.effects.StateLike
	for _, i := range v.integrations {
		v.restricted = v.restricted || i.Restricted(d.Company.Custom)
	}
	if r := d.Target.Limits.Rate; r > 0 {
		v.limiter = rate.NewLimiter(rate.Limit(r), max(1, d.Target.Limits.Burst))
	}
	var err error
	v.memory, err = lru.New[string, *record.Delivery](memoryCache)
	return v, err
}

// Run follows the employees until ctx ends, then finishes what it holds.
func (d *Deliverer) Run(ctx context.Context) error {
	if err := d.recall(ctx); err != nil {
		return err
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
			return err
		}
		feeds = append(feeds, f)
	}
	lanes := bus.NewLanes(bus.LaneOptions{
		Feeds: feeds[:1], Priority: feeds[1:], InFlight: d.Target.Limits.InFlight, Coalesce: !d.event, Handle: d.Handle,
	})
	d.pause = lanes.Pause
	return lanes.Run(ctx)
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
	var err error
	switch {
	case in.Stream == topology.Parked:
		return d.due(ctx, id, attempt)
	case d.parking.holds(id):
		err = d.follow(ctx, id, batch)
	case topology.Token(in.Subject, 1) == "leaver":
		if d.event {
			return bus.Verdict{} // order first: the change itself is in the backlog
		}
		return d.deliver(ctx, id, nil, attempt)
	default:
		return d.deliver(ctx, id, batch, attempt)
	}
	if err != nil {
		return bus.Verdict{Retry: time.Second}
	}
	return bus.Verdict{}
}

// deliver makes one attempt and says what its end means for the lane. Without
// a batch the employee's newest state is read.
func (d *Deliverer) deliver(ctx context.Context, id string, batch []bus.In, attempt int) bus.Verdict {
	in, err := d.newest(ctx, id, batch)
	if errors.Is(err, bus.ErrNotFound) {
		return bus.Verdict{}
	}
	if err == nil {
		err = d.attempt(ctx, in, versions(batch), attempt)
	}
	return d.verdict(ctx, id, in, attempt, err)
}

func (d *Deliverer) newest(ctx context.Context, id string, batch []bus.In) (bus.In, error) {
	if len(batch) > 0 {
		return batch[len(batch)-1], nil
	}
	return d.Bus.Last(ctx, topology.People, topology.Employee(id))
}

// versions are those that a newer one in the same batch overtook.
func versions(batch []bus.In) []uint64 {
	var out []uint64
	for _, in := range batch[:max(0, len(batch)-1)] {
		var h employee.Head
		if head, err := seal.Head(in.Event.Data()); err == nil && json.Unmarshal(head, &h) == nil {
			out = append(out, h.Version)
		}
	}
	return out
}

// attempt is one delivery from the state to its outcome. It returns nil when
// nothing more is to be done for this version.
func (d *Deliverer) attempt(ctx context.Context, in bus.In, superseded []uint64, attempt int) (err error) {
	id := topology.Last(in.Subject)
	mem, err := d.recollect(ctx, id)
	if err != nil {
		return err
	}
	var h employee.Head
	raw, err := seal.Head(in.Event.Data())
	if err == nil {
		err = json.Unmarshal(raw, &h)
	}
	if err != nil || h.Version <= mem.Done {
		return err
	}
	var links []trace.Link
	if sc := trace.SpanContextFromContext(telemetry.Extract(ctx, mem.Trace)); attempt > 1 && sc.IsValid() {
		links = append(links, trace.Link{SpanContext: sc})
	}
	ctx, span := telemetry.StartProcess(telemetry.Extract(ctx, in.Traceparent), d.Tracer, telemetry.Message{
		Stream: topology.People, Template: "hr.employee.{id}", ID: in.Event.ID(), Consumer: topology.DeliveryPeople(d.Target.Name), Attempt: attempt,
	}, links)
	defer func() { telemetry.End(span, err) }()

	if mem.Outcome == record.OutcomeIntended {
		if err := d.interrupted(ctx, mem); err != nil {
			return err
		}
	}
	j, err := d.prepare(ctx, in, h, mem, superseded, attempt)
	if err != nil || j == nil {
		return err
	}
	if j.same() {
		return d.conclude(ctx, j, record.OutcomeUnchanged)
	}
	return d.write(ctx, j)
}
