package mapping

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"

	"github.com/muster-hr/muster/libs/employee"
)

// What an absent and a cleared field are to CEL. Both end the expression, unless
// it asks by has(), said() or first_of(): see [program.value].
var (
	errAbsent  = errors.New("no such key: not said")
	errCleared = errors.New("no such key: cleared")
)

// typeName is the CEL type of an object: Employee, Employee.positions.
func typeName(pattern string) string {
	if pattern == "" {
		return "Employee"
	}
	return "Employee." + strings.ReplaceAll(pattern, "[]", "")
}

// celType is the CEL type of a canonical field.
func celType(f employee.Field) *cel.Type {
	switch {
	case f.Pattern == "external":
		return cel.MapType(cel.StringType, cel.ListType(cel.StringType))
	case strings.HasSuffix(f.Pattern, "[]"):
		return cel.ListType(cel.ObjectType(typeName(f.Pattern)))
	}
	switch f.Kind {
	case employee.Bool:
		return cel.BoolType
	case employee.List:
		return cel.ListType(cel.StringType)
	case employee.Any:
		return cel.DynType
	case employee.Object:
		if len(members(f.Pattern)) == 0 {
			return cel.MapType(cel.StringType, cel.DynType)
		}
		return cel.ObjectType(typeName(f.Pattern))
	}
	return cel.StringType // texts, days, codes, decimals; a manager is our id
}

// members are the names of the fields right below a pattern.
func members(pattern string) []string {
	var out []string
	for _, f := range employee.Fields() {
		rest := f.Pattern
		if pattern != "" {
			var ok bool
			if rest, ok = strings.CutPrefix(rest, pattern+"."); !ok {
				continue
			}
		}
		if name := strings.TrimSuffix(rest, "[]"); !strings.Contains(name, ".") && name != "" {
			out = append(out, name)
		}
	}
	return out
}

// schema tells the CEL checker what an employee has, so that a misspelt field
// is an error when the file is read.
type schema struct {
	types.Provider
	objects map[string]map[string]*types.FieldType
}

func newSchema(base types.Provider) *schema {
	s := &schema{base, map[string]map[string]*types.FieldType{}}
	patterns := []string{""}
	for _, f := range employee.Fields() {
		if len(members(f.Pattern)) > 0 {
			patterns = append(patterns, f.Pattern)
		}
	}
	for _, p := range patterns {
		fields := map[string]*types.FieldType{}
		for _, name := range members(p) {
			f, _ := childOf(p, name)
			fields[name] = &types.FieldType{Type: celType(f), IsSet: isSet(name), GetFrom: getFrom(name)}
		}
		s.objects[typeName(p)] = fields
	}
	return s
}

func isSet(name string) ref.FieldTester {
	return func(target any) bool {
		m, ok := target.(map[string]any)
		return ok && m[name] != nil
	}
}

func getFrom(name string) ref.FieldGetter {
	return func(target any) (any, error) {
		m, _ := target.(map[string]any)
		v, ok := m[name]
		switch {
		case !ok:
			return nil, errAbsent
		case v == nil:
			return nil, errCleared
		}
		return v, nil
	}
}

// FindStructType finds our types, then those of CEL.
func (s *schema) FindStructType(name string) (*types.Type, bool) {
	if _, ok := s.objects[name]; ok {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return s.Provider.FindStructType(name)
}

// FindStructFieldNames lists the members of a type.
func (s *schema) FindStructFieldNames(name string) ([]string, bool) {
	if fields, ok := s.objects[name]; ok {
		out := make([]string, 0, len(fields))
		for n := range fields {
			out = append(out, n)
		}
		slices.Sort(out)
		return out, true
	}
	return s.Provider.FindStructFieldNames(name)
}

// FindStructFieldType finds one member.
func (s *schema) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	if fields, ok := s.objects[name]; ok {
		f, ok := fields[field]
		return f, ok
	}
	return s.Provider.FindStructFieldType(name, field)
}

// values gives CEL JSON as it is decoded here: numbers keep their text until
// CEL needs them.
type values struct{ types.Adapter }

// NativeToValue makes a CEL value of a JSON value.
func (a values) NativeToValue(v any) ref.Val {
	switch t := v.(type) {
	case json.Number:
		if i, err := t.Int64(); err == nil {
			return types.Int(i)
		}
		f, err := t.Float64()
		if err != nil {
			return types.NewErr("a number out of range")
		}
		return types.Double(f)
	case string:
		return types.String(t)
	case nil:
		return types.NullValue
	case bool:
		return types.Bool(t)
	case map[string]any:
		return types.NewStringInterfaceMap(a, t)
	case []any:
		return types.NewDynamicList(a, t)
	}
	return a.Adapter.NativeToValue(v)
}

// native makes JSON of a CEL value; false for what JSON does not have.
func native(v ref.Val) (any, bool) {
	switch t := v.(type) {
	case types.Null:
		return nil, true
	case types.String:
		return string(t), true
	case types.Bool:
		return bool(t), true
	case types.Int:
		return json.Number(text(t)), true
	case types.Uint:
		return json.Number(text(t)), true
	case types.Double:
		n := text(t)
		return json.Number(n), json.Valid([]byte(n))
	}
	switch t := v.Value().(type) {
	case map[string]any:
		return t, true
	case []any:
		return t, true
	}
	return nativeContainer(v)
}
