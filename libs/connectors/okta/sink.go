package okta

import (
	"context"
	"maps"
	"net/url"
	"strconv"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

// Names in Refs.
const (
	refID     = "id"
	refStatus = "status" // the lifecycle status we left the account in
	refBehind = "behind" // "profile": changes were not taken while the account was closed
)

// sink writes to one Okta organisation.
type sink struct {
	api         api
	now         func() time.Time
	ourID       string
	terminated  string
	mailOnStart bool
	mailOnEnd   bool
	effects     connector.Effects
}

func newSink(a connector.Account) (connector.Sink, error) {
	c, err := newAPI(a)
	if err != nil {
		return nil, err
	}
	s := &sink{
		api: c, now: a.Now,
		ourID:       a.Text("our_id_attribute"),
		terminated:  a.Text("terminated_action"),
		mailOnStart: a.Bool("activate_send_email"),
		mailOnEnd:   a.Bool("deactivate_send_email"),
		effects:     connector.Effects{StateLike: true, Consistency: a.Duration("consistency")},
	}
	if s.now == nil {
		s.now = time.Now
	}
	return s, nil
}

// Effects: there is no idempotency key, so a lost answer is looked for.
func (s *sink) Effects() connector.Effects { return s.effects }

// Apply brings profile and lifecycle to the wanted state.
func (s *sink) Apply(ctx context.Context, d connector.Delivery, p connector.Progress) (connector.Receipt, error) {
	if p == nil {
		p = func(context.Context, connector.Refs) error { return nil }
	}
	if d.Refs[refID] == "" {
		return s.begin(ctx, d, p)
	}
	var before map[string]any
	if d.Before != nil && d.Refs[refBehind] == "" {
		before = s.with(profile(d.Before), d.ID)
	}
	r, err := s.bring(ctx, d, p, believed(d), before)
	if is(err, reasonStatus) { // somebody moved the account meanwhile: look, then decide once more
		u, getErr := s.api.get(ctx, d.Refs[refID])
		if getErr == nil {
			return s.bring(ctx, d, p, u.status(), before)
		}
		r, err = connector.Receipt{}, getErr
	}
	if is(err, reasonMissing) { // somebody deleted it
		d.Refs = nil
		return s.begin(ctx, d, p)
	}
	return r, err
}

// begin serves a person whose account we do not know: adopt or create.
func (s *sink) begin(ctx context.Context, d connector.Delivery, p connector.Progress) (connector.Receipt, error) {
	found, err := s.find(ctx, d)
	switch {
	case err != nil:
		return connector.Receipt{}, err
	case len(found) > 0:
		return s.adopt(ctx, d, p, found)
	case gone(d):
		return connector.Receipt{Outcome: "unchanged", Sent: []string{}}, nil // never had an account, gets none
	}
	whole := s.with(profile(d.Body), d.ID)
	u, err := s.api.create(ctx, whole)
	if is(err, reasonExists) {
		// Login uniqueness ignores case and diacritics, the lookup does not: the
		// other account may be one that we could not see, or its creation ours.
		d.Since = s.now()
		found, findErr := s.find(ctx, d)
		if findErr != nil {
			return connector.Receipt{}, findErr
		}
		if len(found) == 0 {
			return connector.Receipt{}, err
		}
		return s.adopt(ctx, d, p, found)
	}
	if err != nil {
		return connector.Receipt{}, err
	}
	d.Refs = refs(d.Refs, u.ID, u.status())
	r := connector.Receipt{Refs: d.Refs, Sent: paths(whole)}
	if _, more := lifecycle(d.Status, u.status(), s.terminated); !more {
		return r, nil
	}
	if err := p(ctx, d.Refs); err != nil {
		return connector.Receipt{}, err
	}
	sent := r.Sent
	r, err = s.bring(ctx, d, p, u.status(), whole)
	r.Sent = append(sent, r.Sent...)
	return r, err
}

// adopt takes over an account that was found, if it is surely the person's.
func (s *sink) adopt(ctx context.Context, d connector.Delivery, p connector.Progress, found []user) (connector.Receipt, error) {
	u := found[0]
	if len(found) > 1 || !s.ours(u, d) {
		return connector.Receipt{}, &fault.Error{
			Class: fault.Record, Reason: reasonExists, Path: "profile.login",
			Err: fault.New(fault.Record, "", "an account with this login or number exists and is not surely this person's").Err,
		}
	}
	d.Refs = refs(d.Refs, u.ID, u.status())
	if err := p(ctx, d.Refs); err != nil {
		return connector.Receipt{}, err
	}
	return s.bring(ctx, d, p, u.status(), known(u, s.with(profile(d.Body), d.ID)))
}

// bring moves a known account from where it is to what d says. Access is
// closed before anything else, and opened only when the profile is right;
// except that a closed account takes no profile until it is open again. Of the
// profile only what differs from before is sent; nil: nothing is known of it.
func (s *sink) bring(ctx context.Context, d connector.Delivery, p connector.Progress, account string, before map[string]any) (connector.Receipt, error) {
	r := connector.Receipt{Refs: refs(d.Refs, d.Refs[refID], account), Sent: []string{}}
	move, moves := lifecycle(d.Status, account, s.terminated)
	diff := changed(before, s.with(profile(d.Body), d.ID))
	first := moves && (gone(d) || d.Status == "leave" || account == deprovisioned)
	if first {
		if err := s.move(ctx, &r, move); err != nil {
			return connector.Receipt{}, err
		}
		if len(diff) > 0 && move.status != deprovisioned {
			if account == deprovisioned {
				r.Refs[refBehind] = "profile"
			}
			if err := p(ctx, r.Refs); err != nil {
				return connector.Receipt{}, err
			}
		}
	}
	switch {
	case len(diff) == 0:
	case r.Refs[refStatus] == deprovisioned:
		r.Refs[refBehind] = "profile" // not taken while closed: all of it goes with the rehire
	default:
		if _, err := s.api.update(ctx, d.Refs[refID], diff); err != nil {
			return connector.Receipt{}, err
		}
		delete(r.Refs, refBehind)
		r.Sent = paths(diff)
	}
	if moves && !first {
		if err := s.move(ctx, &r, move); err != nil {
			return connector.Receipt{}, err
		}
	}
	if !moves && len(r.Sent) == 0 {
		r.Outcome = "unchanged"
	}
	return r, nil
}

// move makes one lifecycle call and notes where it led.
func (s *sink) move(ctx context.Context, r *connector.Receipt, to step) error {
	query := url.Values{}
	switch to.verb {
	case "activate":
		query.Set("sendEmail", strconv.FormatBool(s.mailOnStart))
	case "deactivate":
		query.Set("sendEmail", strconv.FormatBool(s.mailOnEnd))
	}
	err := s.api.lifecycle(ctx, r.Refs[refID], to.verb, query)
	if err != nil && fault.Of(err).Class != fault.Done {
		return err
	}
	r.Refs[refStatus] = to.status
	return nil
}

// with is a profile with our id on it, where the company wants that.
func (s *sink) with(profile map[string]any, id string) map[string]any {
	p := maps.Clone(profile)
	if p == nil {
		p = map[string]any{}
	}
	if s.ourID != "" {
		p[s.ourID] = id
	}
	return p
}

// known is what an account already has of the wanted attributes.
func known(u user, wanted map[string]any) map[string]any {
	out := map[string]any{}
	for k := range wanted {
		if v, ok := u.Profile[k]; ok {
			out[k] = v
		}
	}
	return out
}

func refs(old connector.Refs, id, status string) connector.Refs {
	out := maps.Clone(old)
	if out == nil {
		out = connector.Refs{}
	}
	out[refID], out[refStatus] = id, status
	return out
}

func gone(d connector.Delivery) bool { return d.Status == "terminated" || d.Status == "withdrawn" }

// check asks for one user.
type check struct{ api api }

func newCheck(a connector.Account) (connector.Check, error) {
	c, err := newAPI(a)
	return check{c}, err
}

// Check tells whether the token may read users.
func (c check) Check(ctx context.Context) error {
	_, err := c.api.list(ctx, url.Values{"limit": {"1"}})
	return err
}
