package fake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

const schemaPatch = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

// change is one operation of a PATCH.
type change struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// patch is all or nothing; 204 where nothing changed.
func (v *server) patch(r *http.Request, u *user, raw []byte) answer {
	if v.set("patch") == "none" {
		return v.problem(501, "", "PATCH is not supported")
	}
	var in struct {
		Schemas    []string `json:"schemas"`
		Operations []change `json:"Operations"`
	}
	if json.Unmarshal(raw, &in) != nil || !slices.Contains(in.Schemas, schemaPatch) || len(in.Operations) == 0 {
		return v.problem(400, "invalidSyntax", "PatchOp request body is malformed")
	}
	next := clone(u.body)
	for i, c := range in.Operations {
		if kind, detail := v.operate(next, c); kind != "" {
			return v.problem(400, kind, fmt.Sprintf("%s for '%s' op of operation %d in PatchOp request body", detail, c.Op, i+1))
		}
	}
	body, refused := v.admit(next, u)
	if refused != nil {
		return *refused
	}
	var sent any
	_ = json.Unmarshal(raw, &sent)
	if !v.become(r, u, body, sent) || v.set("patch_answer") == "empty" {
		return answer{status: 204}
	}
	return answer{status: 200, body: v.json(u)}
}

// operate does one operation on a body; kind is the scimType of a refusal.
func (v *server) operate(body map[string]any, c change) (kind, detail string) {
	op := strings.ToLower(c.Op)
	if !slices.Contains([]string{"add", "replace", "remove"}, op) {
		return "invalidSyntax", "Invalid operation"
	}
	form := v.set("patch")
	if c.Path == "" {
		value, ok := c.Value.(map[string]any)
		switch {
		case op == "remove":
			return "noTarget", "Missing required 'path' attribute"
		case form == "path":
			return "invalidPath", "A path is required"
		case !ok:
			return "invalidValue", "Attribute 'value' must be an object"
		}
		for name, x := range value {
			if inner, ok := x.(map[string]any); ok && strings.EqualFold(name, schemaEnterprise) {
				for sub, y := range inner {
					if kind, detail := v.at(body, op, schemaEnterprise+":"+sub, y); kind != "" {
						return kind, detail
					}
				}
				continue
			}
			if kind, detail := v.at(body, op, name, x); kind != "" {
				return kind, detail
			}
		}
		return "", ""
	}
	if form == "pathless" && op != "remove" {
		return "invalidPath", "Paths are not supported"
	}
	return v.at(body, op, c.Path, c.Value)
}

var target = regexp.MustCompile(`^([A-Za-z]+)(?:\[\s*([A-Za-z]+)\s+(?i:eq)\s+("(?:[^"\\]|\\.)*")\s*\])?(?:\.([A-Za-z]+))?$`)

// at does an operation at a path: attribute, attribute.sub,
// attribute[type eq "x"], attribute[type eq "x"].sub, all of them behind a URN.
func (v *server) at(body map[string]any, op, path string, value any) (kind, detail string) {
	of, in := core, body
	switch rest, urn := cutURN(path); {
	case urn == "":
	case strings.EqualFold(urn, schemaEnterprise):
		of, path = enterprise, rest
		ext, _ := body[schemaEnterprise].(map[string]any)
		if ext == nil {
			ext = map[string]any{}
			body[schemaEnterprise] = ext
		}
		in = ext
	case strings.EqualFold(urn, schemaUser):
		path = rest
	default:
		return "invalidPath", "Invalid path"
	}
	m := target.FindStringSubmatch(path)
	if m == nil {
		return "invalidPath", "Invalid path '" + path + "'"
	}
	name, form, ok := known(of, m[1])
	if !ok {
		return "invalidPath", "Invalid path '" + path + "'"
	}
	if m[2] != "" {
		return v.elements(in, op, name, m, value)
	}
	if m[4] == "" {
		return whole(in, op, name, form, value)
	}
	inner, _ := in[name].(map[string]any)
	if inner == nil {
		inner = map[string]any{}
	}
	if op == "remove" {
		delete(inner, m[4])
	} else {
		inner[m[4]] = value
	}
	if in[name] = inner; len(inner) == 0 {
		delete(in, name)
	}
	return "", ""
}

// whole sets, adds to, or removes an attribute.
func whole(in map[string]any, op, name string, form kind, value any) (string, string) {
	if op == "remove" {
		delete(in, name)
		return "", ""
	}
	if name == "manager" { // some clients send the id alone
		if s, ok := value.(string); ok {
			value = map[string]any{"value": s}
		}
	}
	if !form.fits(value) {
		return "invalidValue", "Attribute '" + name + "' expected value type '" + form.String() + "'"
	}
	if more, ok := value.([]any); ok && op == "add" {
		old, _ := in[name].([]any)
		in[name] = append(slices.Clone(old), more...)
		return "", ""
	}
	if more, ok := value.(map[string]any); ok {
		merged, _ := in[name].(map[string]any)
		if merged == nil {
			merged = map[string]any{}
		}
		for k, x := range more {
			merged[k] = x
		}
		value = merged
	}
	in[name] = value
	return "", ""
}

// elements changes those elements of a list that a value path matches.
func (v *server) elements(in map[string]any, op, name string, m []string, value any) (string, string) {
	var want string
	if json.Unmarshal([]byte(m[3]), &want) != nil {
		return "invalidFilter", "Invalid filter"
	}
	old, _ := in[name].([]any)
	var out []any
	hit := false
	for _, e := range old {
		row, _ := e.(map[string]any)
		if row[m[2]] != want {
			out = append(out, e)
			continue
		}
		hit = true
		switch {
		case op == "remove" && m[4] == "":
			continue
		case op == "remove":
			delete(row, m[4])
		case m[4] != "":
			row[m[4]] = value
		default:
			more, _ := value.(map[string]any)
			for k, x := range more {
				row[k] = x
			}
		}
		out = append(out, row)
	}
	if !hit && op != "remove" {
		return "noTarget", "Filter does not match any values"
	}
	in[name] = out
	return "", ""
}

// cutURN takes the URN off a path: up to the last colon that is before any
// filter.
func cutURN(path string) (rest, urn string) {
	if !strings.HasPrefix(strings.ToLower(path), "urn:") {
		return path, ""
	}
	end := len(path)
	if i := strings.IndexByte(path, '['); i >= 0 {
		end = i
	}
	i := strings.LastIndexByte(path[:end], ':')
	return path[i+1:], path[:i]
}

func clone(m map[string]any) map[string]any {
	raw, _ := json.Marshal(m)
	var out map[string]any
	_ = json.Unmarshal(raw, &out)
	return out
}
