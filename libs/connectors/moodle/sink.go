package moodle

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

// Names in Refs.
const (
	refID        = "id"
	refSuspended = "suspended" // "1" or "0" as we left the account; "": not known
	refCohorts   = "cohorts"   // id numbers of those that we put the person into, one per line
	refCourses   = "courses"   // ids of those that we enrolled the person in, one per line
	refBegun     = "begun_"    // before one of these two: those that we may have, as its answer has not come
	refAltered   = "altered"   // fields that Moodle stored otherwise or not at all when it was made, one per line
)

// sink writes to one site.
type sink struct {
	api      *api
	creates  *batch
	updates  *batch
	groups   *groups
	log      *slog.Logger
	auth     string
	password bool
	ourID    string
	preHire  string
	leave    string
	readBack bool
	told     sync.Map // what was logged as altered: once is enough
}

func newSink(a connector.Account) (connector.Sink, error) {
	c, err := newAPI(a)
	if err != nil {
		return nil, err
	}
	s := &sink{
		api: c, log: a.Log, auth: a.Text("auth"), password: a.Bool("create_password"), ourID: a.Text("our_id_field"),
		preHire: a.Text("pre_hire"), leave: a.Text("leave"), readBack: a.Bool("read_back"),
	}
	if keeps := s.auth == "manual" || s.auth == "email"; keeps && !s.password {
		return nil, errors.New("moodle: auth " + s.auth + " keeps passwords in Moodle: set create_password: true, and Moodle mails one to each new learner, or another auth")
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	most, inputs := max(1, a.Int("batch")), a.Int("max_input_vars")
	if inputs == 0 {
		inputs = 1000
	}
	s.creates = &batch{api: c, most: most, inputs: inputs, run: s.createAll}
	s.updates = &batch{api: c, most: most, inputs: inputs, run: s.updateAll}
	s.groups = &groups{api: c, role: a.Int("role_id"), most: max(1, (inputs-overhead)/4)}
	return s, nil
}

// Effects: there is no idempotency key, so a lost answer is looked for.
func (s *sink) Effects() connector.Effects { return connector.Effects{StateLike: true} }

// Apply brings account, memberships and enrolments to the wanted state.
func (s *sink) Apply(ctx context.Context, d connector.Delivery, p connector.Progress) (connector.Receipt, error) {
	if p == nil {
		p = func(context.Context, connector.Refs) error { return nil }
	}
	want, err := s.wanted(d)
	if err != nil {
		return connector.Receipt{}, err
	}
	if d.Refs[refID] == "" {
		return s.create(ctx, d, p, want)
	}
	var before fields
	if d.Before != nil {
		if before, err = fieldsOf(d.Before); err != nil {
			before = nil // a mapping of old set something that this one may not: all goes again
		}
		s.mark(before, d.ID)
	}
	r, err := s.bring(ctx, d, p, want, before)
	if is(err, reasonMissing) { // somebody deleted the account: there may be another
		d.Refs, d.Before = nil, nil
		return s.begin(ctx, d, p, want)
	}
	return r, err
}

// wanted is all that the profile shall hold.
func (s *sink) wanted(d connector.Delivery) (fields, error) {
	want, err := fieldsOf(d.Body)
	if err != nil {
		return nil, err
	}
	s.mark(want, d.ID)
	return want, nil
}

// mark puts our id on, where the company wants that.
func (s *sink) mark(f fields, id string) {
	if s.ourID != "" && f != nil {
		f[bodyCustom+"."+s.ourID] = id
	}
}

// begin serves a person whose account we do not know, or no longer.
func (s *sink) begin(ctx context.Context, d connector.Delivery, p connector.Progress, want fields) (connector.Receipt, error) {
	found, err := s.find(ctx, d)
	switch {
	case err != nil:
		return connector.Receipt{}, err
	case len(found) > 0:
		return s.adopt(ctx, d, p, want, found)
	}
	return s.create(ctx, d, p, want)
}

// adopt takes over an account that was found, if it is surely the person's.
func (s *sink) adopt(ctx context.Context, d connector.Delivery, p connector.Progress, want fields, found []user) (connector.Receipt, error) {
	if !s.sure(found, d) {
		return connector.Receipt{}, fault.New(fault.Record, reasonExists, "an account with this number, username or e-mail exists and is not surely this person's")
	}
	d.Refs = refs(d.Refs, found[0])
	if err := p(ctx, d.Refs); err != nil {
		return connector.Receipt{}, err
	}
	before := found[0].fields()
	maps.DeleteFunc(before, func(path, _ string) bool { _, ours := want[path]; return !ours })
	return s.bring(ctx, d, p, want, before)
}

// create makes an account. Delivery has looked for the person before.
func (s *sink) create(ctx context.Context, d connector.Delivery, p connector.Progress, want fields) (connector.Receipt, error) {
	if gone(d) || (d.Status == "pre_hire" && s.preHire == none) {
		return connector.Receipt{Outcome: "unchanged", Sent: []string{}}, nil
	}
	said := want.said()
	for _, path := range []string{"username", "firstname", "lastname", "email"} {
		if said[path] == "" {
			f := fault.New(fault.Record, "required", "Moodle makes no account without username, first and last name and e-mail")
			f.Path = path
			return connector.Receipt{}, f
		}
	}
	sent := said.paths()
	if said["auth"] == "" {
		said["auth"] = s.auth
	}
	if s.password {
		said["createpassword"] = "1"
	}
	e := &entry{form: said.form()}
	err := s.creates.do(ctx, e)
	if is(err, reasonInvalid) || is(err, reasonExists) || is(err, reasonWrite) {
		// A duplicate looks like any other value that is refused.
		found, findErr := s.find(ctx, d)
		if findErr != nil {
			return connector.Receipt{}, findErr
		}
		if len(found) > 0 {
			return s.adopt(ctx, d, p, want, found)
		}
	}
	if err != nil {
		return connector.Receipt{}, err
	}
	d.Refs = connector.Refs{refID: e.id, refSuspended: "0"} // a create knows no suspended
	if err := p(ctx, d.Refs); err != nil {
		return connector.Receipt{}, err
	}
	r, err := s.bring(ctx, d, p, want, want)
	if err != nil {
		return connector.Receipt{}, err
	}
	if s.readBack {
		delete(said, "createpassword")
		if err := s.compare(ctx, r.Refs, said); err != nil {
			return connector.Receipt{}, err
		}
	}
	r.Outcome, r.Sent = "", append(sent, r.Sent...)
	return r, nil
}

// bring moves a known account to what d says. It is closed before anything
// else, in a call of its own that no wrong value can fail; and opened in the
// same call that brings the profile up to date.
func (s *sink) bring(ctx context.Context, d connector.Delivery, p connector.Progress, want, before fields) (connector.Receipt, error) {
	id := d.Refs[refID]
	r := connector.Receipt{Refs: maps.Clone(d.Refs), Sent: []string{}}
	moved := false
	shut := s.shut(d.Status)
	if shut && r.Refs[refSuspended] != "1" {
		if err := s.updates.do(ctx, &entry{id: id, form: form{{"id", id}, {"suspended", "1"}}}); err != nil {
			return connector.Receipt{}, err
		}
		r.Refs[refSuspended], moved = "1", true
		if err := p(ctx, r.Refs); err != nil {
			return connector.Receipt{}, err
		}
	}
	diff := want.since(before)
	opens := !shut && r.Refs[refSuspended] != "0"
	if len(diff) > 0 || opens {
		f := append(form{{"id", id}}, diff.form()...)
		if opens {
			f = append(f, pair{"suspended", "0"})
		}
		if err := s.updates.do(ctx, &entry{id: id, form: f}); err != nil {
			return connector.Receipt{}, err
		}
		moved, r.Sent = true, diff.paths()
		if opens {
			r.Refs[refSuspended] = "0"
		}
	}
	if !gone(d) {
		sent, err := s.groups.bring(ctx, d, p, r.Refs)
		if err != nil {
			return connector.Receipt{}, err
		}
		r.Sent = append(r.Sent, sent...)
	}
	if !moved && len(r.Sent) == 0 {
		r.Outcome = "unchanged"
	}
	return r, nil
}

// createAll makes accounts: all, or none of them.
func (s *sink) createAll(ctx context.Context, es []*entry) ([]error, error) {
	var args form
	for i, e := range es {
		args = append(args, e.form.below("users", i)...)
	}
	var made []user
	if err := s.api.send(ctx, fnCreate, args, &made); err != nil {
		return nil, err
	}
	for i := range es {
		if len(made) != len(es) || made[i].id() == "" {
			// Made, but unknown as whom: the next attempt looks first.
			return nil, fault.New(fault.Transient, "answer", "the accounts were made, and the answer does not say with which ids")
		}
		es[i].id = made[i].id()
	}
	return make([]error, len(es)), nil
}

// updateAll changes accounts, each for itself: those that failed are named in
// warnings.
func (s *sink) updateAll(ctx context.Context, es []*entry) ([]error, error) {
	var args form
	for i, e := range es {
		args = append(args, e.form.below("users", i)...)
	}
	var answer warned
	if err := s.api.send(ctx, fnUpdate, args, &answer); err != nil {
		return nil, err
	}
	errs := make([]error, len(es))
	for _, w := range answer.Warnings {
		n := slices.IndexFunc(es, func(e *entry) bool { return e.id == w.ItemID.String() })
		if n < 0 {
			return nil, fault.New(fault.Transient, "answer", "a warning names somebody who was not sent")
		}
		for i, e := range es { // the same account twice: neither is sure
			if e.id == es[n].id {
				errs[i] = exception{Class: "moodle_exception", Code: w.Code}.fault()
			}
		}
	}
	return errs, nil
}

// identity are the fields that the account is known by: stored otherwise, it is
// another person's.
var identity = []string{"username", "email", "idnumber", "firstname", "lastname"}

// compare reads a new account. A field that is not shown may be hidden or not
// stored, which is noted and not an error; one that is stored otherwise is.
func (s *sink) compare(ctx context.Context, r connector.Refs, sent fields) error {
	found, err := s.api.lookup(ctx, "id", r[refID])
	if err != nil {
		return err
	}
	if len(found) != 1 {
		return fault.New(fault.Target, "permission", "Moodle does not show the account it just made: grant the token's user moodle/user:viewdetails and viewalldetails")
	}
	var altered []string
	stored := found[0].fields()
	for _, path := range sent.paths() {
		if stored[path] == sent[path] {
			continue
		}
		if _, shown := stored[path]; shown && slices.Contains(identity, path) {
			f := fault.New(fault.Record, "altered", "Moodle stored another value than it was sent: it cleans what it does not allow")
			f.Path = path
			return f
		}
		altered = append(altered, path)
	}
	if len(altered) > 0 {
		r[refAltered] = strings.Join(altered, "\n")
		if _, told := s.told.LoadOrStore(r[refAltered], true); told {
			return nil
		}
		s.log.WarnContext(ctx, "moodle stored fields otherwise or does not show them", "fields", strings.Join(altered, " "))
	}
	return nil
}

// shut tells whether the account of that status is closed.
func (s *sink) shut(status string) bool {
	switch status {
	case "terminated", "withdrawn":
		return true
	case "pre_hire":
		return s.preHire != open
	case "leave":
		return s.leave == suspend
	}
	return false
}

func gone(d connector.Delivery) bool { return d.Status == "terminated" || d.Status == "withdrawn" }
