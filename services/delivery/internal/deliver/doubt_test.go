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

// bodies are small, so that equal values at one place are frequent.
func bodies(nested bool) *rapid.Generator[map[string]any] {
	return rapid.Custom(func(t *rapid.T) map[string]any {
		out := map[string]any{}
		for _, k := range []string{"a", "b", "c"} {
			switch rapid.IntRange(0, 4).Draw(t, k) {
			case 0: // not said
			case 1:
				out[k] = nil
			case 2:
				var list []any
				for _, v := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"x", "y", "z"}), 0, 2, rapid.ID).Draw(t, k) {
					list = append(list, v)
				}
				out[k] = list
			case 3:
				out[k] = rapid.SampledFrom([]string{"1", "2"}).Draw(t, k)
			default:
				if nested {
					out[k] = bodies(false).Draw(t, k)
				}
			}
		}
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
			tried = also(tried, m)
			target = laidOver(target, some(t, m.Body))
		}
		body := bodies(true).Draw(t, "body")
		for what, before := range map[string]map[string]any{"perhaps": perhaps(held, tried.Body, body), "unlike": unlike(held, body)} {
			if after := bring(target, before, body); !contains(after, body) {
				t.Fatalf("%s: before %v: the target holds %v, and was brought %v: %v", what, before, target, body, after)
			}
		}
		for k, v := range perhaps(held, tried.Body, body) {
			list, _ := v.([]any)
			want, _ := body[k].([]any)
			for _, one := range anyList(target[k]) {
				if _, is := v.([]any); is && !slices.Contains(list, one) && !slices.Contains(want, one) {
					t.Fatalf("nobody would take %v away from %s: %v", one, k, v)
				}
			}
		}
	})
}

func anyList(v any) []any { l, _ := v.([]any); return l }
