package deliver

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace/noop"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/clock"
	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/testkit"
	"github.com/muster-hr/muster/libs/topology"
)

// target is the one that the tests deliver to.
const target = "okta"

// world is a broker with a company, and a vendor with memory behind a sink.
type world struct {
	t       testing.TB
	srv     *bus.Server
	bus     *bus.Bus
	codec   record.Codec
	keys    *store
	master  seal.Master
	company *config.Company
	to      *config.Target
	vendor  *vendor
	metrics metrics
}

// newWorld makes a state-like target that takes everybody's name, status and
// number.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, srv: testkit.JetStream(t), keys: &store{}, vendor: newVendor()}
	w.bus = testkit.Bus(t, w.srv, testkit.SmallCompany())
	var err error
	if w.master, err = seal.ParseMaster(seal.NewMaster()); err != nil {
		t.Fatal(err)
	}
	w.codec = w.opened()
	w.to = &config.Target{
		Account: config.Account{Name: target}, Kind: config.KindState,
		Limits: config.Limits{InFlight: 4, Timeout: 10 * time.Second},
		Retry:  config.Retry{First: time.Millisecond, Max: 50 * time.Millisecond, Budget: time.Hour},
	}
	w.company = &config.Company{
		Name: "acme", Zone: time.UTC, Version: "c1",
		Targets: map[string]*config.Target{target: w.to}, Integrations: map[string]*config.Integration{},
	}
	w.integrate("main", config.Integration{})
	return w
}

// opened is a codec with a sealer that has no key in memory.
func (w *world) opened() record.Codec {
	s, err := seal.New(context.Background(), w.keys, w.master, seal.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	return record.Codec{Sealer: s, Company: "acme"}
}

// integrate adds or replaces an integration; what is not said has a default.
func (w *world) integrate(name string, i config.Integration) *config.Integration {
	i.Name, i.To = name, target
	if i.Fields == nil {
		i.Fields = []string{"employee_number", "employment.status", "name"}
	}
	if i.Mode == "" {
		i.Mode = config.ModeOn
	}
	if i.OnLeave == "" {
		i.OnLeave = config.OnLeaveDisable
	}
	i.Purpose, i.LegalBasis, i.Processor = "access", "contract", "Okta Inc."
	w.company.Integrations[name] = &i
	return &i
}

func (w *world) when(src string) *mapping.Condition {
	c, err := mapping.ParseCondition(src, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// running is one process of the service.
type running struct {
	d    *Deliverer
	bus  *bus.Bus
	stop func() // ends it as SIGTERM does, and waits
}

// start runs a deliverer with a connection and a memory of its own.
func (w *world) start() *running { w.t.Helper(); return w.startWith(w.vendor) }

func (w *world) startWith(sink connector.Sink) *running {
	w.t.Helper()
	return w.run(func(d *Deps) { d.Sink = sink })
}

func (w *world) run(with func(*Deps)) *running {
	w.t.Helper()
	d, b := w.make(with)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	r := &running{d: d, bus: b, stop: sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run: %v", err)
		}
		_ = b.Close()
	})}
	w.t.Cleanup(r.stop)
	return r
}

// deliverer is a fresh one with a connection of its own.
func (w *world) deliverer(sink connector.Sink) (*Deliverer, *bus.Bus) {
	w.t.Helper()
	return w.make(func(d *Deps) { d.Sink = sink })
}

func (w *world) make(with func(*Deps)) (*Deliverer, *bus.Bus) {
	w.t.Helper()
	b, err := bus.Connect(context.Background(), bus.Options{Name: "delivery", Server: w.srv, Log: testkit.Log(w.t), Timeout: 3 * time.Second})
	if err != nil {
		w.t.Fatal(err)
	}
	deps := Deps{
		Bus: b, Codec: w.opened(), Company: w.company, Target: w.to, Clock: clock.System{},
		Log: testkit.Log(w.t), Tracer: noop.NewTracerProvider().Tracer(""), Metrics: w.metrics.hooks(),
	}
	with(&deps)
	d, err := New(deps)
	if err != nil {
		w.t.Fatal(err)
	}
	return d, b
}

// state is what is said of a person; fields that are nil are left as before.
type state struct {
	fields     employee.Flat
	changed    []string // nil: all fields
	status     string
	typ        string
	provenance map[string]employee.Origin
}

// say publishes a version of an employee.
func (w *world) say(id string, version uint64, s state) {
	w.t.Helper()
	if s.status == "" {
		s.status = employee.Active
	}
	if s.typ == "" {
		s.typ = event.EmployeeUpdatedV1
	}
	fields := employee.Flat{"employment.status": s.status, "employee_number": id, "compensation.amount": "5000"}
	for leaf, v := range s.fields {
		fields[leaf] = v
	}
	if s.changed == nil {
		for leaf := range s.fields {
			s.changed = append(s.changed, employee.Pattern(leaf))
		}
	}
	st := employee.State{
		Head: employee.Head{ID: id, Version: version, Status: s.status, Changed: s.changed, Source: "bamboohr",
			Event: "rec", AcceptedAt: time.Now().UTC(), Config: "c1"},
		Fields: fields, Provenance: s.provenance,
	}
	head, basic, restricted, err := st.Encode(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	ev := eventID(id, version)
	data, err := w.codec.Sealer.Seal(w.t.Context(), id, ev+"|"+s.typ, seal.Envelope{Head: head, Basic: basic, Restricted: restricted})
	if err != nil {
		w.t.Fatal(err)
	}
	w.publish(topology.People, bus.Out{Subject: topology.Employee(id), Event: event.New(ev, "/muster/acme/transform", s.typ, data)})
}

// named is a version in which the person is called so.
func (w *world) named(id string, version uint64, given string) {
	w.t.Helper()
	w.say(id, version, state{fields: employee.Flat{"name.given": given}})
}

func eventID(id string, version uint64) string { return fmt.Sprintf("ev-%s-%d", id, version) }

// leaves publishes the pointer of a leaver.
func (w *world) leaves(id string) {
	w.t.Helper()
	data, err := w.codec.Sealer.Seal(w.t.Context(), "", "", seal.Envelope{Head: []byte(`{"employee":"` + id + `","version":9}`)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.publish(topology.People, bus.Out{Subject: topology.Leaver(id), Event: event.New("leaver-"+id, "/muster/acme/transform", event.LeaverNotedV1, data)})
}

func (w *world) publish(stream string, out bus.Out) {
	w.t.Helper()
	if _, err := w.bus.Publish(w.t.Context(), stream, out); err != nil {
		w.t.Fatal(err)
	}
}

// remembers puts a record into DELIVERED, as a process before us left it.
func (w *world) remembers(d record.Delivery) {
	w.t.Helper()
	d.Target, d.Config = target, "c0"
	if d.Integration == "" {
		d.Integration = "main"
	}
	msg, err := w.codec.Deliver(w.t.Context(), d, false)
	if err != nil {
		w.t.Fatal(err)
	}
	w.publish(topology.Delivered, bus.Out{Subject: msg.Subject, Event: msg.Event})
}

// told is a record of DELIVERED with the time it was stored.
type told struct {
	record.Delivery
	stored time.Time
}

// records are all of an employee, in order.
func (w *world) records(id string) []told {
	w.t.Helper()
	var out []told
	err := w.bus.Each(w.t.Context(), topology.Delivered, topology.DeliveredTo(target, id), func(in bus.In) error {
		d, err := w.codec.OpenDelivery(w.t.Context(), id, in.Event, true)
		out = append(out, told{d, in.At})
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// outcomes are the records of an employee as "version outcome", in order.
func (w *world) outcomes(id string) []string {
	w.t.Helper()
	var out []string
	for _, r := range w.records(id) {
		out = append(out, fmt.Sprintf("%d %s", r.Version, r.Outcome))
	}
	return out
}

// last is the newest record of an employee.
func (w *world) last(id string) told {
	w.t.Helper()
	rs := w.records(id)
	if len(rs) == 0 {
		return told{}
	}
	return rs[len(rs)-1]
}

// until waits for the newest record of an employee to be this.
func (w *world) until(id, want string) told {
	w.t.Helper()
	w.eventually(func() string {
		if r := w.last(id); fmt.Sprintf("%d %s", r.Version, r.Outcome) != want {
			return fmt.Sprintf("%s: want %q, records are %q", id, want, w.outcomes(id))
		}
		return ""
	})
	return w.last(id)
}

// caughtUp waits until every change and every leaver's pointer was acknowledged.
func (w *world) caughtUp() {
	w.t.Helper()
	for durable, filter := range map[string]string{topology.DeliveryPeople(target): "hr.employee.>", topology.DeliveryLeavers(target): "hr.leaver.>"} {
		last, err := w.bus.Last(w.t.Context(), topology.People, filter)
		if errors.Is(err, bus.ErrNotFound) {
			continue
		}
		if err != nil {
			w.t.Fatal(err)
		}
		w.eventually(func() string {
			s, err := w.bus.ConsumerState(w.t.Context(), topology.People, durable)
			if err != nil {
				return err.Error()
			}
			if s.AckFloor < last.Seq {
				return fmt.Sprintf("%s is at %d of %d", durable, s.AckFloor, last.Seq)
			}
			return ""
		})
	}
}

// eventually asks until the answer is "", which says what is missing.
func (w *world) eventually(missing func() string) {
	w.t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		what := missing()
		if what == "" {
			return
		}
		select {
		case <-deadline:
			w.t.Fatalf("still: %s", what)
		case <-tick.C:
		}
	}
}

// parked counts the messages that wait at the target.
func (w *world) parked(id string) uint64 {
	w.t.Helper()
	n, err := w.bus.Subjects(w.t.Context(), topology.Parked, topology.ParkedAt(target, id))
	if err != nil {
		w.t.Fatal(err)
	}
	return n[topology.ParkedAt(target, id)]
}

// letters are the heads of all dead letters.
func (w *world) letters() []record.DeadLetter {
	w.t.Helper()
	var out []record.DeadLetter
	err := w.bus.Each(w.t.Context(), topology.Dead, "hr.dead.>", func(in bus.In) error {
		var d record.DeadLetter
		head, err := seal.Head(in.Event.Data())
		if err == nil {
			err = json.Unmarshal(head, &d)
		}
		if want := topology.DeadLetter(topology.StageDeliver, cmp.Or(d.Integration, d.Target), d.Employee, d.Event); in.Subject != want {
			w.t.Errorf("dead letter on %s, want %s", in.Subject, want)
		}
		out = append(out, d)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// vendor is a sink with memory. What it does with a call can be replaced.
type vendor struct {
	mu      sync.Mutex
	effects connector.Effects
	calls   []connector.Delivery // of Apply, also of those that fail
	finds   []connector.Delivery
	people  map[string]map[string]any // by key
	seen    chan connector.Delivery   // every Apply, when it begins

	nameless bool // gives no refs: people are known by our id

	// fail, if set, is asked before the effect of the n-th Apply for an
	// employee, from 1; after, once it is there.
	fail  func(d connector.Delivery, n int) error
	after func(ctx context.Context, d connector.Delivery, n int) error
	find  func(d connector.Delivery) ([]connector.Found, error)
	key   func(d connector.Delivery) string // the name there, if it is not the one given first
}

func newVendor() *vendor {
	return &vendor{people: map[string]map[string]any{}, seen: make(chan connector.Delivery, 1024), effects: connector.Effects{StateLike: true}}
}

func (v *vendor) Effects() connector.Effects { return v.effects }

func (v *vendor) Apply(ctx context.Context, d connector.Delivery, _ connector.Progress) (connector.Receipt, error) {
	v.mu.Lock()
	v.calls = append(v.calls, d)
	n := 0
	for _, c := range v.calls {
		if c.ID == d.ID {
			n++
		}
	}
	fail, after := v.fail, v.after
	v.mu.Unlock()
	v.seen <- d
	if fail != nil {
		if err := fail(d, n); err != nil {
			return connector.Receipt{}, err
		}
	}
	v.mu.Lock()
	key := d.Refs["id"]
	if v.key != nil {
		key = v.key(d)
	}
	if key == "" {
		key = fmt.Sprintf("k%d", len(v.people)+1)
	}
	v.people[key] = d.Body
	v.mu.Unlock()
	if after != nil {
		if err := after(ctx, d, n); err != nil {
			return connector.Receipt{}, err
		}
	}
	if v.nameless {
		return connector.Receipt{}, nil
	}
	return connector.Receipt{Refs: connector.Refs{"id": key}, Key: key}, nil
}

func (v *vendor) Find(_ context.Context, d connector.Delivery) ([]connector.Found, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.finds = append(v.finds, d)
	if v.find != nil {
		return v.find(d)
	}
	return nil, nil
}

// of are the calls for one employee.
func (v *vendor) of(id string) []connector.Delivery {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(v.calls), func(d connector.Delivery) bool { return d.ID != id })
}

// versions are those that were called for, in order.
func (v *vendor) versions(id string) []uint64 {
	var out []uint64
	for _, d := range v.of(id) {
		out = append(out, d.Version)
	}
	return out
}

func (v *vendor) size() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.people)
}

// store notes which keys were asked for.
type store struct {
	seal.Memory
	mu    sync.Mutex
	asked []string
}

func (s *store) Get(ctx context.Context, subject string) ([]byte, error) {
	s.mu.Lock()
	s.asked = append(s.asked, subject)
	s.mu.Unlock()
	return s.Memory.Get(ctx, subject)
}

// askedFor tells how often a key of this part was asked for since the last call.
func (s *store) askedFor(part seal.Part) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, k := range s.asked {
		if strings.HasPrefix(k, "hr.key."+string(part)+".") {
			n++
		}
	}
	s.asked = nil
	return n
}

// metrics remembers what was counted.
type metrics struct {
	mu       sync.Mutex
	attempts map[string]int
	parked   int
	dead     int
	breaker  []bool
	latency  int
}

func (m *metrics) hooks() Metrics {
	in := func(f func()) { m.mu.Lock(); defer m.mu.Unlock(); f() }
	return Metrics{
		Attempt: func(o string) {
			in(func() {
				if m.attempts == nil {
					m.attempts = map[string]int{}
				}
				m.attempts[o]++
			})
		},
		Latency: func(time.Duration) { in(func() { m.latency++ }) },
		Parked:  func(n int) { in(func() { m.parked = n }) },
		Dead:    func() { in(func() { m.dead++ }) },
		Breaker: func(open bool) { in(func() { m.breaker = append(m.breaker, open) }) },
	}
}

func (m *metrics) read(f func(*metrics)) { m.mu.Lock(); defer m.mu.Unlock(); f(m) }

// publishMarker parks an employee as a process before us did, which died before
// it scheduled a wake-up.
func (w *world) publishMarker(id string) {
	w.t.Helper()
	data, err := w.codec.Sealer.Seal(w.t.Context(), "", "", seal.Envelope{Head: []byte(`{"target":"okta","employee":"` + id + `"}`)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.publish(topology.Parked, bus.Out{Subject: topology.ParkedAt(target, id), Event: event.New("p-"+id, "/muster/acme/delivery-okta", event.DeliveryParkedV1, data)})
}
