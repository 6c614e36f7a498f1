package explain

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/mapping"
	rec "github.com/muster-hr/muster/libs/record"
)

// Want is what a target shall be brought to.
type Want struct {
	Employee employee.Tree // canonical, with its `id`
	Before   *Before       // what was delivered last; nil: nothing was
	Now      time.Time
	Getenv   func(string) string
}

// Before is what a target got last.
type Before struct {
	Employee employee.Tree  `json:"employee"`
	Refs     connector.Refs `json:"refs"` // the connector's own ids
}

// Sent is what a delivery would send.
type Sent struct {
	Requests []Request `json:"requests"` // that change something; lookups are left out
	Files    []File    `json:"files"`
	Withheld []string  `json:"withheld"` // canonical paths that the employee has and the target does not get
	Flags    []string  `json:"flags"`
}

// Request is one call. Credentials are `***`.
type Request struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Body    any               `json:"body"` // JSON as such, else text; null if there is none
}

// File is one file.
type File struct {
	Name    string `json:"name"`
	Content string `json:"content"`
}

// Flags of what is sent.
const (
	FlagWaitsFor   = "waits_for"   // a person who is not known at the target was left out
	FlagNotCovered = "not_covered" // no integration of the target covers the employee
	FlagLeft       = "left"        // none does any more: what follows is its on_leave
	FlagHeld       = "held"        // a person decides first
	FlagShadow     = "shadow"      // the integration is in mode shadow: nothing is really sent
	FlagUnchanged  = "unchanged"   // the target has it already
	FlagDead       = "dead"        // would become a dead letter; reason and path follow after a colon
)

// nobody stands for an employee without an id.
const nobody = "00000000000000000000000000"

// limit bounds the sink's work: nobody is called, so it needs none.
const limit = 10 * time.Second

// Target explains a delivery to a target.
func Target(ctx context.Context, c *config.Company, name string, w Want) (Sent, error) {
	to := c.Targets[name]
	if to == nil {
		return Sent{}, fmt.Errorf("%w: there is no target %q; there are %s", ErrInput, name, strings.Join(c.TargetNames(), ", "))
	}
	out := Sent{Requests: []Request{}, Files: []File{}, Withheld: []string{}, Flags: []string{}}
	j := job{Want: w, company: c, to: to, now: w.Now.In(c.Zone), id: nobody, out: &out}
	if id, _ := w.Employee["id"].(string); id != "" {
		j.id = id
	}
	j.fields = flat(w.Employee)
	if w.Before != nil {
		j.before = flat(w.Before.Employee)
	}
	i, left, err := j.choose()
	if err != nil {
		return Sent{}, err
	}
	if i == nil {
		out.Withheld = employee.Patterns(slices.Collect(maps.Keys(j.fields)))
		out.flag(FlagNotCovered)
		return out, nil
	}
	j.integration = i
	if i.Mode == config.ModeShadow {
		out.flag(FlagShadow)
	}
	if left {
		out.flag(FlagLeft)
	}
	return out, j.deliver(ctx, left)
}

func (s *Sent) flag(f string) {
	if !slices.Contains(s.Flags, f) {
		s.Flags = append(s.Flags, f)
	}
}

// flat lists the leaves of a canonical tree; the id is not one.
func flat(t employee.Tree) employee.Flat {
	f := employee.Flatten(t)
	delete(f, "id")
	return f
}

// job is one delivery that is explained.
type job struct {
	Want
	company     *config.Company
	to          *config.Target
	integration *config.Integration
	now         time.Time
	id          string
	fields      employee.Flat
	before      employee.Flat
	out         *Sent
}

// choose finds the integration that covers the employee, or covered the one of
// before.
func (j *job) choose() (chosen *config.Integration, left bool, err error) {
	for _, who := range []employee.Tree{j.Employee, j.beforeTree()} {
		if who == nil {
			continue
		}
		for _, i := range j.company.For(j.to.Name) {
			holds := i.When == nil
			if !holds {
				if holds, err = i.When.Holds(who, j.now); err != nil {
					return nil, false, fmt.Errorf("%w: the condition of integration %s: %w", ErrInput, i.Name, err)
				}
			}
			if holds {
				return i, left, nil
			}
		}
		left = true
	}
	return nil, false, nil
}

func (j *job) beforeTree() employee.Tree {
	if j.Before == nil {
		return nil
	}
	return j.Before.Employee
}

func (j *job) deliver(ctx context.Context, left bool) error {
	leaves := employee.NewAllowList(j.integration.Fields).Minimise(j.fields)
	withheld := map[string]any{}
	for leaf := range j.fields {
		if _, sent := leaves[leaf]; !sent {
			withheld[leaf] = nil
		}
	}
	j.out.Withheld = employee.Patterns(slices.Collect(maps.Keys(withheld)))
	j.unnamed(leaves)
	status, _ := leaves["employment.status"].(string)
	was, _ := j.before["employment.status"].(string)
	if left {
		switch j.integration.OnLeave {
		case config.OnLeaveKeep:
			return nil
		case config.OnLeaveHold:
			j.out.flag(FlagHeld)
			return nil
		}
		status = employee.Terminated
	}
	d := connector.Delivery{
		ID: j.id, Event: "explain", Version: 1, Status: status, Match: match(leaves),
		Type: "hr.employee." + employee.Happened(was, text(j.fields, "employment.status")) + ".v1",
	}
	var err error
	if d.Body, err = j.body(leaves, d.Type, status); err != nil {
		return j.dead(err)
	}
	changed := employee.Changed(j.before, j.fields)
	if j.Before != nil {
		d.Version, d.Previous, d.Refs, d.Was = 2, 1, maps.Clone(j.Before.Refs), was
		earlier := employee.NewAllowList(j.integration.Fields).Minimise(j.before)
		dropManagers(earlier)
		if d.Before, err = j.body(earlier, d.Type, was); err != nil {
			return j.dead(err)
		}
	}
	d.Changed = employee.Patterns(slices.DeleteFunc(changed, func(leaf string) bool {
		_, now := leaves[leaf]
		_, then := employee.NewAllowList(j.integration.Fields).Minimise(j.before)[leaf]
		return !now && !then
	}))
	return j.apply(ctx, d)
}

// unnamed leaves out managers who are not known by our id: they cannot be named
// at the target yet.
func (j *job) unnamed(leaves employee.Flat) {
	if dropManagers(leaves) {
		j.out.flag(FlagWaitsFor)
	}
}

func dropManagers(leaves employee.Flat) (some bool) {
	for leaf, v := range leaves {
		if _, named := v.(map[string]any); named && employee.Pattern(leaf) == employee.ManagerPattern {
			delete(leaves, leaf)
			some = true
		}
	}
	return some
}

func (j *job) body(leaves employee.Flat, typ, status string) (map[string]any, error) {
	tree := leaves.Tree()
	if j.integration.Mapping == nil {
		return tree, nil
	}
	body, flags, err := j.integration.Mapping.Body(tree, mapping.Input{Account: j.to.Name, ID: j.id, Type: typ, Event: "explain", Status: status}, j.now)
	if err != nil {
		return nil, err
	}
	if len(flags.WaitsFor) > 0 {
		j.out.flag(FlagWaitsFor)
	}
	normal, _ := rec.Normal(body).(map[string]any)
	return normal, nil
}

// dead tells what would be a dead letter.
func (j *job) dead(err error) error {
	f := fault.Of(err)
	where := f.Reason
	if f.Path != "" {
		where += " " + f.Path
	}
	j.out.flag(FlagDead + ": " + where)
	return nil
}

// apply runs the connector's sink against a recorder.
func (j *job) apply(ctx context.Context, d connector.Delivery) error {
	account, getenv, err := j.account()
	if err != nil {
		return err
	}
	built, err := j.company.Account(&account, config.ForAPI, getenv)
	if err != nil {
		return fmt.Errorf("%w: target %s: %w", ErrInput, j.to.Name, err)
	}
	r := newRecorder(j.to, built, d.Refs, j.now)
	built.Transport, built.Team, built.Log = r, r, slog.New(slog.DiscardHandler)
	built.Now, built.Dry = func() time.Time { return j.now }, true
	if j.to.Type.Files != nil {
		return j.file(built, d)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	atDoor := openDoor(ctx, j.to, r.options, &built)
	if atDoor != nil {
		defer atDoor.close()
	}
	sink, err := j.to.Type.Sink(built)
	if err != nil {
		return fmt.Errorf("%w: target %s: %w", ErrInput, j.to.Name, err)
	}
	effects := sink.Effects()
	state := j.to.Kind == config.KindState || j.to.Kind == "" && effects.StateLike
	if state && j.Before != nil && d.Status == text(j.before, "employment.status") && employee.Equal(d.Before, d.Body) {
		j.out.flag(FlagUnchanged)
		return nil
	}
	saved := func(context.Context, connector.Refs) error { return nil }
	if atDoor != nil && j.Before != nil {
		// The fake knows nobody: first it is brought to what was delivered last.
		earlier := d
		earlier.Version, earlier.Previous, earlier.Body, earlier.Before, earlier.Refs = 1, 0, d.Before, nil, nil
		earlier.Status = text(j.before, "employment.status")
		receipt, err := sink.Apply(ctx, earlier, saved)
		if err != nil {
			return fmt.Errorf("target %s: bring it to the state before: %w", j.to.Name, err)
		}
		d.Refs = receipt.Refs
		atDoor.begin()
	}
	receipt, err := sink.Apply(ctx, d, saved)
	if j.out.Requests = r.requests; atDoor != nil {
		j.out.Requests = atDoor.requests(r.mask)
	}
	if f := fault.Of(err); f != nil && f.Class == fault.Record {
		return j.dead(err)
	} else if f != nil && f.Class != fault.Done {
		return fmt.Errorf("target %s: %w", j.to.Name, err)
	}
	if receipt.Outcome == "unchanged" {
		j.out.flag(FlagUnchanged)
	}
	return nil
}

// file makes the file that would hold this change alone, as the first one.
func (j *job) file(a connector.Account, d connector.Delivery) error {
	files, err := j.to.Type.Files(a)
	if err != nil {
		return fmt.Errorf("%w: target %s: %w", ErrInput, j.to.Name, err)
	}
	p, err := files.Piece(d)
	if f := fault.Of(err); f != nil && f.Class == fault.Record {
		return j.dead(err)
	} else if f != nil {
		return fmt.Errorf("target %s: %w", j.to.Name, err)
	}
	if len(p.Content) == 0 {
		j.out.flag(FlagUnchanged)
		return nil
	}
	number := max(files.Terms().FirstNumber, 1)
	f, err := files.Build(connector.Numbering{Number: number, Previous: number - 1, At: j.now}, []connector.Piece{p})
	if err != nil {
		return fmt.Errorf("target %s: %w", j.to.Name, err)
	}
	for _, part := range f.Parts {
		j.out.Files = append(j.out.Files, File{Name: part.Name, Content: string(part.Content)})
	}
	return nil
}

// account is the target's with an invented value for every secret. Nobody is
// called, so none is read, and none can be shown.
func (j *job) account() (config.Account, func(string) string, error) {
	invented := map[string]string{}
	for name := range j.to.Secrets {
		invented[name] = "invented-" + name
		if v, own := j.to.Type.Sandbox.Secrets[name]; own { // one that has a form
			invented[name] = v
		}
	}
	return given(j.to.Account, invented, j.Getenv)
}

func match(leaves employee.Flat) connector.Match {
	return connector.Match{EmployeeNumber: text(leaves, "employee_number"), WorkEmail: text(leaves, "work_email"), Username: text(leaves, "username")}
}

func text(f employee.Flat, leaf string) string { s, _ := f[leaf].(string); return s }
