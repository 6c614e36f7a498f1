package ldap

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"unicode/utf16"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

// locked is the time that locks an account until somebody takes it away
// (draft-behera-ldap-password-policy section 5.3.3). Any other time is a lock
// that the server made and lifts again.
const locked = "000001010000Z"

// Bits of userAccountControl ([MS-ADTS] section 2.2.16).
const (
	uacDisabled = 0x2
	uacNormal   = 0x200
)

// gone tells whether the person has left, or never comes.
func gone(status string) bool { return status == "terminated" || status == "withdrawn" }

// shut tells whether an account shall be shut: before the first day, after the
// last, and on leave where the company wants that.
func (s settings) shut(status string) bool {
	return status == "pre_hire" || gone(status) || status == "leave" && s.shutOnLeave
}

// opens tells whether an account that is shut is opened for a person who shall
// have access: if we shut it, or the person just came to have access. An account
// that somebody else shut meanwhile, say after an incident, stays shut.
func (s settings) opens(d connector.Delivery) bool {
	return d.Refs[refShut] != "" || d.Was == "" || s.shut(d.Was)
}

// isShut tells whether an account is shut as we shut it.
func (s settings) isShut(e *entry) bool {
	if s.dialect == activeDirectory {
		return control(e)&uacDisabled != 0
	}
	return e.one("pwdAccountLockedTime") == locked
}

// control is userAccountControl; an entry without it is a normal account.
func control(e *entry) int64 {
	n, err := strconv.ParseInt(e.one("userAccountControl"), 10, 64)
	if err != nil {
		return uacNormal
	}
	return n
}

// lock shuts an account. Who left gets a password that nobody knows first:
// with OpenLDAP a reset of the password lifts the lock, so it comes before, and
// without a policy that applies the lock has no effect at all.
func (s *sink) lock(ctx context.Context, c *conn, e *entry, d connector.Delivery, attributes []string) (*entry, error) {
	if s.dialect == activeDirectory {
		if gone(d.Status) {
			var err error
			if e, err = c.replace(ctx, e, attributes, change{"unicodePwd", []string{quoted(secretPassword())}}); err != nil {
				return nil, err
			}
		}
		// The other bits say other things and stay.
		return c.replace(ctx, e, attributes, change{"userAccountControl", []string{strconv.FormatInt(control(e)|uacDisabled, 10)}})
	}
	if gone(d.Status) {
		var err error
		if e, err = c.replace(ctx, e, attributes, change{"userPassword", []string{secretPassword()}}); err != nil {
			return nil, err
		}
	}
	after, err := c.replace(ctx, e, attributes, change{"pwdAccountLockedTime", []string{locked}})
	if is(err, "schema") {
		f := fault.Of(err)
		return nil, &fault.Error{Class: fault.Target, Reason: "no_password_policy", Rule: f.Rule, Err: fault.New(fault.Target, "", "the server knows no pwdAccountLockedTime: load its password policy overlay").Err}
	}
	return after, err
}

// unlock opens an account. Active Directory opens none whose password does not
// fit the policy: whoever begins, or begins again, gets a random one first.
func (s *sink) unlock(ctx context.Context, c *conn, e *entry, d connector.Delivery, attributes []string) (*entry, error) {
	if s.dialect != activeDirectory {
		return c.replace(ctx, e, attributes, change{"pwdAccountLockedTime", nil})
	}
	if s.initial && d.Type != "hr.employee.leave_ended.v1" && d.Refs[refShut] != "leave" {
		var err error
		e, err = c.replace(ctx, e, attributes, change{"unicodePwd", []string{quoted(secretPassword())}}, change{"pwdLastSet", []string{"0"}})
		if err != nil {
			return nil, err
		}
	}
	return c.replace(ctx, e, attributes, change{"userAccountControl", []string{strconv.FormatInt(control(e)&^uacDisabled, 10)}})
}

// change is one attribute with its new values; none clears it. It is always a
// replace: adding what is there and deleting what is not are errors.
type change struct {
	attribute string
	values    []string
}

// replace changes attributes of an entry and gives it as it is afterwards.
func (c *conn) replace(ctx context.Context, e *entry, attributes []string, changes ...change) (*entry, error) {
	var sent []string
	for _, x := range changes {
		sent = append(sent, x.attribute)
	}
	return c.write(ctx, "modify", e, e.dn, attributes, sent, func(controls []goldap.Control) error {
		q := goldap.NewModifyRequest(e.dn, controls)
		for _, x := range changes {
			q.Replace(x.attribute, x.values)
		}
		return c.ldap.Modify(q)
	})
}

// secretPassword is a password that nobody knows: 192 random bits, with every
// kind of sign that a policy may ask for.
func secretPassword() string {
	b := make([]byte, 24)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b) + "-aA1"
}

// quoted is the form of unicodePwd: in quotes, UTF-16 little-endian.
func quoted(password string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(`"` + password + `"`)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return string(b)
}
