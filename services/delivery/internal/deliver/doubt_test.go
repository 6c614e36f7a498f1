package deliver

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/record"
)

// bodies are small, so that equal values at one place are frequent. A place
// holds values of one kind, as what a mapping writes there does.
func bodies(nested bool) *rapid.Generator[map[string]any] {
	word, list := rapid.SampledFrom([]any{nil, "1", "2"}), rapid.SampledFrom([]any{nil, []any{}, []any{"x"}, []any{"y"}, []any{"x", "y"}})
	return rapid.Custom(func(t *rapid.T) map[string]any {
		out := map[string]any{"word": word.Draw(t, "word"), "list": list.Draw(t, "list")}
		if nested {
			out["inner"] = bodies(false).Draw(t, "inner")
		}
		maps.DeleteFunc(out, func(string, any) bool { return rapid.IntRange(0, 3).Draw(t, "unsaid") == 0 })
		return out
	})
}

// some is a part of what was said: a write of several calls that broke off.
func some(t *rapid.T, body map[string]any) map[string]any {
	out := maps.Clone(body)
	maps.DeleteFunc(out, func(string, any) bool { return rapid.Bool().Draw(t, "lost") })
	return out
}

// bring is a sink that sends differences, and gives what the target holds then.
func bring(target, before, body map[string]any) map[string]any {
	after := map[string]any{}
	maps.Copy(after, target)
	for k, v := range body {
		was, had := before[k]
		if inner, nested := v.(map[string]any); nested {
			there, _ := after[k].(map[string]any)
			old, _ := was.(map[string]any)
			after[k] = bring(there, old, inner)
			continue
		}
		if !had || !employee.Equal(was, v) {
			after[k] = v
		}
	}
	return after
}

// TestDoubt: whatever came of the writes that failed, the next body is there
// afterwards, and every element that a list may hold is seen.
func TestDoubt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		held := bodies(true).Draw(t, "held")
		target, m := maps.Clone(held), connector.Delivery{}
		var tried *record.Tried
		for range rapid.IntRange(1, 3).Draw(t, "failed") {
			m.Body = bodies(true).Draw(t, "tried")
			tried = also(held, tried, m)
			target = laidOver(target, some(t, m.Body))
		}
		body := bodies(true).Draw(t, "body")
		for what, before := range map[string]map[string]any{"perhaps": perhaps(held, tried.Body, body), "unlike": unlike(held, body)} {
			if after := bring(target, before, body); !contains(after, body) {
				t.Fatalf("%s: before %v: the target holds %v, and was brought %v: %v", what, before, target, body, after)
			}
		}
		for k, v := range target {
			if lost := unseen(v, perhaps(held, tried.Body, body)[k], body[k]); lost != nil {
				t.Fatalf("perhaps: nobody would take %v away from %s", lost, k)
			}
			if lost := unseen(held[k], unlike(held, body)[k], body[k]); lost != nil {
				t.Fatalf("unlike: nobody would take %v away from %s", lost, k)
			}
		}
	})
}

// unseen is an element of a list that is not wanted and not shown to be there.
func unseen(there, shown, want any) any {
	has, _ := there.([]any)
	seen, _ := shown.([]any)
	wanted, _ := want.([]any)
	for _, one := range has {
		if !slices.Contains(seen, one) && !slices.Contains(wanted, one) {
			return one
		}
	}
	return nil
}
