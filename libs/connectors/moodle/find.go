package moodle

import (
	"context"
	"maps"
	"strings"

	"github.com/muster-hr/muster/libs/connector"
)

// Find looks by the id we know, then by idnumber, username and e-mail. Moodle's
// database shows a write at once, so nothing is waited out. An idnumber is not
// unique: two people with it are for a person to decide.
func (s *sink) Find(ctx context.Context, d connector.Delivery) ([]connector.Found, error) {
	users, err := s.find(ctx, d)
	if err != nil {
		return nil, err
	}
	out := make([]connector.Found, 0, len(users))
	for _, u := range users {
		out = append(out, connector.Found{Refs: refs(d.Refs, u), Sure: s.sure(users, d)})
	}
	return out, nil
}

func (s *sink) find(ctx context.Context, d connector.Delivery) ([]user, error) {
	mail := address(d)
	lower := strings.ToLower(mail)
	mails := []string{mail}
	if lower != mail {
		mails = append(mails, lower) // some databases compare with case
	}
	for _, by := range []struct {
		field  string
		values []string
	}{{"id", []string{d.Refs[refID]}}, {"idnumber", []string{number(d)}}, {"username", []string{login(d)}}, {"email", mails}} {
		if by.values[0] == "" {
			continue
		}
		found, err := s.api.lookup(ctx, by.field, by.values...)
		if err != nil {
			return nil, err
		}
		var out []user
		for _, u := range found {
			if u.id() != "" {
				out = append(out, u)
			}
		}
		if len(out) > 0 {
			return out, nil
		}
	}
	return nil, nil
}

// sure tells whether those who were found are one, and surely this person.
func (s *sink) sure(users []user, d connector.Delivery) bool {
	return len(users) == 1 && s.ours(users[0], d)
}

// ours goes by our own id, by the employee number, and, of an account that has
// neither, by the e-mail.
func (s *sink) ours(u user, d connector.Delivery) bool {
	if id := d.Refs[refID]; id != "" && u.id() == id {
		return true
	}
	if s.ourID != "" {
		if id := u.fields()[bodyCustom+"."+s.ourID]; id != "" {
			return id == d.ID
		}
	}
	if n := u.text("idnumber"); n != "" {
		return n == number(d)
	}
	mail := address(d)
	return mail != "" && strings.EqualFold(u.text("email"), mail)
}

// refs are those of an account that was found.
func refs(old connector.Refs, u user) connector.Refs {
	out := maps.Clone(old)
	if out == nil {
		out = connector.Refs{}
	}
	out[refID], out[refSuspended] = u.id(), u.suspended()
	return out
}

func number(d connector.Delivery) string {
	if n, _ := scalar(d.Body["idnumber"]); n != "" {
		return n
	}
	return d.Match.EmployeeNumber
}

// login is lower case always: Moodle fails a lookup of anything else.
func login(d connector.Delivery) string {
	name, _ := d.Body["username"].(string)
	if name == "" {
		name = d.Match.Username
	}
	return strings.ToLower(name)
}

func address(d connector.Delivery) string {
	if mail, _ := d.Body["email"].(string); mail != "" {
		return mail
	}
	return d.Match.WorkEmail
}
