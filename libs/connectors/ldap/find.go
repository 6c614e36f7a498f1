package ldap

import (
	"context"
	"strings"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/httpx"
)

// candidates are enough to see that it is not one.
const candidates = 10

// Find looks by the id we know, then in one search by our id, the employee
// number, the login and the e-mail, and keeps the strongest that matched.
func (s *sink) Find(ctx context.Context, d connector.Delivery) ([]connector.Found, error) {
	if err := httpx.WaitOut(ctx, d.Since, s.effects.Consistency, s.now); err != nil {
		return nil, err
	}
	w, err := s.want(d)
	if err != nil {
		return nil, err
	}
	var found []*entry
	c, err := s.session(ctx, func(c *conn) (err error) {
		found, err = s.find(ctx, c, d, w)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.pool.put(c)
	out := make([]connector.Found, 0, len(found))
	for _, e := range found {
		out = append(out, connector.Found{Refs: s.refs(d.Refs, e), Sure: len(found) == 1 && s.belongs(e, d, w)})
	}
	return out, nil
}

// find gives the entries that match most strongly.
func (s *sink) find(ctx context.Context, c *conn, d connector.Delivery, w wanted) ([]*entry, error) {
	attributes := s.attributes(w)
	if id := d.Refs[refID]; id != "" {
		found, err := c.search(ctx, s.search(s.byIdentity(id), attributes))
		if err != nil || len(found) > 0 {
			return found, err
		}
	}
	keys := []struct{ attribute, value string }{
		{s.ourID, d.ID}, {s.number, s.numberOf(d, w)}, {s.login, s.loginOf(d, w)}, {"mail", mailOf(d, w)},
	}
	filter := ""
	for _, k := range keys {
		if k.attribute != "" && k.value != "" {
			filter += clause(k.attribute, k.value)
		}
	}
	if filter == "" {
		return nil, nil
	}
	found, err := c.search(ctx, s.search("(&(objectClass=person)(|"+filter+"))", attributes))
	if err != nil {
		return nil, err
	}
	for i, k := range keys {
		var strongest []*entry
		for _, e := range found {
			for _, v := range e.all(k.attribute) {
				// Directories compare without case, our numbers and ids do not.
				if k.value != "" && (v == k.value || i >= 2 && strings.EqualFold(v, k.value)) {
					strongest = append(strongest, e)
					break
				}
			}
		}
		if len(strongest) > 0 {
			return strongest, nil
		}
	}
	return nil, nil
}

func (s *sink) search(filter string, attributes []string) *goldap.SearchRequest {
	return goldap.NewSearchRequest(s.base, goldap.ScopeWholeSubtree, goldap.NeverDerefAliases, candidates, 0, false, filter, attributes, nil)
}

// attributes are those that we look at.
func (s settings) attributes(w wanted) []string {
	out := w.names()
	for _, name := range []string{s.ourID, s.id, s.number, s.login, s.named, "cn", "uid", "mail", "objectClass", "entryCSN", "pwdAccountLockedTime", "userAccountControl"} {
		if name != "" && !isOne(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// belongs tells whether an entry is surely this person's: by the id we know or
// our id or number on it; without those, by an e-mail that is the same.
func (s settings) belongs(e *entry, d connector.Delivery, w wanted) bool {
	if d.Refs[refID] != "" && s.identity(e) == d.Refs[refID] {
		return true
	}
	if s.ourID != "" && e.one(s.ourID) != "" {
		return e.one(s.ourID) == d.ID
	}
	if n := e.one(s.number); n != "" {
		return n == s.numberOf(d, w)
	}
	mail := mailOf(d, w)
	return mail != "" && strings.EqualFold(e.one("mail"), mail)
}

// another tells whether an entry carries somebody else's id or number.
func (s settings) another(e *entry, d connector.Delivery, w wanted) bool {
	if s.ourID != "" && e.one(s.ourID) != "" {
		return e.one(s.ourID) != d.ID
	}
	n := e.one(s.number)
	return n != "" && n != s.numberOf(d, w)
}

func (s settings) numberOf(d connector.Delivery, w wanted) string {
	if d.Match.EmployeeNumber != "" {
		return d.Match.EmployeeNumber
	}
	return w.one(s.number)
}

func (s settings) loginOf(d connector.Delivery, w wanted) string {
	if l := w.one(s.login); l != "" {
		return l
	}
	return d.Match.Username
}

func mailOf(d connector.Delivery, w wanted) string {
	if m := w.one("mail"); m != "" {
		return m
	}
	return d.Match.WorkEmail
}
