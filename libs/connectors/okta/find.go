package okta

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/httpx"
)

// Find looks by the id we know, by our id attribute and employee number
// (search, which lags), and by login (which does not). An account that was
// found by login alone is sure only if it has no employee number and our
// e-mail: then nobody else's number stands on it.
func (s *sink) Find(ctx context.Context, d connector.Delivery) ([]connector.Found, error) {
	users, err := s.find(ctx, d)
	if err != nil {
		return nil, err
	}
	out := make([]connector.Found, 0, len(users))
	for _, u := range users {
		out = append(out, connector.Found{Refs: refs(d.Refs, u.ID, u.status()), Sure: s.ours(u, d) && len(users) == 1})
	}
	return out, nil
}

func (s *sink) find(ctx context.Context, d connector.Delivery) ([]user, error) {
	if id := d.Refs[refID]; id != "" {
		u, err := s.api.get(ctx, id)
		if !is(err, reasonMissing) {
			return []user{u}, err
		}
	}
	// Login first: it is strongly consistent, and finds most at once.
	u, err := s.byLogin(ctx, login(d))
	if err != nil {
		return nil, err
	}
	if u.ID != "" && s.ours(u, d) {
		return []user{u}, nil
	}
	if err := s.waitOut(ctx, d.Since); err != nil {
		return nil, err
	}
	var out []user
	for _, by := range []struct{ attribute, value string }{{s.ourID, d.ID}, {"employeeNumber", number(d)}} {
		if by.attribute == "" || by.value == "" {
			continue
		}
		found, err := s.api.search(ctx, by.attribute, by.value)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			// Operators ignore case, our numbers do not.
			if f.text(by.attribute) == by.value {
				out = append(out, f)
			}
		}
		if len(out) > 0 {
			return out, nil
		}
	}
	if u.ID != "" {
		out = append(out, u) // somebody else's login, or nobody's: for a person to decide
	}
	return out, nil
}

// byLogin reads one account; a login with a slash can only be filtered for.
func (s *sink) byLogin(ctx context.Context, name string) (user, error) {
	if name == "" {
		return user{}, nil
	}
	if strings.Contains(name, "/") {
		us, err := s.api.list(ctx, url.Values{"filter": {"profile.login eq " + quote(name)}, "limit": {"2"}})
		if err != nil || len(us) == 0 {
			return user{}, err
		}
		return us[0], nil
	}
	u, err := s.api.get(ctx, name)
	if is(err, reasonMissing) {
		return user{}, nil
	}
	return u, err
}

// ours tells whether an account is surely this person's.
func (s *sink) ours(u user, d connector.Delivery) bool {
	if d.Refs[refID] != "" && u.ID == d.Refs[refID] {
		return true
	}
	if s.ourID != "" && u.text(s.ourID) != "" {
		return u.text(s.ourID) == d.ID
	}
	if n := u.text("employeeNumber"); n != "" {
		return n == number(d)
	}
	mail := d.Match.WorkEmail
	if mail == "" {
		mail, _ = profile(d.Body)["email"].(string)
	}
	return mail != "" && strings.EqualFold(u.text("email"), mail)
}

func (s *sink) waitOut(ctx context.Context, since time.Time) error {
	return httpx.WaitOut(ctx, since, s.effects.Consistency, s.now)
}

func number(d connector.Delivery) string {
	if d.Match.EmployeeNumber != "" {
		return d.Match.EmployeeNumber
	}
	n, _ := profile(d.Body)["employeeNumber"].(string)
	return n
}

func login(d connector.Delivery) string {
	if l, _ := profile(d.Body)["login"].(string); l != "" {
		return l
	}
	if d.Match.Username != "" {
		return d.Match.Username
	}
	return d.Match.WorkEmail
}
