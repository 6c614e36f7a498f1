package people

import (
	"regexp"
	"strings"

	"github.com/muster-hr/muster/libs/employee"
)

// Masked stands for a value that may not be seen.
const Masked = "***"

// open are the leaves whose values are no personal data in themselves: words
// of a state, and ids that other systems made.
func open(leaf string) bool {
	return leaf == "id" || leaf == "employment.status" || strings.HasPrefix(leaf, "external.")
}

// ourID is the form of our employee ids, see seal.Sealer.Token.
var ourID = regexp.MustCompile(`^[a-z2-7]{26}$`)

// key is the key of a person at a source as it may be seen. It is an id that
// another system made, by which people are looked up, and stays, unless it tells
// who they are: some vendors take the e-mail address, a name or a national id.
func key(k string, f employee.Flat) string {
	if strings.Contains(k, "@") {
		return Masked
	}
	for leaf, v := range f {
		switch id, isTable := v.(map[string]any); {
		case isTable && strings.HasPrefix(leaf, "national_ids["):
			v = id["value"]
		case !strings.HasPrefix(leaf, "name."):
			continue
		}
		if text, ok := v.(string); ok && strings.EqualFold(text, k) {
			return Masked
		}
	}
	return k
}

// Mask replaces the values of a person and keeps the structure: which fields
// are said, cleared or absent, and how long the lists are. Ids, the status and
// the manager, if named by our id, stay.
func Mask(f employee.Flat) employee.Flat {
	out := make(employee.Flat, len(f))
	for leaf, v := range f {
		switch id, isText := v.(string); {
		case strings.HasPrefix(leaf, "external."):
			out[leaf] = keys(v, f)
		case open(leaf):
			out[leaf] = v
		case isText && employee.Pattern(leaf) == employee.ManagerPattern && ourID.MatchString(id):
			out[leaf] = v
		default:
			out[leaf] = mask(v)
		}
	}
	return out
}

// keys are the external ids of a source as they may be seen.
func keys(v any, f employee.Flat) any {
	list, ok := v.([]any)
	if !ok {
		return v
	}
	out := make([]any, len(list))
	for i, one := range list {
		if k, isText := one.(string); isText {
			one = key(k, f)
		}
		out[i] = one
	}
	return out
}

func mask(v any) any {
	switch v := v.(type) {
	case nil:
		return nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, inner := range v {
			out[name] = mask(inner)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = mask(inner)
		}
		return out
	}
	return Masked
}
