package deliver

import (
	"maps"
	"slices"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/record"
)

// A write that failed may have arrived all the same, whole or in part, and one
// of a process that died is not known at all. Sinks send what differs from
// Before and take away what only Before has; so it is made such that the next
// body is brought there whatever the target holds.

// also is what was tried on what is held, one more delivery among it. Where that
// wanted what is held, the one before stays: with it the two candidates that
// suffice to differ from anything.
func also(held map[string]any, tried *record.Tried, d connector.Delivery) *record.Tried {
	out := &record.Tried{Body: d.Body, Match: d.Match}
	if tried != nil {
		out.Body = perhaps(tried.Body, d.Body, held)
	}
	return out
}

// perhaps is what the target may hold after writes that failed: of what it held
// and what was tried, at each place something that wanted differs from, if there
// is any. Lists are joined, so that whatever may stand in one can be taken away.
func perhaps(held, tried, wanted map[string]any) map[string]any {
	out := make(map[string]any, len(held)+len(tried))
	maps.Copy(out, held)
	for k, v := range tried {
		want, said := wanted[k]
		old := held[k]
		if inner, nested := v.(map[string]any); nested {
			before, _ := old.(map[string]any)
			then, _ := want.(map[string]any)
			out[k] = perhaps(before, inner, then)
			continue
		}
		for _, candidate := range []any{joined(old, v), v} {
			if !said || !employee.Equal(candidate, want) {
				out[k] = candidate
				break
			}
		}
	}
	return out
}

// joined is every element of two lists, of which null has none; of anything else
// it is the second.
func joined(a, b any) any {
	old, is := a.([]any)
	more, are := b.([]any)
	if !is || !are && b != nil {
		return b
	}
	out := slices.Clone(old)
	for _, v := range more {
		if !slices.ContainsFunc(out, func(o any) bool { return employee.Equal(o, v) }) {
			out = append(out, v)
		}
	}
	return out
}

// unlike is what held says otherwise than wanted: nothing of what is wanted is
// taken to be there, and what is not wanted may be.
func unlike(held, wanted map[string]any) map[string]any {
	out := make(map[string]any, len(held))
	for k, v := range held {
		want, said := wanted[k]
		if inner, nested := v.(map[string]any); nested {
			then, _ := want.(map[string]any)
			if rest := unlike(inner, then); len(rest) > 0 {
				out[k] = rest
			}
			continue
		}
		if !said || !employee.Equal(v, want) {
			out[k] = v
		}
	}
	return out
}
