package config

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// item is one element of a list.
type item struct {
	at   place
	text string
}

// list is a list of texts; a single text counts as a list of one.
func (s *section) list(key string) []item {
	n := s.take(key)
	if n == nil || isNull(n) {
		return nil
	}
	return s.items(n, s.path(key))
}

func (s *section) items(n *yaml.Node, name string) []item {
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = n.Content
	}
	var out []item
	for _, e := range nodes {
		if !s.plain(e) {
			continue
		}
		if e.Kind != yaml.ScalarNode || isNull(e) || strings.TrimSpace(e.Value) == "" {
			s.p.add(s.place(e), CodeWrongForm, "write a list of texts: [one, two]", "%s is not a list of texts", name)
			continue
		}
		out = append(out, item{at: s.place(e), text: strings.TrimSpace(e.Value)})
	}
	return out
}

// sub is a section below a key, absent if the key is not there.
func (s *section) sub(key string) *section {
	inner := &section{name: s.path(key), at: s.atKey(key), p: s.p}
	n := s.take(key)
	if n == nil {
		return inner
	}
	return inner.read(n)
}

// subs is a list of sections below a key.
func (s *section) subs(key string) []*section {
	n := s.take(key)
	if n == nil || isNull(n) {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		s.p.add(s.place(n), CodeWrongForm, "write a list, each entry after `- `", "%s is not a list", s.path(key))
		return nil
	}
	var out []*section
	for i, e := range n.Content {
		inner := &section{name: fmt.Sprintf("%s[%d]", s.path(key), i), at: s.place(e), p: s.p}
		out = append(out, inner.read(e))
	}
	return out
}
