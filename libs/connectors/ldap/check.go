package ldap

import (
	"context"
	"slices"
	"strings"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

// check logs in and looks whether the places exist and accounts can be locked.
type check struct{ *sink }

func newCheck(a connector.Account) (connector.Check, error) {
	s, err := newTarget(a)
	return check{s}, err
}

// Check tells whether the account is usable.
func (k check) Check(ctx context.Context) error {
	c, err := k.session(ctx, func(c *conn) error { return k.places(ctx, c) })
	if err != nil {
		return err
	}
	defer k.pool.put(c)
	if k.dialect != openLDAP {
		return nil
	}
	return k.canLock(ctx, c)
}

func (k check) places(ctx context.Context, c *conn) error {
	for setting, dn := range map[string]string{"base_dn": k.base, "people_dn": k.people, "leavers_dn": k.leavers, "groups_dn": k.groups} {
		if dn == "" {
			continue
		}
		e, err := c.at(ctx, dn, []string{"objectClass"})
		if err != nil {
			return err
		}
		if e == nil {
			return fault.New(fault.Target, "parent_missing", "%s does not exist, or we may not see it", setting)
		}
	}
	return nil
}

// canLock looks into the schema (RFC 4512 section 4.2) for the attribute that
// locks. Whether a policy makes it effective cannot be seen from outside.
func (k check) canLock(ctx context.Context, c *conn) error {
	root, err := c.at(ctx, "", []string{"subschemaSubentry"})
	if err != nil || root == nil || root.one("subschemaSubentry") == "" {
		return err
	}
	found, err := c.search(ctx, goldap.NewSearchRequest(root.one("subschemaSubentry"), goldap.ScopeBaseObject, goldap.NeverDerefAliases, 1, 0, false,
		"(objectClass=subschema)", []string{"attributeTypes"}, nil))
	if err != nil || len(found) == 0 {
		return err
	}
	if !slices.ContainsFunc(found[0].all("attributeTypes"), func(t string) bool { return strings.Contains(t, "'pwdAccountLockedTime'") }) {
		return fault.New(fault.Target, "no_password_policy", "the server knows no pwdAccountLockedTime: load its password policy overlay")
	}
	return nil
}
