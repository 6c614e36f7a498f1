package mapping

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	yaml "go.yaml.in/yaml/v3"

	"github.com/muster-hr/muster/libs/employee"
)

// kinds of fields that an operator can fill.
var kinds = map[string][]employee.Kind{
	"template": {employee.Text, employee.Any, employee.List, employee.Enum, employee.Day, employee.Manager},
	"join":     {employee.Text, employee.Any},
	"list":     {employee.List, employee.Any},
	"lower":    {employee.Text, employee.Any, employee.List, employee.Enum, employee.Manager},
	"upper":    {employee.Text, employee.Any, employee.List, employee.Currency, employee.Country, employee.Manager},
	"ascii":    {employee.Text, employee.Any, employee.List},
	"text":     {employee.Text, employee.Any, employee.List, employee.Manager, employee.Enum},
	"number":   {employee.Any},
	"decimal":  {employee.Decimal, employee.Any},
	"money":    {employee.Decimal, employee.Currency, employee.Any},
	"phone":    {employee.Text, employee.Any},
	"country":  {employee.Country, employee.Any, employee.Text},
	"split":    {employee.Text, employee.Any, employee.List, employee.Manager},
	"date":     {employee.Day, employee.Instant, employee.Any},
	"by":       {employee.Manager},
}

// takes reports an operator that cannot fill the field, or has no meaning in
// the direction.
func (c *compiler) takes(key *yaml.Node, op string, f *employee.Field) {
	if key == nil {
		return
	}
	switch {
	case op == "ref" && c.o.Direction == FromVendor:
		c.problem(key, CodeOperator, "write `from:`; a manager is named by an id of the source", "ref is for mappings towards a vendor")
	case op == "by" && c.o.Direction == ToVendor:
		c.problem(key, CodeOperator, "write `ref:`", "by is for mappings from a vendor")
	case f == nil:
	case op == "each":
		if !strings.HasSuffix(f.Pattern, "[]") {
			c.problem(key, CodeOperator, "use `from`", "each fills lists of objects, and %s is %s", f.Pattern, wanted(*f))
		}
	case kinds[op] != nil && !slices.Contains(kinds[op], f.Kind) || op == "list" && strings.HasSuffix(f.Pattern, "[]"):
		c.problem(key, CodeOperator, "remove it, or use one that makes "+wanted(*f), "%s cannot make %s, which %s wants", op, wanted(*f), f.Pattern)
	}
}

// steps compiles what is done to the value, in the fixed order.
func (c *compiler) steps(r *rule, byKey, keys map[string]*yaml.Node, f *employee.Field) {
	if x := byKey["else"]; x != nil && byKey["map"] == nil {
		c.problem(keys["else"], CodeOperator, "add `map:`", "else goes with map only")
	}
	c.flag(byKey["trim"], "trim") // every text is trimmed
	c.takes(keys["by"], "by", f)
	for _, op := range []string{"split", "money", "map", "ascii", "lower", "upper", "date", "phone", "country", "decimal", "number", "text"} {
		x := byKey[op]
		if x == nil {
			continue
		}
		c.takes(keys[op], op, f)
		var do func(any) (any, string)
		switch op {
		case "split":
			do = c.split(x)
		case "money":
			do = c.money(x)
		case "map":
			do = c.mapping(x, byKey["else"], f)
		case "date":
			do = c.date(x, f)
		case "phone":
			do = c.phone(x)
		case "country":
			do = c.country(x)
		case "decimal":
			do = c.decimal(x)
		default:
			if !c.flag(x, op) {
				continue
			}
			do = simple[op]
		}
		if do != nil {
			r.steps = append(r.steps, step{name: op, do: do})
		}
	}
}

// simple operators take true only.
var simple = map[string]func(any) (any, string){
	"lower": onText(strings.ToLower),
	"upper": onText(strings.ToUpper),
	"ascii": onText(func(s string) string { return clean(ascii(s)) }),
	"text": func(v any) (any, string) {
		if t, ok := scalarText(v); ok {
			return t, ""
		}
		return nil, found(v) + ", not something with one text"
	},
	"number": func(v any) (any, string) {
		switch t := v.(type) {
		case json.Number, float64:
			return t, ""
		case string:
			if d, ok := decimalText(t, false); ok {
				if d = trimZeros(d); json.Valid([]byte(d)) {
					return json.Number(d), ""
				}
			}
		}
		return nil, found(v) + ", not a number"
	},
}

// trimZeros makes decimal text a JSON number: no leading zeros.
func trimZeros(d string) string {
	sign := ""
	if t, ok := strings.CutPrefix(d, "-"); ok {
		sign, d = "-", t
	}
	for len(d) > 1 && d[0] == '0' && d[1] != '.' {
		d = d[1:]
	}
	return sign + d
}

func onText(f func(string) string) func(any) (any, string) {
	return func(v any) (any, string) {
		t, ok := v.(string)
		if !ok {
			return nil, found(v) + ", not text"
		}
		if t = f(t); t == "" {
			return nil, ""
		}
		return t, ""
	}
}

// mapping compiles a table of words. A word is found as written, else without
// case. What is not in the table fails unless `else` says otherwise.
func (c *compiler) mapping(n, other *yaml.Node, f *employee.Field) func(any) (any, string) {
	exact, folded := map[string]any{}, map[string]any{}
	result := func(x *yaml.Node) any {
		if x.Value == "$none" {
			return none
		}
		if f != nil && f.Kind == employee.List && x.Kind == yaml.ScalarNode {
			return literal(x)
		}
		if f != nil && (f.Kind == employee.Day || f.Kind == employee.Decimal || f.Kind == employee.Country) {
			return literal(x) // a later step may finish it
		}
		return c.value(x, f)
	}
	for _, e := range c.entries(n, "map") {
		v := result(e.value)
		k := clean(e.key.Value)
		exact[k] = v
		if _, ok := folded[strings.ToLower(k)]; !ok {
			folded[strings.ToLower(k)] = v
		}
	}
	keep, fails := false, other == nil
	var def any
	if other != nil {
		switch other.Value {
		case "keep":
			keep = true
		case "fail":
			fails = true
		default:
			def = result(other)
		}
	}
	return func(v any) (any, string) {
		t, ok := scalarText(v)
		if !ok {
			return nil, found(v) + ", not a word to look up"
		}
		t = clean(t)
		if x, ok := exact[t]; ok {
			return x, ""
		}
		if x, ok := folded[strings.ToLower(t)]; ok {
			return x, ""
		}
		switch {
		case keep:
			return v, ""
		case fails:
			return nil, found(v) + " that the map does not list"
		}
		return def, ""
	}
}

// date compiles layouts. From a vendor the first that fits reads the day (or
// the instant, where the field holds one); towards a vendor the first writes it.
func (c *compiler) date(n *yaml.Node, f *employee.Field) func(any) (any, string) {
	var layouts []string
	for _, t := range c.texts(n, "date") {
		if t.Value == "true" {
			t.Value = layoutISO
		}
		if fix := checkLayout(t.Value); fix != "" {
			c.problem(t, CodeBadLayout, fix, "the layout does not hold a whole day")
		}
		layouts = append(layouts, t.Value)
	}
	if len(layouts) == 0 {
		return nil
	}
	if c.o.Direction == ToVendor {
		return writeDate(layouts[0])
	}
	instant := f != nil && f.Kind == employee.Instant
	return func(v any) (any, string) {
		t, ok := scalarText(v)
		if !ok || found(v) == "a truth value" {
			return nil, found(v) + ", not a day"
		}
		at, ok := readTime(clean(t), layouts)
		switch {
		case !ok:
			return nil, found(v) + ", not a day in the expected layout"
		case instant:
			return at.UTC().Format(time.RFC3339Nano), ""
		}
		return at.Format(time.DateOnly), ""
	}
}

func writeDate(layout string) func(any) (any, string) {
	return func(v any) (any, string) {
		t, _ := v.(string)
		at, ok := readTime(t, []string{layoutISO})
		if !ok {
			return nil, found(v) + ", not a day"
		}
		switch layout {
		case layoutISO:
			return at.Format(time.DateOnly), ""
		case layoutUnix:
			return json.Number(strconv.FormatInt(at.Unix(), 10)), ""
		case layoutUnixMS:
			return json.Number(strconv.FormatInt(at.UnixMilli(), 10)), ""
		}
		return at.Format(layout), ""
	}
}

func (c *compiler) money(n *yaml.Node) func(any) (any, string) {
	part := n.Value
	if part != "amount" && part != "currency" {
		c.problem(n, CodeBadValue, "write amount or currency", "money takes the part that is meant")
	}
	return func(v any) (any, string) {
		amount, currency, ok := money(v, false)
		switch {
		case !ok:
			return nil, found(v) + ", not an amount of money"
		case part == "amount":
			return amount, ""
		}
		return currency, ""
	}
}

func (c *compiler) decimal(n *yaml.Node) func(any) (any, string) {
	comma, pad := n.Value == ",", -1
	if n.Tag == "!!int" {
		if p, err := strconv.Atoi(n.Value); err == nil && p >= 0 && p <= 9 {
			pad = p
		}
	}
	if !comma && pad < 0 && n.Value != "." && n.Value != "true" {
		c.problem(n, CodeBadValue, `write true, "," for 1.234,56, or the number of places`, "decimal does not take this")
	}
	return func(v any) (any, string) {
		t, ok := scalarText(v)
		if !ok || found(v) == "a truth value" {
			return nil, found(v) + ", not a decimal number"
		}
		d, ok := decimalText(clean(t), comma && found(v) == "text")
		if !ok {
			return nil, found(v) + ", not a decimal number"
		}
		if pad >= 0 {
			d = places(d, pad)
		}
		return d, ""
	}
}
