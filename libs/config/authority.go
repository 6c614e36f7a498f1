package config

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/topology"
)

// Authority ranks the sources of each field.
type Authority struct {
	Default []string    // for fields that no entry covers
	Fields  []Ownership // as written
}

// Ownership is the ranking of one field or of everything below it.
type Ownership struct {
	Path    string // `positions[].title`, `compensation`, `phones[work]`
	Sources []string
}

// Rank lists the sources that may set a leaf (or a pattern), the highest
// first. The entry that names it most closely decides; `external.<source>`
// belongs to that source. Empty means that nobody may.
func (a Authority) Rank(leaf string) []string {
	var best *Ownership
	for i := range a.Fields {
		o := &a.Fields[i]
		if employee.Covers(o.Path, leaf) && (best == nil || closer(o.Path, best.Path)) {
			best = o
		}
	}
	if best != nil {
		return best.Sources
	}
	if source, ok := strings.CutPrefix(leaf, "external."); ok {
		return []string{source}
	}
	return a.Default
}

// closer tells whether a names less than b, both covering the same leaf.
func closer(a, b string) bool {
	if x, y := strings.Count(a, "."), strings.Count(b, "."); x != y {
		return x > y
	}
	return len(a) > len(b)
}

// authority reads authority.yaml.
func (l *loader) authority() {
	s := l.root("authority.yaml")
	if !s.present {
		return
	}
	for _, key := range s.order {
		sources := l.ranking(s, key)
		switch {
		case key == "default":
			l.company.Authority.Default = sources
		case l.checkPath(key, s.atKey(key), true):
			l.company.Authority.Fields = append(l.company.Authority.Fields, Ownership{Path: key, Sources: sources})
		}
	}
}

// ranking reads `[a, b]` or `{sources: [a, b]}`.
func (l *loader) ranking(s *section, key string) []string {
	var items []item
	if n := s.take(key); n != nil && n.Kind == yaml.MappingNode {
		inner := s.sub(key)
		items = inner.list("sources")
		inner.done()
	} else {
		items = s.list(key)
	}
	if len(items) == 0 {
		l.add(s.atValue(key), CodeWrongForm, "write a list of sources, the highest first: [bamboohr, greenhouse]", "%s names no source", key)
	}
	reported := len(items) == 0
	known := slices.Sorted(maps.Keys(l.company.Sources))
	var out []string
	for _, it := range items {
		_, file := l.files["sources/"+it.text+".yaml"] // one that has problems of its own still is one
		switch {
		case !file:
			reported = true
			l.add(it.at, CodeUnknownSource, oneOf(it.text, known), "there is no source %q", it.text)
		case slices.Contains(out, it.text):
			l.add(it.at, CodeDuplicateKey, "remove one of the two", "source %s stands twice", it.text)
		default:
			out = append(out, it.text)
		}
	}
	if len(out) == 0 && reported {
		return []string{topology.Unknown} // somebody was meant: no second problem for each field
	}
	return out
}
