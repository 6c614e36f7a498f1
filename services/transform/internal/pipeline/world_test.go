package pipeline

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/service"
	"github.com/muster-hr/muster/libs/testkit"
	"github.com/muster-hr/muster/libs/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// body is a record of every source in these tests.
const bodyMapping = `
effective: from
fields:
  employee_number: number
  name.given: given
  name.family: family
  work_email: email
  employment.status: status
  employment.hire_date: hired
  employment.termination_date: ended
  positions[primary].title: title
  compensation.amount: pay
  national_ids[US/ssn].value: ssn
`

// smallCompany has three accounts: hris ranks first and is also a target, ats
// ranks second, desk third and may not set pay.
func smallCompany() *config.Company {
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		panic(err)
	}
	source := func(name string) *config.Source {
		return &config.Source{
			Account:  config.Account{Name: name, Settings: map[string]any{"our_id_field": "our_id"}},
			LinkWait: time.Minute,
			Mapping:  mapping.MustParse(name+".yaml", []byte(bodyMapping), mapping.Options{Source: name}),
			Match:    []config.MatchRule{{By: config.ByEmployeeNumber, Sure: true}, {By: config.ByWorkEmail, Sure: name != "desk"}},
		}
	}
	return &config.Company{
		Name: "acme", Environment: config.Test, Zone: zone, Version: "c0ffee",
		Sources:   map[string]*config.Source{"hris": source("hris"), "ats": source("ats"), "desk": source("desk")},
		Targets:   map[string]*config.Target{"hris": {Account: config.Account{Name: "hris"}, Source: "hris"}},
		Authority: config.Authority{Default: []string{"hris", "ats", "desk"}, Fields: []config.Ownership{{Path: "compensation", Sources: []string{"hris", "ats"}}}},
	}
}

// hand is a clock that only moves when told.
type hand struct {
	mu  sync.Mutex
	now time.Time
}

func (h *hand) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *hand) set(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = t.UTC() // as the machine's clock: zones are the pipeline's business
}

func (h *hand) add(d time.Duration) { h.set(h.Now().Add(d)) }

// world is a broker with a company on it.
type world struct {
	testing.TB
	srv     *bus.Server
	bus     *bus.Bus
	codec   record.Codec
	company *config.Company
	clock   *hand
	log     *lines

	mu       sync.Mutex
	outcomes map[string]int
}

type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return worldOn(t, testkit.JetStream(t))
}

func worldOn(t testing.TB, srv *bus.Server) *world {
	t.Helper()
	b := testkit.Bus(t, srv, bus.Names{Sources: []string{"hris", "ats", "desk"}, Targets: []string{"hris"}})
	master, err := seal.ParseMaster(seal.NewMaster())
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.New(t.Context(), service.KeysOn(b, "acme"), master, seal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &world{
		TB: t, srv: srv, bus: b, codec: record.Codec{Sealer: sealer, Company: "acme"}, company: smallCompany(),
		clock: &hand{now: time.Date(2026, 6, 15, 16, 0, 0, 0, time.UTC)}, log: &lines{}, outcomes: map[string]int{},
	}
}

func (w *world) pipeline() *Pipeline {
	w.Helper()
	p, err := New(Deps{
		Bus: w.bus, Codec: w.codec, Company: w.company, Clock: w.clock, Log: slog.New(slog.NewTextHandler(w.log, nil)),
		Tracer: noop.NewTracerProvider().Tracer(""),
		Metrics: Metrics{
			Record: func(_, outcome string) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.outcomes[outcome]++
			},
			Change: func(string) {}, Dead: func(string) {},
		},
	})
	if err != nil {
		w.Fatal(err)
	}
	return p
}

func (w *world) outcome(name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.outcomes[name]
}

// start runs a pipeline until stop, which waits for its end.
func (w *world) start() (stop func()) {
	p := w.pipeline()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = p.Run(ctx)
	}()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			<-done
		})
	}
	w.Cleanup(stop)
	return stop
}

// works runs a pipeline over everything that is in RAW.
func (w *world) works() {
	w.Helper()
	stop := w.start()
	w.settled()
	stop()
}

// settled waits until everything in RAW is acknowledged.
func (w *world) settled() {
	w.Helper()
	w.eventually(func() string {
		raw, err := w.bus.StreamState(w.Context(), topology.Raw)
		if err != nil {
			return err.Error()
		}
		s, err := w.bus.ConsumerState(w.Context(), topology.Raw, topology.TransformRaw)
		switch {
		case err != nil:
			return err.Error()
		case s.AckFloor < raw.LastSeq:
			return "not all records are acknowledged\n" + w.log.String()
		}
		return ""
	})
}

func (w *world) eventually(missing func() string) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 30*time.Second)
	defer cancel()
	ticker := time.NewTicker(3 * time.Millisecond)
	defer ticker.Stop()
	for {
		what := missing()
		if what == "" {
			return
		}
		select {
		case <-ctx.Done():
			w.Fatalf("still: %s", what)
		case <-ticker.C:
		}
	}
}

// says is what a source says, by the names in bodyMapping.
type says map[string]any

// said is a message of a source; the zero version means that it gives none.
type said struct {
	source, key, id string
	version         connector.Version
	partial         bool
	deleted         bool
	body            says
}

func seq(v string) connector.Version {
	return connector.Version{Scale: connector.ScaleSequence, Value: v}
}

func at(v string) connector.Version { return connector.Version{Scale: connector.ScaleTime, Value: v} }

// say stores a record in RAW.
func (w *world) say(s said) uint64 {
	w.Helper()
	return w.send(func() (record.Message, error) { return w.pack(s) })
}

func (w *world) pack(s said) (record.Message, error) {
	body, err := json.Marshal(s.body)
	if err != nil {
		return record.Message{}, err
	}
	return w.codec.Receive(w.Context(), s.source, connector.Record{Key: s.key, ID: s.id, Event: "word", Version: s.version, Partial: s.partial, Deleted: s.deleted, Body: body}, w.clock.Now())
}

func (w *world) packed(s said) record.Message {
	w.Helper()
	m, err := w.pack(s)
	if err != nil {
		w.Fatal(err)
	}
	return m
}

// link stores the word of a delivery in RAW.
func (w *world) link(source, key, id string, sent map[string]string) uint64 {
	w.Helper()
	return w.linkAs(source, key, id, sent, id+key)
}

func (w *world) linkAs(source, key, id string, sent map[string]string, unique string) uint64 {
	w.Helper()
	return w.send(func() (record.Message, error) {
		return w.codec.Link(w.Context(), record.Linked{Source: source, Employee: id, Target: source, AcceptedAt: w.clock.Now(), Key: key, Sent: sent}, unique)
	})
}

func (w *world) store(m record.Message) uint64 {
	w.Helper()
	return w.send(func() (record.Message, error) { return m, nil })
}

// send packs and publishes, again while the broker is away.
func (w *world) send(pack func() (record.Message, error)) (n uint64) {
	w.Helper()
	w.eventually(func() string {
		m, err := pack()
		if err == nil {
			n, err = w.bus.Publish(w.Context(), topology.Raw, bus.Out{Subject: m.Subject, Event: m.Event})
		}
		if err != nil {
			return err.Error()
		}
		return ""
	})
	return n
}

func (w *world) token(source, key string) string { return w.codec.Token(source, key) }

// id is that of the person whom the first record of a key makes.
func (w *world) id(source, key string) string {
	return w.codec.Sealer.Token("employee", source, key)
}

// statement is the newest of a key; the zero one if there is none.
func (w *world) statement(source, key string) record.Statement {
	w.Helper()
	in, err := w.bus.Last(w.Context(), topology.People, topology.Said(source, w.token(source, key)))
	if err != nil {
		return record.Statement{}
	}
	st, err := w.codec.OpenStatement(w.Context(), w.token(source, key), in.Event)
	if err != nil {
		w.Fatal(err)
	}
	return st
}

// entry is one message of an employee's log.
type entry struct {
	in    bus.In
	typ   string
	state *employee.State
}

// history is the log of an employee; its versions must be consecutive.
func (w *world) history(id string) []entry {
	w.Helper()
	var out []entry
	err := w.bus.Each(w.Context(), topology.People, topology.Employee(id), func(in bus.In) error {
		env, err := w.codec.Sealer.Open(w.Context(), id, in.Event.ID()+"|"+in.Event.Type(), in.Event.Data(), seal.Basic, seal.Restricted)
		if err != nil {
			return err
		}
		h, err := employee.ReadHead(env.Head)
		if err != nil {
			return err
		}
		s, err := employee.DecodeState(h, env.Basic, env.Restricted)
		if err != nil {
			return err
		}
		out = append(out, entry{in, event.Verb(in.Event.Type()), s})
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
	for i, e := range out {
		if e.state.Version != uint64(i+1) {
			w.Errorf("message %d of the log of %s has version %d", i+1, id, e.state.Version)
		}
	}
	return out
}

// verbs are the event types of an employee's log.
func (w *world) verbs(id string) string {
	w.Helper()
	var out []string
	for _, e := range w.history(id) {
		out = append(out, e.typ)
	}
	return strings.Join(out, " ")
}

// state is an employee's newest; an empty one if there is none.
func (w *world) state(id string) *employee.State {
	w.Helper()
	h := w.history(id)
	if len(h) == 0 {
		return &employee.State{}
	}
	return h[len(h)-1].state
}

// letters are the dead letters, opened, by the ce-id of the record.
func (w *world) letters() map[string]record.DeadLetter {
	w.Helper()
	out := map[string]record.DeadLetter{}
	err := w.bus.Each(w.Context(), topology.Dead, "hr.dead.>", func(in bus.In) error {
		h, err := seal.Head(in.Event.Data())
		if err != nil {
			return err
		}
		var d record.DeadLetter
		if err := json.Unmarshal(h, &d); err != nil {
			return err
		}
		env, err := w.codec.Sealer.Open(w.Context(), topology.Token(in.Subject, 4), in.Event.ID()+"|"+in.Event.Type(), in.Event.Data(), seal.Restricted)
		if err != nil {
			return err
		}
		var s struct {
			Key  string
			Body json.RawMessage
		}
		if err := json.Unmarshal(env.Restricted, &s); err != nil {
			return err
		}
		d.Key, d.Body = s.Key, s.Body
		out[d.Event] = d
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
	return out
}

// people counts the messages in PEOPLE.
func (w *world) people() uint64 {
	w.Helper()
	s, err := w.bus.StreamState(w.Context(), topology.People)
	if err != nil {
		w.Fatal(err)
	}
	return s.LastSeq
}

// expect compares leaves of an employee's newest state.
func (w *world) expect(id string, want employee.Flat) {
	w.Helper()
	got := w.state(id)
	for leaf, v := range want {
		if !employee.Equal(got.Fields[leaf], v) {
			w.Errorf("%s is %v, want %v", leaf, got.Fields[leaf], v)
		}
	}
}

// hands is a pipeline at one point of its way, for what a crash leaves behind.
func (w *world) hands() *Pipeline {
	w.Helper()
	p := w.pipeline()
	p.ix, p.waiting, p.group = newIndex(), map[string]waiting{}, &group{}
	if err := p.ix.load(w.Context(), w.bus, func(st record.Statement, token string) { p.await(w.Context(), st, token) }); err != nil {
		w.Fatal(err)
	}
	if err := p.ix.loadAnswers(w.Context(), w.bus); err != nil {
		w.Fatal(err)
	}
	return p
}

// process takes a message of RAW through the stages, without a commit.
func (w *world) process(p *Pipeline, n uint64) *group {
	w.Helper()
	in, err := w.bus.Get(w.Context(), topology.Raw, n)
	if err != nil {
		w.Fatal(err)
	}
	if err := p.process(w.Context(), p.open(w.Context(), in)); err != nil {
		w.Fatal(fault.Reason(err), err)
	}
	g := p.group
	p.group = &group{}
	if err := g.pack(); err != nil {
		w.Fatal(err)
	}
	return g
}
