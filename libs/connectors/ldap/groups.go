package ldap

import (
	"context"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/muster-hr/muster/libs/fault"
)

// leaveGroups takes an entry out of every group below groups_dn. It is done
// before a move: without the refint overlay a group keeps the old name.
func (s *sink) leaveGroups(ctx context.Context, c *conn, dn string) (left bool, err error) {
	var found []*entry
	err = c.call(ctx, "search", nil, func() error {
		q := goldap.NewSearchRequest(s.groups, goldap.ScopeWholeSubtree, goldap.NeverDerefAliases, 0, 0, false, clause(s.member, dn), []string{"cn"}, nil)
		r, err := c.ldap.SearchWithPaging(q, 500)
		if r != nil {
			for _, e := range r.Entries {
				found = append(found, known(e))
			}
		}
		return err
	})
	if is(err, reasonMissing) {
		return false, fault.New(fault.Target, "parent_missing", "groups_dn does not exist")
	}
	if err != nil {
		return false, err
	}
	var last error
	for _, g := range found {
		err := c.call(ctx, "modify", []string{s.member}, func() error {
			q := goldap.NewModifyRequest(g.dn, nil)
			q.Delete(s.member, []string{dn})
			return c.ldap.Modify(q)
		})
		switch {
		case err == nil:
			left = true
		case fault.Of(err).Class == fault.Done, is(err, reasonMissing):
		case is(err, "schema"):
			last = &fault.Error{Class: fault.Record, Reason: "last_member", Rule: fault.Of(err).Rule, Err: fault.Of(err).Err}
		default:
			return left, err
		}
	}
	return left, last
}
