package gusto

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/fault"
)

// Names in Refs.
const (
	refID    = "id"    // UUID of the employee
	refJob   = "job"   // UUID of the job
	refPay   = "pay"   // UUID of the compensation that was written last
	refEnded = "ended" // day of the termination that we wrote or confirmed
)

// sink writes into one company.
type sink struct {
	*client
	zone       *time.Location
	selfOnb    bool
	fileReport bool
	offCycle   []string
	federal    bool
	state      bool
	locations  map[string]string
	benefits   map[string]string
	effects    connector.Effects
}

func newSink(a connector.Account) (connector.Sink, error) {
	c, err := newClient(a)
	if err != nil {
		return nil, err
	}
	s := &sink{
		client: c, zone: time.UTC,
		selfOnb: a.Bool("self_onboarding"), fileReport: a.Bool("file_new_hire_report"), offCycle: a.List("off_cycle_final_pay"),
		federal: a.Bool("send_federal_taxes"), state: a.Bool("send_state_taxes"),
		locations: a.Table("locations"), benefits: a.Table("benefits"),
		effects: connector.Effects{StateLike: true, Consistency: a.Duration("consistency")},
	}
	if name := a.Text("time_zone"); name != "" {
		if s.zone, err = time.LoadLocation(name); err != nil {
			return nil, fmt.Errorf("time_zone: write an IANA name, as in America/New_York")
		}
	}
	return s, nil
}

// Effects: there is no idempotency key, so a lost answer is looked for.
func (s *sink) Effects() connector.Effects { return s.effects }

// Apply brings an employee, and all that hangs on him, to the wanted state.
func (s *sink) Apply(ctx context.Context, d connector.Delivery, p connector.Progress) (connector.Receipt, error) {
	if p == nil {
		p = func(context.Context, connector.Refs) error { return nil }
	}
	r := &run{sink: s, d: d, progress: p, refs: maps.Clone(d.Refs)}
	if r.refs == nil {
		r.refs = connector.Refs{}
	}
	err := r.find(ctx)
	if err != nil {
		return connector.Receipt{}, err
	}
	if r.refs[refID] == "" && gone(d.Status) {
		return connector.Receipt{Refs: r.refs, Outcome: "unchanged", Sent: []string{}}, nil // never there, or not any more
	}
	if err := r.check(ctx); err != nil {
		return connector.Receipt{}, err
	}
	if err := r.bring(ctx); err != nil {
		return connector.Receipt{}, err
	}
	receipt := connector.Receipt{Refs: r.refs, Key: r.refs[refID], Sent: r.sent}
	if !r.wrote {
		receipt.Outcome, receipt.Sent = "unchanged", []string{}
	}
	return receipt, nil
}

// run is one Apply.
type run struct {
	*sink
	d        connector.Delivery
	progress connector.Progress
	refs     connector.Refs

	cur     person // as read last
	created bool   // by this run: nothing hangs on him yet
	place   string // UUID of the work location; "" if none is said
	covers  map[string]string
	wrote   bool
	sent    []string
}

// find reads the employee we know, or adopts one who is there already.
func (r *run) find(ctx context.Context) error {
	var err error
	if id := r.refs[refID]; id != "" {
		r.cur, err = r.employee(ctx, id)
		if is(err, reasonMissing) && gone(r.d.Status) {
			clear(r.refs) // deleted before he started, perhaps by us
			return nil
		}
		return err
	}
	r.d.Before = nil // what was said of somebody who is not known here is not what is there
	found, err := r.search(ctx, r.d)
	switch {
	case err != nil || len(found) == 0:
		return err
	case len(found) > 1 || !found[0].sure:
		return wrong("exists", "employee", "an employee of this name exists and is not surely this person")
	}
	r.refs[refID] = found[0].UUID
	if r.cur, err = r.employee(ctx, found[0].UUID); err != nil {
		return err
	}
	return r.progress(ctx, maps.Clone(r.refs))
}

// bring takes the steps in an order in which each can be taken: a job hangs on
// an employee, pay on a job, state tax on an address. The end comes first for a
// leaver, as the last pay has a deadline, and last for somebody who only gave
// notice.
func (r *run) bring(ctx context.Context) error {
	steps := []func(context.Context) error{r.again, r.person, r.home, r.work, r.position, r.w4, r.stateTax, r.deductions, r.notice}
	if gone(r.d.Status) {
		steps = []func(context.Context) error{r.leave, r.person, r.home}
	}
	for _, step := range steps {
		if gone(r.d.Status) && r.refs[refID] == "" {
			return nil // deleted
		}
		if err := r.twice(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

// twice takes a step, and once more from what is there now if somebody was
// faster. A second time is for a person: two programs may be at odds.
func (r *run) twice(ctx context.Context, step func(context.Context) error) error {
	err := step(ctx)
	if !is(err, reasonStale) {
		return err
	}
	if r.cur, err = r.employee(ctx, r.refs[refID]); err != nil {
		return err
	}
	return step(ctx)
}

// done notes a call that had an effect, and what of the body went with it. The
// refs are durable before the next call.
func (r *run) done(ctx context.Context, paths ...string) error {
	r.wrote = true
	r.sent = append(r.sent, paths...)
	return r.progress(ctx, maps.Clone(r.refs))
}

// section is a part of the body; nil if nothing of it is said.
func (r *run) section(name string) map[string]any {
	m, _ := r.d.Body[name].(map[string]any)
	return m
}

// settled tells that a section is not said, or as it was applied last: nothing
// to look at. One that is null is said: what it held before is gone.
func (r *run) settled(name string) bool {
	want, said := r.d.Body[name]
	return !said || r.d.Before != nil && within(r.d.Before[name], want)
}

// within tells whether all of want stands in have.
func within(have, want any) bool {
	w, ok := want.(map[string]any)
	if !ok {
		return employee.Equal(have, want)
	}
	h, _ := have.(map[string]any)
	for k, v := range w {
		if old, had := h[k]; !had && v != nil || !within(old, v) {
			return false
		}
	}
	return true
}

// day is when a change without a day of its own holds from.
func (r *run) day() string {
	if r.d.Effective != "" {
		return r.d.Effective
	}
	return r.today()
}

func (s *sink) today() string { return s.now().In(s.zone).Format(time.DateOnly) }

func text(m map[string]any, name string) string { s, _ := m[name].(string); return s }

func gone(status string) bool { return status == employee.Terminated || status == employee.Withdrawn }

// paths of the named fields of a section, as the receipt tells them.
func paths(section string, fields map[string]any) []string {
	var out []string
	for k := range fields {
		if k != "version" {
			out = append(out, section+"."+k)
		}
	}
	slices.Sort(out)
	return out
}

// required is told before anything is written.
func required(path string) *fault.Error {
	return wrong(reasonRequired, path, "Gusto needs it, and nobody says it")
}
