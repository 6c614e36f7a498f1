package scim

import (
	"context"
	"slices"
	"sync"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

// style is the form of updates that the server takes, as the file says or as
// was learnt. Safe for concurrent use.
type style struct {
	fixed string // by the file; "" learns

	mu     sync.Mutex
	learnt string
}

func (s *style) learn(form string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.learnt = form
}

// form is the style to begin with.
func (s *sink) form(ctx context.Context) (string, error) {
	if s.style.fixed != "" {
		return s.style.fixed, nil
	}
	s.style.mu.Lock()
	learnt := s.style.learnt
	s.style.mu.Unlock()
	if learnt != "" {
		return learnt, nil
	}
	can, err := s.server.abilities(ctx)
	if err != nil {
		return "", err
	}
	if !can.patch {
		return stylePut, nil
	}
	return stylePath, nil
}

func (s *sink) puts(ctx context.Context) bool {
	form, err := s.form(ctx)
	return err == nil && form == stylePut
}

// etag tells whether versions are worth sending. A header alone proves nothing:
// web frameworks add a hash of the body.
func (s *sink) etag(ctx context.Context) bool {
	can, err := s.server.abilities(ctx)
	return err == nil && can.etag
}

// write sends a difference in the form that the server takes, and gives what of
// it was sent. A form that is refused is followed by the other, once; a server
// that has no PATCH gets PUT.
func (s *sink) write(ctx context.Context, r *connector.Receipt, u resource, diff []leaf) ([]leaf, error) {
	form, err := s.form(ctx)
	if err != nil {
		return nil, err
	}
	stored, err := s.send(ctx, u, diff, form)
	if s.style.fixed == "" && form != stylePut && is(err, reasonUnsupported) {
		s.style.learn(stylePut)
		form = stylePut
		stored, err = s.send(ctx, u, diff, form)
	}
	if refusedForm(err) && form != stylePut {
		// What it dropped silently when the account was made, it refuses here.
		less := slices.DeleteFunc(slices.Clone(diff), func(l leaf) bool { return slices.Contains(kept(r.Refs), l.path()) })
		if len(less) == 0 {
			return nil, nil
		}
		if len(less) < len(diff) {
			diff = less
			stored, err = s.send(ctx, u, diff, form)
		}
	}
	if refusedForm(err) && s.style.fixed == "" && form == stylePath {
		other, otherErr := s.send(ctx, u, diff, stylePathless)
		if otherErr == nil {
			if reason := fault.Of(err).Reason; reason != "invalid_value" && reason != "read_only" {
				s.style.learn(stylePathless)
			}
			stored, err = other, nil
		}
	}
	if err != nil {
		return nil, err
	}
	if stored == nil {
		return diff, nil
	}
	for _, l := range diff {
		if on, said := stored.active(); l.attr == "active" && said && on != l.value {
			return nil, fault.New(fault.Transient, "not_shut", "the account was opened or shut, and the server says that it is not")
		}
	}
	s.compare(ctx, r.Refs, stored, diff)
	return diff, nil
}

// refusedForm tells an answer that may mean the form of a PATCH, not a value.
func refusedForm(err error) bool {
	if err == nil {
		return false
	}
	switch f := fault.Of(err); f.Reason {
	case "invalid_syntax", "invalid_path", "no_target", "status_400", "invalid_value", "read_only":
		return true
	}
	return false
}

// send makes one call; the answer is the user as it is now, or nil.
func (s *sink) send(ctx context.Context, u resource, diff []leaf, form string) (resource, error) {
	version := ""
	if s.etag(ctx) {
		version = u.version()
	}
	if form == stylePut {
		return s.api.put(ctx, u.id(), replaced(u, diff), version)
	}
	ops := operations(u, diff, form)
	if len(ops) == 0 {
		return nil, nil //nolint:nilnil // nothing to say, nothing answered
	}
	return s.api.patch(ctx, u.id(), ops, version)
}
