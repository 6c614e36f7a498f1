package mapping

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"

	"github.com/muster-hr/muster/libs/employee"
)

// functions are ours, beside CEL's own and its extension for strings:
//
//	lower(text) upper(text) trim(text) ascii(text)   texts
//	text(value)                                      a scalar as text, without an exponent
//	days_between(day, day) add_days(day, n)          calendar days
//	first_of(a, b, …)                                the first that is said and not empty
//	said(value)                                      whether it is there and not null
//	primary(positions)                               the primary position
func functions() []cel.EnvOption {
	one := func(name string, f func(string) string) cel.EnvOption {
		return cel.Function(name, cel.Overload(name+"_text", []*cel.Type{cel.StringType}, cel.StringType,
			cel.UnaryBinding(func(v ref.Val) ref.Val {
				s, ok := v.(types.String)
				if !ok {
					return types.MaybeNoSuchOverloadErr(v)
				}
				return types.String(f(string(s)))
			})))
	}
	t := cel.TypeParamType("T")
	var firsts []cel.FunctionOpt
	for n := 1; n <= 6; n++ {
		args := make([]*cel.Type, n)
		for i := range args {
			args[i] = t
		}
		firsts = append(firsts, cel.Overload("first_of_"+strconv.Itoa(n), args, t, cel.OverloadIsNonStrict(), bound(n)))
	}
	position := cel.ObjectType(typeName("positions[]"))
	return []cel.EnvOption{
		one("lower", strings.ToLower), one("upper", strings.ToUpper), one("trim", clean), one("ascii", ascii),
		cel.Function("text", cel.Overload("text_any", []*cel.Type{cel.DynType}, cel.StringType, cel.UnaryBinding(func(v ref.Val) ref.Val {
			switch v.(type) {
			case types.String, types.Int, types.Uint, types.Double, types.Bool:
				return types.String(text(v))
			}
			return types.MaybeNoSuchOverloadErr(v)
		}))),
		cel.Function("days_between", cel.Overload("days_between_days", []*cel.Type{cel.StringType, cel.StringType}, cel.IntType,
			cel.BinaryBinding(func(a, b ref.Val) ref.Val {
				from, ok := celDay(a)
				to, ok2 := celDay(b)
				if !ok || !ok2 {
					return types.NewErr("not a day")
				}
				return types.Int(to.Sub(from) / (24 * time.Hour))
			}))),
		cel.Function("add_days", cel.Overload("add_days_int", []*cel.Type{cel.StringType, cel.IntType}, cel.StringType,
			cel.BinaryBinding(func(a, b ref.Val) ref.Val {
				from, ok := celDay(a)
				n, ok2 := b.(types.Int)
				if !ok || !ok2 || n > 200000 || n < -200000 {
					return types.NewErr("not a day")
				}
				return types.String(from.AddDate(0, 0, int(n)).Format(time.DateOnly))
			}))),
		cel.Function("first_of", firsts...),
		cel.Function("said", cel.Overload("said_any", []*cel.Type{cel.DynType}, cel.BoolType, cel.OverloadIsNonStrict(),
			cel.UnaryBinding(func(v ref.Val) ref.Val { return types.Bool(isSaid(v)) }))),
		cel.Function("primary", cel.Overload("primary_positions", []*cel.Type{cel.ListType(cel.DynType)}, position,
			cel.UnaryBinding(func(v ref.Val) ref.Val {
				list, _ := v.Value().([]any)
				if p := byKey(list, "positions", "primary"); p != nil {
					return adapter.NativeToValue(p)
				}
				return types.WrapErr(errAbsent)
			}))),
	}
}

func celDay(v ref.Val) (time.Time, bool) {
	s, _ := v.(types.String)
	if !validDay(string(s)) {
		return time.Time{}, false
	}
	t, err := time.Parse(time.DateOnly, string(s))
	return t, err == nil
}

// isSaid tells whether an argument is there: no error and not null.
func isSaid(v ref.Val) bool {
	return !types.IsUnknownOrError(v) && v != types.NullValue
}

func firstOf(args ...ref.Val) ref.Val {
	for _, a := range args {
		if isSaid(a) && a != types.String("") {
			return a
		}
	}
	return args[len(args)-1]
}

// bound gives an overload of n arguments its implementation.
func bound(n int) cel.OverloadOpt {
	switch n {
	case 1:
		return cel.UnaryBinding(func(a ref.Val) ref.Val { return firstOf(a) })
	case 2:
		return cel.BinaryBinding(func(a, b ref.Val) ref.Val { return firstOf(a, b) })
	}
	return cel.FunctionBinding(firstOf)
}

// text is a CEL scalar as text.
func text(v ref.Val) string {
	switch t := v.(type) {
	case types.String:
		return string(t)
	case types.Int:
		return strconv.FormatInt(int64(t), 10)
	case types.Uint:
		return strconv.FormatUint(uint64(t), 10)
	case types.Double:
		if math.IsNaN(float64(t)) || math.IsInf(float64(t), 0) || math.Abs(float64(t)) > 1e300 {
			return ""
		}
		return strconv.FormatFloat(float64(t), 'f', -1, 64)
	case types.Bool:
		return strconv.FormatBool(bool(t))
	}
	return ""
}

// nativeContainer makes JSON of lists and maps that CEL built.
func nativeContainer(v ref.Val) (any, bool) {
	switch t := v.(type) {
	case traits.Mapper:
		out := map[string]any{}
		for it := t.Iterator(); it.HasNext() == types.True; {
			k := it.Next()
			name, ok := k.(types.String)
			x, ok2 := native(t.Get(k))
			if !ok || !ok2 {
				return nil, false
			}
			out[string(name)] = x
		}
		return out, true
	case traits.Lister:
		out := []any{}
		for it := t.Iterator(); it.HasNext() == types.True; {
			x, ok := native(it.Next())
			if !ok {
				return nil, false
			}
			out = append(out, x)
		}
		return out, true
	}
	return nil, false
}

var functionNames = []string{"lower", "upper", "trim", "ascii", "text", "days_between", "add_days", "first_of", "said", "primary", "has", "size", "matches"}

func topLevel() []string {
	var out []string
	for _, f := range employee.Fields() {
		if n := strings.TrimSuffix(f.Pattern, "[]"); !strings.Contains(n, ".") {
			out = append(out, n)
		}
	}
	return out
}
