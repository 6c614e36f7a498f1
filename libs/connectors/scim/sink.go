package scim

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

// Names in Refs.
const (
	refID     = "id"     // the server's id; what another person's manager takes
	refActive = "active" // "true" or "false" as we left the account
	refKept   = "kept"   // paths that the server did not keep as they were sent, one per line
)

// Words of the setting external_id.
const (
	ourID     = "id"
	ourNumber = "employee_number"
)

// sink writes to one server.
type sink struct {
	api       api
	server    *discovery
	style     style
	now       func() time.Time
	log       *slog.Logger
	external  string
	preHire   string
	leave     string
	left      string
	scanLimit int
	effects   connector.Effects
	told      sync.Map // what was logged as not kept: once is enough
}

func newSink(a connector.Account) (connector.Sink, error) {
	c, err := newAPI(a)
	if err != nil {
		return nil, err
	}
	s := &sink{
		api: c, now: a.Now, log: a.Log,
		external: a.Text("external_id"), preHire: a.Text("pre_hire"), leave: a.Text("on_leave"), left: a.Text("terminated_action"),
		scanLimit: a.Int("scan_limit"),
		effects:   connector.Effects{StateLike: true, Consistency: a.Duration("consistency")},
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.server = &discovery{api: c, now: s.now}
	if set := a.Text("patch_style"); set != styleAuto {
		s.style.fixed = set
	}
	return s, nil
}

// Effects: there is no idempotency key, so a lost answer is looked for.
func (s *sink) Effects() connector.Effects { return s.effects }

// Apply brings the account to the wanted state, whatever it is in: it is read,
// and only what differs is written.
func (s *sink) Apply(ctx context.Context, d connector.Delivery, p connector.Progress) (connector.Receipt, error) {
	if p == nil {
		p = func(context.Context, connector.Refs) error { return nil }
	}
	w, err := s.want(d)
	if err != nil {
		return connector.Receipt{}, err
	}
	if d.Refs[refID] == "" {
		return s.create(ctx, d, w, p) // delivery has looked before
	}
	r, err := s.known(ctx, d, w, p)
	if !is(err, reasonMissing) {
		return r, err
	}
	// Somebody deleted the account; there may be another.
	d.Refs = nil
	w.before = nil
	found, err := s.find(ctx, "", w, false)
	if err != nil {
		return connector.Receipt{}, err
	}
	if len(found) > 0 {
		return s.adopt(ctx, d, w, p, found)
	}
	return s.create(ctx, d, w, p)
}

// known serves an account whose id we know. What somebody else changed between
// our read and our write is read again, once.
func (s *sink) known(ctx context.Context, d connector.Delivery, w wanted, p connector.Progress) (connector.Receipt, error) {
	for again := false; ; again = true {
		u, err := s.api.get(ctx, d.Refs[refID])
		if err != nil {
			return connector.Receipt{}, err
		}
		r, err := s.bring(ctx, d, w, u, p)
		if again || !is(err, reasonStale) && !is(err, reasonConflict) {
			return r, err
		}
	}
}

// create makes an account, or finds after a conflict that it is there.
func (s *sink) create(ctx context.Context, d connector.Delivery, w wanted, p connector.Progress) (connector.Receipt, error) {
	if gone(d) || d.Status == "pre_hire" && s.preHire == "none" {
		return connector.Receipt{Outcome: "unchanged", Sent: []string{}}, nil
	}
	open := !s.shut(d.Status)
	body := w.resource(open)
	if body.text("userName") == "" {
		return connector.Receipt{}, refuse("required", "userName", "no account is made without a login name")
	}
	u, err := s.api.create(ctx, body)
	if is(err, reasonExists) || is(err, reasonConflict) {
		found, findErr := s.find(ctx, "", w, true)
		if findErr != nil {
			return connector.Receipt{}, findErr
		}
		if len(found) > 0 {
			return s.adopt(ctx, d, w, p, found)
		}
	}
	if err != nil {
		return connector.Receipt{}, err
	}
	made := s.sent(w.leaves)
	r := connector.Receipt{Refs: refs(d.Refs, u), Sent: paths(made)}
	on, said := u.active()
	if len(u) > 1 { // more than the id: an echo
		s.compare(ctx, r.Refs, u, made)
	} else {
		on, said = open, open
	}
	if r.Refs[refActive] = strconv.FormatBool(open); said && on == open || !said && open {
		return r, nil
	}
	// The server opens what it makes, whatever was asked for.
	r.Refs[refActive] = strconv.FormatBool(on)
	if err := p(ctx, r.Refs); err != nil {
		return connector.Receipt{}, err
	}
	if err := s.turn(ctx, &r, u, open); err != nil {
		return connector.Receipt{}, err
	}
	return r, nil
}

// sent are the leaves that a new user carries.
func (s *sink) sent(ls []leaf) []leaf {
	return slices.DeleteFunc(slices.Clone(ls), func(l leaf) bool { return empty(l.value) })
}

// adopt takes over an account that was found, if it is surely the person's.
func (s *sink) adopt(ctx context.Context, d connector.Delivery, w wanted, p connector.Progress, found []resource) (connector.Receipt, error) {
	if len(found) > 1 {
		return connector.Receipt{}, refuse("ambiguous", "", "several accounts match this person")
	}
	if !s.belongs(found[0], d, w) {
		return connector.Receipt{}, refuse(reasonExists, "userName", "an account with this login exists and is not surely this person's")
	}
	d.Refs = refs(d.Refs, found[0])
	if err := p(ctx, d.Refs); err != nil {
		return connector.Receipt{}, err
	}
	return s.known(ctx, d, w, p) // a list may hold less than a user
}

// bring moves an account from where it is to what d says. It is shut before
// anything else and by itself, so that no other value can hinder that; it is
// opened together with what else differs, all or nothing.
func (s *sink) bring(ctx context.Context, d connector.Delivery, w wanted, u resource, p connector.Progress) (connector.Receipt, error) {
	r := connector.Receipt{Refs: refs(d.Refs, u), Sent: []string{}}
	on, said := u.active()
	if !said {
		on, said = truth(d.Refs[refActive])
	}
	shut, written := s.shut(d.Status), false
	if shut && (on || !said) {
		written = true
		if gone(d) && s.left == "delete" {
			r.Refs[refActive] = "false"
			return r, s.api.remove(ctx, u.id())
		}
		delete(r.Refs, refActive) // noted before: whoever is to open it again must know that it may have been us
		if err := p(ctx, r.Refs); err != nil {
			return connector.Receipt{}, err
		}
		if err := s.turn(ctx, &r, u, false); err != nil {
			return connector.Receipt{}, err
		}
		if err := p(ctx, r.Refs); err != nil {
			return connector.Receipt{}, err
		}
		if s.etag(ctx) { // its version is another now
			var err error
			if u, err = s.api.get(ctx, u.id()); err != nil {
				return connector.Receipt{}, err
			}
		}
		put(u, "active", false)
	}
	if gone(d) && s.left == "delete" {
		return unless(written, r), nil
	}
	diff := w.diff(u, kept(r.Refs))
	if !shut && (!on || !said) && s.opens(d) {
		diff = append([]leaf{{place{attr: "active"}, true}}, diff...)
	}
	if len(diff) > 0 {
		sent, err := s.write(ctx, &r, u, diff)
		if err != nil {
			return connector.Receipt{}, err
		}
		r.Sent, written = paths(sent), true
	}
	r.Refs[refActive] = strconv.FormatBool(!shut)
	return unless(written, r), nil
}

func unless(written bool, r connector.Receipt) connector.Receipt {
	if !written {
		r.Outcome = "unchanged"
	}
	return r
}

// turn opens or shuts an account and nothing else.
func (s *sink) turn(ctx context.Context, r *connector.Receipt, u resource, open bool) error {
	if len(u) == 1 && s.puts(ctx) { // only the id is known of it
		whole, err := s.api.get(ctx, u.id())
		if err != nil {
			return err
		}
		u = whole
	}
	_, err := s.write(ctx, r, u, []leaf{{place{attr: "active"}, open}})
	if err == nil {
		r.Refs[refActive] = strconv.FormatBool(open)
	}
	return err
}

// compare notes what the server did not keep as it was sent: it may drop what
// it does not know, or write it in its own way. That is told once, by name.
func (s *sink) compare(ctx context.Context, r connector.Refs, stored resource, sent []leaf) {
	list := kept(r)
	for _, l := range sent {
		same := equal(l.place, stored.at(l.place), l.value)
		i := slices.Index(list, l.path())
		switch {
		case same && i >= 0:
			list = slices.Delete(list, i, i+1)
		case !same && i < 0 && l.attr != "active":
			list = append(list, l.path())
		}
	}
	delete(r, refKept)
	if len(list) == 0 {
		return
	}
	slices.Sort(list)
	r[refKept] = strings.Join(list, "\n")
	if _, told := s.told.LoadOrStore(r[refKept], true); !told {
		s.log.WarnContext(ctx, "the server did not keep fields as they were sent", "fields", strings.Join(list, " "))
	}
}

func kept(r connector.Refs) []string {
	if r[refKept] == "" {
		return nil
	}
	return strings.Split(r[refKept], "\n")
}

// opens tells whether an account that is closed is opened for a person who shall
// have access: if we closed it, or the person just came to have access. An
// account that somebody else closed meanwhile, say after an incident, stays so.
func (s *sink) opens(d connector.Delivery) bool {
	return d.Refs[refActive] != "true" || d.Was == "" || s.shut(d.Was)
}

// shut tells whether the account of that status is closed.
func (s *sink) shut(status string) bool {
	switch status {
	case "terminated", "withdrawn", "pre_hire":
		return true
	case "leave":
		return s.leave == "deactivate"
	}
	return false
}

func refs(old connector.Refs, u resource) connector.Refs {
	out := maps.Clone(old)
	if out == nil {
		out = connector.Refs{}
	}
	out[refID] = u.id()
	if on, said := u.active(); said {
		out[refActive] = strconv.FormatBool(on)
	}
	return out
}

func gone(d connector.Delivery) bool { return d.Status == "terminated" || d.Status == "withdrawn" }

// check asks what the server can, and for one user.
type check struct{ api api }

func newCheck(a connector.Account) (connector.Check, error) {
	c, err := newAPI(a)
	return check{c}, err
}

// Check tells whether the token may read users.
func (c check) Check(ctx context.Context) error {
	_, err := c.api.list(ctx, "", 1, 1)
	if fault.Reason(err) == reasonUnsupported {
		return nil // some servers only answer filters
	}
	return err
}
