package mapping

import (
	"slices"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v3"
)

func (c *compiler) phone(n *yaml.Node) func(any) (any, string) {
	region, extension := n, false
	if n.Kind == yaml.MappingNode {
		region = nil
		for _, e := range c.entries(n, "phone") {
			switch {
			case e.key.Value == "region":
				region = e.value
			case e.key.Value == "take" && (e.value.Value == "extension" || e.value.Value == "number"):
				extension = e.value.Value == "extension"
			default:
				c.problem(e.key, CodeUnknownKey, "write {region: PL, take: extension}", "phone takes region and take")
			}
		}
	}
	code := "ZZ" // no default: only +48… parses
	if region != nil && region.Value != "true" {
		code = region.Value
		if !knownRegion(code) {
			c.problem(region, CodeBadValue, "write a country code such as PL, or true", "there is no telephone region %s", code)
		}
	}
	return func(v any) (any, string) {
		t, ok := scalarText(v)
		if !ok {
			return nil, found(v) + ", not a telephone number"
		}
		number, ext := phone(clean(t), code)
		if !extension {
			return number, ""
		}
		if ext == "" {
			return none, ""
		}
		return ext, ""
	}
}

func (c *compiler) country(n *yaml.Node) func(any) (any, string) {
	want := n.Value
	if !slices.Contains([]string{"true", "alpha2", "alpha3", "name"}, want) {
		c.problem(n, CodeBadValue, "write true, alpha2, alpha3 or name", "country does not take this")
	}
	if c.o.Direction == FromVendor && (want == "alpha3" || want == "name") {
		c.problem(n, CodeOperator, "write true", "canonical countries are alpha-2")
	}
	all := countries()
	return func(v any) (any, string) {
		t, _ := v.(string)
		code, ok := all.code[strings.ToLower(clean(t))]
		if !ok {
			return nil, found(v) + ", not a country"
		}
		switch want {
		case "alpha3":
			return all.alpha3[code], ""
		case "name":
			return all.name[code], ""
		}
		return code, ""
	}
}

// split compiles `split: given | family` of a full name, or {by, take}.
func (c *compiler) split(n *yaml.Node) func(any) (any, string) {
	if n.Kind != yaml.MappingNode {
		if n.Value != "given" && n.Value != "family" {
			c.problem(n, CodeBadValue, `write given, family, or {by: ",", take: 0}`, "split does not take this")
		}
		return onText(func(s string) string { return splitName(s, n.Value) })
	}
	by, take, all := "", 0, true
	for _, e := range c.entries(n, "split") {
		switch e.key.Value {
		case "by":
			by = e.value.Value
		case "take":
			i, err := strconv.Atoi(e.value.Value)
			if err != nil {
				c.problem(e.value, CodeBadValue, "write 0 for the first, -1 for the last", "take is a whole number")
			}
			take, all = i, false
		default:
			c.problem(e.key, CodeUnknownKey, `write {by: ",", take: 0}`, "split takes by and take")
		}
	}
	if by == "" {
		c.problem(n, CodeMissing, `add by: ","`, "split does not say at what")
		return nil
	}
	return func(v any) (any, string) {
		t, ok := v.(string)
		if !ok {
			return nil, found(v) + ", not text"
		}
		parts := strings.Split(t, by)
		if all {
			out := make([]any, 0, len(parts))
			for _, p := range parts {
				if p = clean(p); p != "" {
					out = append(out, p)
				}
			}
			return out, ""
		}
		i := take
		if i < 0 {
			i += len(parts)
		}
		if i < 0 || i >= len(parts) || clean(parts[i]) == "" {
			return none, ""
		}
		return clean(parts[i]), ""
	}
}
