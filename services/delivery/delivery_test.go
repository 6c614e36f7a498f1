package delivery

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connectors"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/service"
	"github.com/muster-hr/muster/libs/testkit"
	"github.com/muster-hr/muster/libs/topology"
)

// world is a broker, a company on it, and what a service finds around it.
type world struct {
	t       *testing.T
	bus     *bus.Bus
	codec   record.Codec
	company *config.Company
	host    service.Host
	log     *safe
	url     chan string
}

func newWorld(t *testing.T, to *config.Target, fields ...string) *world {
	t.Helper()
	srv := testkit.JetStream(t)
	b := testkit.Bus(t, srv, testkit.SmallCompany())
	text := seal.NewMaster()
	master, err := seal.ParseMaster(text)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.New(t.Context(), service.KeysOn(b, "acme"), master, seal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	to.Environment = config.Test
	to.Limits = config.Limits{InFlight: 4, Timeout: 10 * time.Second}
	to.Retry = config.Retry{First: time.Millisecond, Max: 50 * time.Millisecond, Budget: time.Hour}
	w := &world{t: t, bus: b, codec: record.Codec{Sealer: sealer, Company: "acme"}, log: &safe{}, url: make(chan string, 4)}
	w.company = &config.Company{
		Name: "acme", Environment: config.Test, Zone: time.UTC, Version: "c1", Targets: map[string]*config.Target{to.Name: to},
		Integrations: map[string]*config.Integration{"main": {Name: "main", To: to.Name, Fields: fields, Mode: config.ModeOn, OnLeave: config.OnLeaveDisable}},
	}
	env := map[string]string{"MUSTER_MASTER_KEY": "env:KEY", "KEY": text.Reveal(), "MUSTER_TARGET": to.Name}
	w.host = service.Host{
		Getenv: func(k string) string { return env[k] }, Stdout: w.log, Server: srv, Company: w.company,
		Listening: func(_, url string) { w.url <- url },
	}
	return w
}

// start runs the service; stop ends it as SIGTERM does.
func (w *world) start() (url string, stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, w.host) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	})
	w.t.Cleanup(stop)
	select {
	case url = <-w.url:
	case <-time.After(20 * time.Second):
		w.t.Fatal("it does not listen")
	}
	return url, stop
}

func (w *world) say(id string, version uint64, changed string, fields employee.Flat) {
	w.t.Helper()
	s := employee.State{Head: employee.Head{ID: id, Version: version, Status: employee.Active, Changed: []string{changed}, AcceptedAt: time.Now().UTC()}, Fields: fields}
	head, basic, restricted, err := s.Encode(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	ev, typ := fmt.Sprintf("ev-%s-%d", id, version), event.EmployeeUpdatedV1
	data, err := w.codec.Sealer.Seal(w.t.Context(), id, ev+"|"+typ, seal.Envelope{Head: head, Basic: basic, Restricted: restricted})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.bus.Publish(w.t.Context(), topology.People, bus.Out{Subject: topology.Employee(id), Event: event.New(ev, "/muster/acme/transform", typ, data)}); err != nil {
		w.t.Fatal(err)
	}
}

// outcomes are the records of an employee as "version outcome".
func (w *world) outcomes(target, id string) string {
	w.t.Helper()
	var out []string
	err := w.bus.Each(w.t.Context(), topology.Delivered, topology.DeliveredTo(target, id), func(in bus.In) error {
		d, err := w.codec.OpenDelivery(w.t.Context(), id, in.Event, false)
		out = append(out, fmt.Sprintf("%d %s", d.Version, d.Outcome))
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.Join(out, ", ")
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

func (w *world) until(target, id, want string) {
	w.t.Helper()
	w.eventually(func() string {
		if got := w.outcomes(target, id); got != want {
			return fmt.Sprintf("records %q, want %q", got, want)
		}
		return ""
	})
}

type safe struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safe) Write(p []byte) (int, error) { s.mu.Lock(); defer s.mu.Unlock(); return s.b.Write(p) }
func (s *safe) String() string              { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

// vendor takes everything but what it refuses.
type vendor struct{ refuse string }

func (v vendor) Effects() connector.Effects { return connector.Effects{StateLike: true} }
func (v vendor) Find(context.Context, connector.Delivery) ([]connector.Found, error) {
	return nil, nil
}

func (v vendor) Apply(_ context.Context, d connector.Delivery, _ connector.Progress) (connector.Receipt, error) {
	if d.ID == v.refuse {
		return connector.Receipt{}, &fault.Error{Class: fault.Record, Reason: "status_422", Path: "name", Rule: "E1"}
	}
	return connector.Receipt{Refs: connector.Refs{"id": d.ID}}, nil
}

func okta(v vendor) *config.Target {
	return &config.Target{Account: config.Account{Name: "okta", Connector: "fake", Type: connector.Type{
		Sink: func(connector.Account) (connector.Sink, error) { return v, nil },
	}}}
}

func TestRun(t *testing.T) {
	w := newWorld(t, okta(vendor{refuse: "emp2"}), "name")
	url, stop := w.start()
	w.say("emp1", 1, "name.given", employee.Flat{"name.given": "Zoltan"})
	w.say("emp2", 1, "name.given", employee.Flat{"name.given": "Zenobia"})
	w.until("okta", "emp1", "1 intended, 1 applied")
	w.until("okta", "emp2", "1 intended, 1 dead")
	w.eventually(func() string {
		if body := get(t, url+"/readyz"); !strings.Contains(body, `"ready":true`) {
			return body
		}
		return ""
	})
	w.eventually(func() string { // counted after the record
		body := get(t, url+"/metrics")
		for _, line := range []string{
			`muster_delivery_attempts_total{outcome="applied",target="okta"} 1`,
			`muster_delivery_attempts_total{outcome="dead",target="okta"} 1`,
			`muster_delivery_latency_seconds_count{target="okta"} 1`,
			`muster_dead{stage="deliver"} 1`, `muster_parked{target="okta"} 0`, `muster_breaker_state{target="okta"} 0`,
		} {
			if !strings.Contains(body, line+"\n") {
				return "no " + line
			}
		}
		return ""
	})
	stop()
	if s := w.log.String(); strings.Contains(s, "Zoltan") || strings.Contains(s, "Zenobia") || !strings.Contains(s, "status_422") {
		t.Errorf("log: %s", s)
	}
}

func TestAPausedTargetGetsNothingUntilItIsNot(t *testing.T) {
	to := okta(vendor{})
	w := newWorld(t, to, "name")
	to.Paused = true
	url, stop := w.start()
	w.say("emp1", 1, "name.given", employee.Flat{"name.given": "Zoltan"})
	w.eventually(func() string {
		if body := get(t, url+"/readyz"); !strings.Contains(body, `"ready":true`) {
			return body
		}
		return ""
	})
	stop()
	if got := w.outcomes("okta", "emp1"); got != "" {
		t.Errorf("records %q", got)
	}
	to.Paused = false
	w.start()
	w.until("okta", "emp1", "1 intended, 1 applied")
}

func TestWhatCannotBeServed(t *testing.T) {
	err := Run(t.Context(), service.Host{Getenv: func(string) string { return "" }})
	if !errors.Is(err, service.ErrConfig) || !strings.Contains(err.Error(), "MUSTER_TARGET") {
		t.Errorf("without a target: %v", err)
	}
	to := okta(vendor{})
	w := newWorld(t, to, "name")
	if err := RunTarget("nobody")(t.Context(), w.host); !errors.Is(err, service.ErrConfig) || !strings.Contains(err.Error(), "targets/nobody.yaml") {
		t.Errorf("an unknown target: %v", err)
	}
	to.Type.Sink = nil
	if err := Run(t.Context(), w.host); !errors.Is(err, service.ErrConfig) || !strings.Contains(err.Error(), "cannot be written to") {
		t.Errorf("a connector that cannot write: %v", err)
	}
}

// teamEvent is what stands in a team's stream.
type teamEvent struct {
	Subject, ID, Sequence string
	Employee              map[string]any
}

func (w *world) teamEvents() []teamEvent {
	w.t.Helper()
	var out []teamEvent
	err := w.bus.Each(w.t.Context(), topology.TeamStream("bi"), "hr.team.bi.>", func(in bus.In) error {
		var data struct{ Employee map[string]any }
		err := json.Unmarshal(in.Event.Data(), &data)
		s, _ := in.Event.Extensions()["sequence"].(string)
		out = append(out, teamEvent{in.Subject, in.Event.ID(), strings.TrimLeft(s, "0"), data.Employee})
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func bi() *config.Target {
	return &config.Target{Account: config.Account{Name: "team-bi", Connector: "nats", Type: connectors.All["nats"]}}
}

// TestATeamGetsEveryChangeOnceAndInOrder, in clear and minimised, also when the
// memory of what was delivered is behind the team's stream.
func TestATeamGetsEveryChangeOnceAndInOrder(t *testing.T) {
	w := newWorld(t, bi(), "name.given")
	// A process before us appended version 1 and died before it said so.
	if err := (team{w.bus}).Append(t.Context(), "bi", connector.TeamEvent{
		ID: "ev-emp1-1", Type: event.EmployeeUpdatedV1, Employee: "emp1", Sequence: 1, Time: time.Now(), Data: []byte(`{"employee":{"name":{"given":"A"}}}`),
	}, 0); err != nil {
		t.Fatal(err)
	}
	for v, given := range []string{"A", "B", "C", "D"} {
		w.say("emp1", uint64(v+1), "name.given", employee.Flat{"name.given": given, "work_email": "x@y.test", "compensation.amount": "5"})
	}
	_, stop := w.start()
	w.until("team-bi", "emp1", "1 unchanged, 2 applied, 3 applied, 4 applied")
	stop()
	w.say("emp1", 5, "name.given", employee.Flat{"name.given": "E"})
	w.say("emp1", 6, "work_email", employee.Flat{"name.given": "E", "work_email": "z@y.test"})
	w.say("emp1", 7, "name.given", employee.Flat{"name.given": "F"})
	w.start()
	w.until("team-bi", "emp1", "1 unchanged, 2 applied, 3 applied, 4 applied, 5 applied, 7 applied")
	var want []teamEvent
	for i, v := range []int{1, 2, 3, 4, 5, 7} {
		want = append(want, teamEvent{
			Subject: topology.TeamEvent("bi", "updated", "emp1"), ID: fmt.Sprintf("ev-emp1-%d", v), Sequence: fmt.Sprint(v),
			Employee: map[string]any{"name": map[string]any{"given": string(rune('A' + i))}},
		})
	}
	if d := cmp.Diff(want, w.teamEvents()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestTeamAppend: of two writers that saw the same end one appends, whatever
// the verbs of their events, and other people's events are no hindrance.
func TestTeamAppend(t *testing.T) {
	w := newWorld(t, bi(), "name.given")
	log := team{w.bus}
	put := func(id, typ string, sequence, at uint64) error {
		return log.Append(t.Context(), "bi", connector.TeamEvent{ID: fmt.Sprintf("%s-%d", id, sequence), Type: typ, Employee: id, Sequence: sequence, Time: time.Now(), Data: []byte("{}")}, at)
	}
	if s, at, err := log.LastSequence(t.Context(), "bi", "emp1"); s != 0 || at != 0 || err != nil {
		t.Fatalf("an empty log is at %d, %d, %v", s, at, err)
	}
	if err := put("emp1", event.EmployeeHiredV1, 1, 0); err != nil {
		t.Fatal(err)
	}
	if err := put("emp2", event.EmployeeHiredV1, 1, 0); err != nil {
		t.Fatal(err)
	}
	s, at, err := log.LastSequence(t.Context(), "bi", "emp1")
	if s != 1 || at != 1 || err != nil {
		t.Fatalf("the log is at %d, %d, %v", s, at, err)
	}
	if err := put("emp1", event.EmployeeUpdatedV1, 2, at); err != nil {
		t.Fatal(err)
	}
	err = put("emp1", event.EmployeeTerminatedV1, 3, at)
	if f := fault.Of(err); f == nil || f.Class != fault.Transient || f.Reason != "conflict" {
		t.Errorf("a second writer at the same place: %v", err)
	}
	if n := len(w.teamEvents()); n != 3 {
		t.Errorf("%d events, want 3", n)
	}
	strange := event.New("x", "/elsewhere", event.EmployeeUpdatedV1, []byte("{}"))
	if _, err := w.bus.Publish(t.Context(), topology.TeamStream("bi"), bus.Out{Subject: topology.TeamEvent("bi", "updated", "emp1"), Event: strange}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := log.LastSequence(t.Context(), "bi", "emp1"); fault.Of(err).Class != fault.Target {
		t.Errorf("an event that is not ours: %v", err)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
