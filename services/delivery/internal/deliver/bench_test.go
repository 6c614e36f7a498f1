package deliver

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connectors"
	httpconn "github.com/muster-hr/muster/libs/connectors/http"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// yard is the payroll of the company w1 with changes of a thousand people that
// are to be brought to it. Its traces are not sampled, as most are not.
type yard struct {
	*Deliverer
	ins    []bus.In
	before []*record.Delivery // what is remembered of each
}

func newYard(b *testing.B) *yard {
	b.Helper()
	company, problems := config.Load(filepath.Join("..", "..", "..", "..", "deploy", "w1"), connectors.All)
	if len(problems) > 0 {
		b.Fatal(problems[0])
	}
	w := newWorld(b)
	to := company.Targets["payroll"]
	sink, err := httpconn.Type.Sink(connector.Account{
		Name: to.Name, BaseURL: to.BaseURL, Settings: to.Settings, Transport: thankful{}, Now: time.Now,
	})
	if err != nil {
		b.Fatal(err)
	}
	y := &yard{}
	y.Deliverer, _ = w.make(func(d *Deps) {
		d.Company, d.Target, d.Sink = company, to, sink
		d.Tracer = sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample()))).Tracer("")
	})
	for n := range 1000 {
		id, ev := fmt.Sprintf("01J8Z3K5V9QW7XKPRT2M4N%04d", n), fmt.Sprintf("raw-%d-employee", n)
		number := fmt.Sprint(100000 + n)
		st := employee.State{
			Head: employee.Head{ID: id, Version: 2, Status: "active", Source: "http", Event: ev, AcceptedAt: time.Now().UTC(), Config: company.Version,
				Changed: []string{"compensation.amount", "custom.event_number", "employment.status", "positions[].department", "positions[].location", "positions[].title"}},
			Fields: employee.Flatten(employee.Tree{
				"external": employee.Tree{"http": []any{number}}, "custom": employee.Tree{"event_number": "evt-42"}, "employee_number": number,
				"name":       employee.Tree{"given": "Alexandra", "middle": "Marie", "family": "Montgomery-" + number, "preferred": "Alex"},
				"work_email": "alexandra.montgomery." + number + "@example.test", "birth_date": "1988-02-13",
				"national_ids":  []any{employee.Tree{"country": "US", "kind": "ssn", "value": "SSN-900-11-" + number}},
				"employment":    employee.Tree{"status": "active", "type": "full_time", "hire_date": "2019-12-03", "termination_date": nil, "country": "DE"},
				"positions":     []any{employee.Tree{"primary": true, "title": "Senior Software Engineer", "department": "Engineering", "division": "EMEA", "location": "Berlin", "cost_center": "CC-4711"}},
				"compensation":  employee.Tree{"amount": "817.50", "currency": "USD", "period": "month", "kind": "salary"},
				"bank_accounts": []any{employee.Tree{"iban": "IBAN-DE00-" + number}},
			}),
		}
		head, basic, restricted, err := st.Encode(company.Custom)
		if err != nil {
			b.Fatal(err)
		}
		data, err := y.Codec.Sealer.Seal(b.Context(), id, ev+"|"+event.EmployeeUpdatedV1, seal.Envelope{Head: head, Basic: basic, Restricted: restricted})
		if err != nil {
			b.Fatal(err)
		}
		y.ins = append(y.ins, bus.In{
			Subject: topology.Employee(id), Seq: uint64(n + 1), Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
			Event: event.New(ev, "/muster/w1/transform", event.EmployeeUpdatedV1, data),
		})
		y.before = append(y.before, &record.Delivery{
			Target: to.Name, Integration: "payroll", Employee: id, Event: "raw-0", Version: 1, Attempt: 1, Outcome: record.OutcomeApplied,
			Done: 1, Digest: strings.Repeat("d", 22), Status: "active", Trace: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
		})
	}
	return y
}

// thankful answers 200 to every call.
type thankful struct{}

func (thankful) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return nil, err
		}
	}
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
}

// BenchmarkAttempt is a whole delivery, from the sealed state to the outcome on
// its way to a broker in the same process. The network is left out.
func BenchmarkAttempt(b *testing.B) {
	y := newYard(b)
	b.ReportAllocs()
	var under []func(context.Context) error
	for n := 0; b.Loop(); n++ {
		in := y.ins[n%len(y.ins)]
		y.memory.Add(topology.Last(in.Subject), y.before[n%len(y.ins)])
		m, durable, err := y.attempt(b.Context(), in)
		if err != nil || durable == nil || m.Done != 2 {
			b.Fatal(m.Outcome, err)
		}
		if under = append(under, durable); len(under) == len(y.ins) {
			b.StopTimer()
			for _, durable := range under {
				if err := durable(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			under = under[:0]
			b.StartTimer()
		}
	}
}

// BenchmarkPrepare is the part of it before the call.
func BenchmarkPrepare(b *testing.B) {
	y := newYard(b)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		in, before := y.ins[n%len(y.ins)], y.before[n%len(y.ins)]
		h, err := headOf(in)
		if err != nil {
			b.Fatal(err)
		}
		m := y.begin(before, before.Employee, in, h)
		ok, err := y.prepare(b.Context(), &job{mem: &m, event: true}, in, h)
		if err != nil || !ok {
			b.Fatal(ok, err)
		}
	}
}
