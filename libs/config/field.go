package config

import (
	"regexp"
	"slices"
	"strings"

	"github.com/muster-hr/muster/libs/employee"
)

// leaf is one canonical field that is merged and sent as one value.
type leaf struct {
	path  string
	class employee.Class
}

// leavesBelow lists what an entry of an allow-list covers. Elements of a list
// that merges by element keep their key: phones[work].
func leavesBelow(entry string, custom employee.CustomClasses) []leaf {
	if strings.HasPrefix(entry, "custom.") || strings.HasPrefix(entry, "external.") {
		return []leaf{{entry, employee.ClassOf(entry, custom)}}
	}
	var out []leaf
	pattern := employee.Pattern(entry)
	for _, f := range employee.Fields() {
		switch {
		case f.Pattern == "external" && entry == "external":
			out = append(out, leaf{entry, employee.Basic})
		case !f.Leaf:
		case f.Pattern == pattern && entry != pattern: // phones[work]
			out = append(out, leaf{entry, employee.ClassOf(entry, custom)})
		case employee.Covers(entry, f.Pattern), employee.Covers(pattern, f.Pattern):
			out = append(out, leaf{f.Pattern, employee.ClassOf(f.Pattern, custom)})
		}
	}
	return out
}

// keyed are the paths of one element of a list that merges by element.
var keyed = regexp.MustCompile(`^(phones|addresses|national_ids|positions)\[[^][]+\]`)

// checkPath reports a path that names no canonical field, or one below a field
// that is one value. all allows `custom` as a whole.
func (l *loader) checkPath(path string, at place, all bool) bool {
	if path == "custom" && !all {
		l.add(at, CodeUnknownField, "name each field: custom.NAME", "custom fields are delivered one by one")
		return false
	}
	pattern := path
	if i := strings.IndexByte(path, '['); i > 0 && !strings.HasPrefix(path[i:], "[]") {
		if !keyed.MatchString(path) {
			l.add(at, CodeUnknownField, "write "+path[:i]+"[]", "the elements of %s have no key", path[:i])
			return false
		}
		pattern = employee.Pattern(path)
	}
	_, ok := employee.Lookup(pattern)
	if !ok {
		_, ok = employee.Lookup(pattern + "[]") // `positions` for `positions[]`
	}
	if !ok {
		l.add(at, CodeUnknownField, oneOf(path, patterns()), "%q is not a canonical field", path)
		return false
	}
	for _, f := range employee.Fields() {
		if f.Leaf && f.Pattern != pattern && f.Pattern != pattern+"[]" && employee.Covers(f.Pattern, pattern) {
			l.add(at, CodeFieldTooFine, "write "+f.Pattern, "%s is one value, merged and sent as a whole", f.Pattern)
			return false
		}
	}
	return true
}

// patterns are the paths that may be written.
func patterns() []string {
	var out []string
	for _, f := range employee.Fields() {
		if f.Leaf || !slices.Contains([]string{"custom", "id"}, f.Pattern) {
			out = append(out, f.Pattern)
		}
	}
	return out
}
