package ldap

import (
	"context"
	"fmt"
	"maps"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/httpx"
	"github.com/muster-hr/muster/libs/fault"
)

// Names in Refs.
const (
	refID   = "id"   // entryUUID or objectGUID, as text
	refDN   = "dn"   // where the entry was last; what another person's manager attribute takes
	refShut = "shut" // the status that we shut the account for; "" while it is open
)

// looks is how often a change that met another is decided anew.
const looks = 3

// sink writes to one directory.
type sink struct {
	settings
	pool    *pool
	now     func() time.Time
	effects connector.Effects
}

func newSink(a connector.Account) (connector.Sink, error) { return newTarget(a) }

// newTarget makes a sink; nothing is connected yet.
func newTarget(a connector.Account) (*sink, error) {
	set, err := read(a)
	if err != nil {
		return nil, err
	}
	dial := a.Dial
	if dial == nil {
		dial = httpx.Dial(a.BaseURL, nil)
	}
	s := &sink{settings: set, now: a.Now, effects: connector.Effects{StateLike: true, Ref: refDN, Consistency: a.Duration("consistency")}}
	if s.now == nil {
		s.now = time.Now
	}
	s.pool = newPool(a.Int("connections"), a.Duration("bind_pause"), s.now, func(ctx context.Context) (*conn, error) { return open(ctx, set, dial) })
	return s, nil
}

// Effects: a lost answer to an add or a rename is looked for.
func (s *sink) Effects() connector.Effects { return s.effects }

// session runs a first look on a connection and gives it for what follows. A
// kept connection that the server has left meanwhile is replaced once: nothing
// was written yet.
func (s *sink) session(ctx context.Context, look func(*conn) error) (*conn, error) {
	c, err := s.pool.get(ctx, false)
	if err != nil {
		return nil, err
	}
	err = look(c)
	if c.used && (is(err, reasonNetwork) || is(err, reasonSession)) && ctx.Err() == nil {
		s.pool.put(c)
		if c, err = s.pool.get(ctx, true); err != nil {
			return nil, err
		}
		err = look(c)
	}
	if err != nil {
		s.pool.put(c)
		return nil, err
	}
	return c, nil
}

// Apply brings a person's entry to the wanted state, whatever it is in: what
// already is as wanted is not written.
func (s *sink) Apply(ctx context.Context, d connector.Delivery, p connector.Progress) (connector.Receipt, error) {
	if p == nil {
		p = func(context.Context, connector.Refs) error { return nil }
	}
	w, err := s.want(d)
	if err != nil {
		return connector.Receipt{}, err
	}
	var e *entry
	c, err := s.session(ctx, func(c *conn) (err error) {
		if err = s.resolve(ctx, c, w); err == nil {
			e, err = s.locate(ctx, c, d, w)
		}
		return err
	})
	if err != nil {
		return connector.Receipt{}, err
	}
	defer s.pool.put(c)
	r := connector.Receipt{Sent: []string{}}
	for look := 1; ; look++ {
		r, err = s.bring(ctx, c, d, w, e, r, p)
		// Somebody changed, renamed or moved the entry since it was read.
		if look == looks || !is(err, reasonChanged) && !is(err, reasonMissing) {
			return r, err
		}
		if e, err = s.locate(ctx, c, d, w); err != nil {
			return connector.Receipt{}, err
		}
	}
}

// locate finds the one entry of a person; nil if there is none. Several, or one
// that is not surely theirs, is for somebody to decide.
func (s *sink) locate(ctx context.Context, c *conn, d connector.Delivery, w wanted) (*entry, error) {
	found, err := s.find(ctx, c, d, w)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	switch {
	case len(found) > 1:
		return nil, &fault.Error{Class: fault.Record, Reason: "ambiguous", Rule: "find", Err: fmt.Errorf("%d entries match this person", len(found))}
	case s.belongs(found[0], d, w):
		return found[0], nil
	case s.numbering && s.another(found[0], d, w):
		return nil, nil // another person has the login or the address
	}
	return nil, &fault.Error{Class: fault.Record, Reason: reasonExists, Rule: "find", Err: fmt.Errorf("an entry with this login or address exists and is not surely this person's")}
}

// bring makes or changes an entry. Access is closed before anything else, and
// opened only when everything else is right.
func (s *sink) bring(ctx context.Context, c *conn, d connector.Delivery, w wanted, e *entry, r connector.Receipt, p connector.Progress) (connector.Receipt, error) {
	attributes := s.attributes(w)
	written := false
	if e == nil {
		if gone(d.Status) {
			r.Outcome = "unchanged" // never had an account, gets none
			return r, nil
		}
		var err error
		if e, err = s.create(ctx, c, d, w, attributes); err != nil {
			return connector.Receipt{}, err
		}
		d.Refs = s.refs(d.Refs, e)
		if delete(d.Refs, refShut); s.isShut(e) {
			d.Refs[refShut] = "pre_hire" // made so by us
		}
		r.Refs, written = d.Refs, true
		r.Sent = append(r.Sent, paths(w.names())...)
		if s.isShut(e) != s.shut(d.Status) {
			if err := p(ctx, r.Refs); err != nil {
				return connector.Receipt{}, err
			}
		}
	}
	d.Refs = s.refs(d.Refs, e)
	var err error
	// An account that was shut for another reason has a password that is known.
	leaves := gone(d.Status) && d.Refs[refShut] != "" && !gone(d.Refs[refShut])
	if s.shut(d.Status) && (leaves || !s.isShut(e)) {
		if !s.isShut(e) { // noted before: whoever is to open it again must know that it was us
			d.Refs[refShut] = d.Status
			if err := p(ctx, d.Refs); err != nil {
				return connector.Receipt{}, err
			}
		}
		if e, err = s.lock(ctx, c, e, d, attributes); err != nil {
			return connector.Receipt{}, err
		}
		if written = true; !s.isShut(e) {
			return connector.Receipt{}, fault.New(fault.Transient, "not_shut", "the account was shut and is not: something opens it again")
		}
	}
	var member error
	if gone(d.Status) && s.groups != "" {
		var left bool
		left, member = s.leaveGroups(ctx, c, e.dn) // what failed is told at the end: the rest must not wait for it
		written = written || left
	}
	e, sent, err := s.adjust(ctx, c, d, w, e, attributes)
	if err != nil {
		return connector.Receipt{}, err
	}
	r.Sent = append(r.Sent, paths(sent)...)
	e, moved, err := s.place(ctx, c, d, w, e, attributes)
	if err != nil {
		return connector.Receipt{}, err
	}
	if moved {
		r.Sent = append(r.Sent, paths([]string{s.named})...)
	}
	written = written || moved || len(sent) > 0
	if !s.shut(d.Status) && s.isShut(e) && s.opens(d) {
		if e, err = s.unlock(ctx, c, e, d, attributes); err != nil {
			return connector.Receipt{}, err
		}
		written = true
	}
	if member != nil {
		return connector.Receipt{}, member
	}
	r.Refs = s.refs(d.Refs, e)
	if delete(r.Refs, refShut); s.shut(d.Status) {
		r.Refs[refShut] = d.Status
	}
	if !written {
		r.Outcome = "unchanged"
	}
	return r, nil
}

// adjust replaces the attributes that differ and gives their names.
func (s *sink) adjust(ctx context.Context, c *conn, _ connector.Delivery, w wanted, e *entry, attributes []string) (*entry, []string, error) {
	named, _, _ := naming(e.dn)
	differing := s.differs(e, w, named)
	if len(differing) == 0 {
		return e, nil, nil
	}
	var changes []change
	if classes := s.missing(e); classes != nil { // an entry that was made by hand may lack the class of an attribute
		changes = append(changes, change{"objectClass", classes})
	}
	for _, name := range differing {
		changes = append(changes, change{name, w.attributes[name]})
	}
	e, err := c.replace(ctx, e, attributes, changes...)
	return e, differing, err
}

// place renames and moves an entry, in one step, to where it belongs.
func (s *sink) place(ctx context.Context, c *conn, d connector.Delivery, w wanted, e *entry, attributes []string) (*entry, bool, error) {
	first, parent := split(e.dn)
	above := s.parent(d, w, parent)
	if sameDN(above, parent) {
		above = ""
	}
	named, have, single := naming(e.dn)
	want := w.one(named)
	renames := want != "" && !numbered(have, want) && !isOne(s.once, named)
	if renames && !single {
		return nil, false, refuse("multi_valued_rdn", named, "the entry is named by several attributes: rename it by hand")
	}
	if !renames && above == "" {
		return e, false, nil
	}
	for n := 1; ; n++ {
		if renames {
			first = rdn(named, withNumber(want, n))
		}
		to := first + "," + parent
		if above != "" {
			to = first + "," + above
		}
		after, err := c.write(ctx, "modrdn", e, to, attributes, []string{named}, func(controls []goldap.Control) error {
			return c.ldap.ModifyDN(goldap.NewModifyDNWithControlsRequest(e.dn, first, true, above, controls))
		})
		if err == nil {
			return after, true, nil
		}
		taken := is(err, reasonExists)
		if taken && !renames && single { // somebody of this name is there already
			renames, want = true, have
		}
		if taken && s.numbering && renames && n < mostNumber {
			continue
		}
		if is(err, reasonMissing) && above != "" {
			if there, lookErr := c.at(ctx, above, []string{"objectClass"}); lookErr == nil && there == nil {
				return nil, false, parentMissing(err)
			}
		}
		return nil, false, err
	}
}

// parentMissing: entries for places are made by whoever runs the directory.
func parentMissing(err error) error {
	f := fault.Of(err)
	return &fault.Error{Class: fault.Target, Reason: "parent_missing", Rule: f.Rule, Err: fmt.Errorf("the entry above, in leavers_dn, people_dn or the mapping's parent, does not exist")}
}

// parent is where an entry belongs: with the leavers; where the mapping says;
// out of the leavers; else where it is.
func (s settings) parent(d connector.Delivery, w wanted, now string) string {
	switch {
	case gone(d.Status) && s.leavers != "":
		return s.leavers
	case gone(d.Status):
		return now
	case w.parent != "":
		return w.parent
	case now == "" || s.leavers != "" && below(now, s.leavers):
		return s.people
	}
	return now
}

func (s settings) refs(old connector.Refs, e *entry) connector.Refs {
	out := maps.Clone(old)
	if out == nil {
		out = connector.Refs{}
	}
	out[refID], out[refDN] = s.identity(e), e.dn
	return out
}

func paths(names []string) []string {
	out := []string{}
	for _, n := range names {
		out = append(out, "attributes."+n)
	}
	return out
}
