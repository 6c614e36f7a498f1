package fake

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// parse reads a form as PHP does: brackets make nested arrays, `+` is a space,
// a later value of the same key wins, and what exceeds the limit is cut off
// without a word.
func parse(raw string, most int) map[string]any {
	out := map[string]any{}
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		if most == 0 {
			break
		}
		most--
		k, val, _ := strings.Cut(part, "=")
		k, errK := url.QueryUnescape(k)
		val, errV := url.QueryUnescape(val)
		if errK != nil || errV != nil || k == "" || k[0] == '[' {
			continue
		}
		put(out, steps(k), val)
	}
	return out
}

// steps are the names on the way to a value: `users[0][email]` has three.
func steps(k string) []string {
	head, rest, nested := strings.Cut(k, "[")
	out := []string{head}
	for nested {
		name, after, closed := strings.Cut(rest, "]")
		if !closed {
			break
		}
		out = append(out, name)
		rest, nested = strings.CutPrefix(after, "[")
	}
	return out
}

// put stores a value; arrays are objects by index, as in PHP.
func put(at map[string]any, path []string, val string) {
	for _, name := range path[:len(path)-1] {
		next, ok := at[name].(map[string]any)
		if !ok {
			next = map[string]any{}
			at[name] = next
		}
		at = next
	}
	at[path[len(path)-1]] = val
}

// elements of an array in the order of their indexes.
func elements(v any) []any {
	m, _ := v.(map[string]any)
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		x, _ := strconv.Atoi(a)
		y, _ := strconv.Atoi(b)
		return x - y
	})
	out := make([]any, 0, len(keys))
	for _, k := range keys {
		out = append(out, m[k])
	}
	return out
}

// objects are the elements that are arrays themselves.
func objects(v any) []map[string]any {
	var out []map[string]any
	for _, e := range elements(v) {
		m, _ := e.(map[string]any)
		out = append(out, m) // nil: something else, which has no key that is needed
	}
	return out
}

func text(v any) string { s, _ := v.(string); return s }
