package pipeline

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/record"
)

// ranks tells which sources may set a leaf, best first; nil means nobody said.
type ranks func(leaf string) []string

// tokens makes the HMAC of a value of a leaf, as deliveries note what they sent.
type tokens func(leaf string, value any) string

const statusLeaf = "employment.status"

// ranking remembers the ranks of the leaves it was asked for.
func ranking(a config.Authority) ranks {
	known := map[string][]string{}
	return func(leaf string) []string {
		r, ok := known[leaf]
		if !ok {
			if len(known) > 4096 { // leaves hold keys of vendors: there is no end to them
				clear(known)
			}
			r = a.Rank(leaf)
			known[leaf] = r
		}
		return r
	}
}

// merged is what came of a merge.
type merged struct {
	changed   []string
	conflicts []record.Conflict // leaves that the source may not set
	claimed   bool              // a value stands as it was, but for a source above the one before
}

// merge lays what one source says over a state, leaf by leaf, and reports what
// came of it.
//
//   - The highest-ranked source that has said something wins; a lower one fills
//     what nobody above it has said, and gives way later.
//   - A source clears only what it said itself, or what we wrote there. With a
//     list that is empty it clears each element.
//   - What a source repeats of our own write is a confirmation, not a change,
//     unless the state does not have that leaf yet. That holds until the source
//     says something else: sent then forgets the leaf.
func merge(s *employee.State, source string, said employee.Flat, at time.Time, sent map[string]string, rank ranks, token tokens) (m merged) {
	said = withElements(said, s.Fields)
	leaves := make([]string, 0, len(said))
	for leaf := range said {
		leaves = append(leaves, leaf)
	}
	slices.Sort(leaves)

	for _, leaf := range leaves {
		value := cleared(leaf, record.Normal(said[leaf]))
		ranked := rank(leaf)
		mine := slices.Index(ranked, source)
		if mine < 0 {
			m.conflicts = append(m.conflicts, record.Conflict{Path: leaf, Rule: "no_authority"})
			continue
		}
		current, known := s.Fields[leaf]
		if leaf == statusLeaf {
			current, known = any(s.Said), s.Said != ""
		}
		origin, had := s.Provenance[leaf]
		if value == nil && origin.Source != source && sent[leaf] == "" {
			continue // a source clears only what it said, or what we wrote there; an empty field of a vendor's form is not a word
		}
		echoed := sent[leaf] != "" && sent[leaf] == token(leaf, value)
		if !echoed {
			delete(sent, leaf) // it said something else: from now on our write is history, and saying it again is a change
		}
		if known && had && origin.Source != source {
			if theirs := slices.Index(ranked, origin.Source); theirs >= 0 && theirs < mine {
				if !employee.Equal(current, value) {
					m.conflicts = append(m.conflicts, record.Conflict{Path: leaf, Rule: "lower_rank", Winner: origin.Source})
				}
				continue
			}
		}
		if known && employee.Equal(current, value) {
			if origin.Source != source {
				s.Provenance[leaf] = employee.Origin{Source: source, At: at}
				m.claimed = true
			}
			continue
		}
		if known && echoed {
			continue
		}
		if leaf == statusLeaf {
			s.Said, _ = value.(string)
		} else {
			s.Fields[leaf] = value
		}
		s.Provenance[leaf] = employee.Origin{Source: source, At: at}
		m.changed = append(m.changed, leaf)
	}
	return m
}

// withElements adds to a list that is said to be empty the elements that the
// state has of it, cleared: they are leaves of their own.
func withElements(said, has employee.Flat) employee.Flat {
	var elements []string
	for leaf, v := range said {
		if list, ok := v.([]any); v != nil && (!ok || len(list) > 0) {
			continue
		}
		if f, ok := employee.Lookup(leaf + "[]"); !ok || !f.Keyed {
			continue
		}
		for known := range has {
			if strings.HasPrefix(known, leaf+"[") {
				elements = append(elements, known)
			}
		}
	}
	if len(elements) == 0 {
		return said
	}
	out := maps.Clone(said)
	for _, leaf := range elements {
		out[leaf] = nil
	}
	return out
}

// cleared reads an element of which only its keys are left (`phones[mobile]`
// with a null number) as cleared.
func cleared(leaf string, value any) any {
	elem, ok := value.(map[string]any)
	if !ok || !strings.HasSuffix(leaf, "]") {
		return value
	}
	for name, v := range elem {
		if v != nil && name != "kind" && name != "country" {
			return value
		}
	}
	return nil
}
