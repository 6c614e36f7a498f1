package ldap

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

// create makes an entry, or finds that it is there: an answer that was lost, or
// somebody who made it by hand. A name that another person has gets a number.
func (s *sink) create(ctx context.Context, c *conn, d connector.Delivery, w wanted, attributes []string) (*entry, error) {
	number := map[string]int{} // behind which attribute
	for range mostNumber {
		q, err := s.add(d, w, number)
		if err != nil {
			return nil, err
		}
		sent := append(w.names(), "objectClass")
		e, err := c.write(ctx, "add", &entry{}, q.DN, attributes, sent, func(controls []goldap.Control) error {
			q.Controls = controls
			return c.ldap.Add(q)
		})
		if err == nil {
			return e, nil
		}
		if is(err, reasonMissing) { // of an add it can only be the entry above
			return nil, parentMissing(err)
		}
		if !is(err, reasonExists) {
			return nil, err
		}
		found, lookErr := s.find(ctx, c, d, w)
		if lookErr != nil {
			return nil, lookErr
		}
		if len(found) == 1 && s.belongs(found[0], d, w) {
			return found[0], nil
		}
		which, ok, lookErr := s.taken(ctx, c, d, w, q.DN, fault.Of(err), number)
		if lookErr != nil {
			return nil, lookErr
		}
		if !ok {
			return nil, err
		}
		number[which] = max(2, number[which]+1)
	}
	return nil, &fault.Error{Class: fault.Record, Reason: reasonExists, Err: fmt.Errorf("no name with a number is free")}
}

// taken names the attribute that shall get another number: the one that names
// the entry, or the login. Only a name that surely is another person's is
// passed by; an entry without an owner is for somebody to decide.
func (s *sink) taken(ctx context.Context, c *conn, d connector.Delivery, w wanted, dn string, why *fault.Error, number map[string]int) (string, bool, error) {
	if !s.numbering {
		return "", false, nil
	}
	attributes := s.attributes(w)
	at, err := c.at(ctx, dn, attributes)
	if err != nil {
		return "", false, err
	}
	if at != nil {
		return s.named, s.another(at, d, w), nil
	}
	if why.Path != "" && !strings.EqualFold(why.Path, "attributes."+s.login) {
		return "", false, nil // an address or a number that somebody else has
	}
	login := w.one(s.login)
	if login == "" {
		return "", false, nil
	}
	found, err := c.search(ctx, s.search(clause(s.login, withNumber(login, number[s.login])), attributes))
	if err != nil || len(found) != 1 {
		return "", false, err
	}
	return s.login, s.another(found[0], d, w), nil
}

// add is the request for a new entry. With ad it is shut until it has a
// password; with OpenLDAP an account without one lets nobody in, and is locked
// next if the first day has not come.
func (s *sink) add(d connector.Delivery, w wanted, number map[string]int) (*goldap.AddRequest, error) {
	values := maps.Clone(w.attributes)
	for name, n := range number {
		for k, v := range values {
			if strings.EqualFold(k, name) && len(v) == 1 {
				values[k] = []string{withNumber(v[0], n)}
			}
		}
	}
	name := (wanted{attributes: values}).one(s.named)
	if name == "" {
		return nil, refuse("mapping", s.named, "the attribute that names an entry has no value, or several")
	}
	q := goldap.NewAddRequest(rdn(s.named, name)+","+s.parent(d, w, ""), nil)
	q.Attribute("objectClass", s.classes)
	for _, k := range w.names() {
		if len(values[k]) > 0 {
			q.Attribute(k, values[k])
		}
	}
	if s.dialect == activeDirectory {
		q.Attribute("userAccountControl", []string{strconv.Itoa(uacNormal | uacDisabled)})
	}
	return q, nil
}

// resolve puts names of entries where the body has other people's ids. Somebody
// who is not there is left out: a directory may take such a name silently.
func (s *sink) resolve(ctx context.Context, c *conn, w wanted) error {
	for _, attribute := range w.names() {
		if !isOne(names, attribute) {
			continue
		}
		var out []string
		values := w.attributes[attribute]
		for _, v := range values {
			var e *entry
			var err error
			if dn, parseErr := parse(v); parseErr == nil && len(dn.RDNs) > 0 {
				e, err = c.at(ctx, v, []string{s.id})
			} else {
				var found []*entry
				if found, err = c.search(ctx, s.search(s.byIdentity(v), []string{s.id})); len(found) == 1 {
					e = found[0]
				}
			}
			if err != nil && fault.Of(err).Class != fault.Record {
				return err
			}
			if e != nil {
				out = append(out, e.dn)
			}
		}
		if w.attributes[attribute] = out; len(out) == 0 && len(values) > 0 {
			delete(w.attributes, attribute)
		}
	}
	return nil
}
