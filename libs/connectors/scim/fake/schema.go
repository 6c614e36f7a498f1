package fake

import (
	"encoding/json"
	"slices"
	"strings"
)

const (
	schemaUser       = "urn:ietf:params:scim:schemas:core:2.0:User"
	schemaEnterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
)

// kind is the form of an attribute.
type kind int

const (
	text kind = iota
	truth
	complexValue
	list
)

// core are the attributes of a user (RFC 7643 section 4.1).
var core = map[string]kind{
	"externalId": text, "userName": text, "displayName": text, "nickName": text, "profileUrl": text, "title": text, "userType": text,
	"preferredLanguage": text, "locale": text, "timezone": text, "active": truth, "name": complexValue,
	"emails": list, "phoneNumbers": list, "ims": list, "photos": list, "addresses": list, "entitlements": list, "roles": list,
}

// enterprise are those of the extension (section 4.3).
var enterprise = map[string]kind{
	"employeeNumber": text, "costCenter": text, "organization": text, "division": text, "department": text, "manager": complexValue,
}

// known finds an attribute whatever its case.
func known(of map[string]kind, name string) (string, kind, bool) {
	for n, k := range of {
		if strings.EqualFold(n, name) {
			return n, k, true
		}
	}
	return "", 0, false
}

// fits tells whether a value has the form of its attribute. A truth as a text
// is refused, as strict servers do.
func (k kind) fits(v any) bool {
	switch k {
	case text:
		_, ok := v.(string)
		return ok
	case truth:
		_, ok := v.(bool)
		return ok
	case complexValue:
		_, ok := v.(map[string]any)
		return ok
	}
	_, ok := v.([]any)
	return ok
}

func (k kind) String() string { return [...]string{"string", "boolean", "complex", "list"}[k] }

// admit judges a body as it would be stored for self, nil for a new user.
func (v *server) admit(in map[string]any, self *user) (map[string]any, *answer) {
	drops := v.names("drops")
	body := map[string]any{}
	schemas := []any{schemaUser}
	for name, x := range in {
		if strings.EqualFold(name, schemaEnterprise) {
			inner, _ := x.(map[string]any)
			ext, refused := v.fill(enterprise, inner, drops)
			if refused != nil {
				return nil, refused
			}
			if len(ext) > 0 {
				body[schemaEnterprise] = ext
				schemas = append(schemas, schemaEnterprise)
			}
		}
	}
	flat, refused := v.fill(core, in, drops)
	if refused != nil {
		return nil, refused
	}
	for k, x := range flat {
		body[k] = x
	}
	body["schemas"] = schemas
	name, _ := body["userName"].(string)
	if name == "" {
		a := v.problem(400, "invalidValue", "Required attribute 'userName' is missing")
		return nil, &a
	}
	if v.set("user_name") == "lower" {
		body["userName"] = strings.ToLower(name)
	}
	for _, u := range v.users {
		for _, k := range []string{"userName", "externalId"} {
			mine, _ := body[k].(string)
			theirs, _ := u.body[k].(string)
			if u != self && mine != "" && strings.EqualFold(mine, theirs) {
				a := v.problem(409, "uniqueness", "value already taken by "+u.id)
				return nil, &a
			}
		}
	}
	if self != nil {
		for _, k := range v.names("immutable") {
			if !same(self.body[k], body[k]) {
				a := v.problem(400, "mutability", "Attribute '"+k+"' cannot be changed")
				return nil, &a
			}
		}
	}
	return body, nil
}

// fill keeps known attributes of the right form.
func (v *server) fill(of map[string]kind, in map[string]any, drops []string) (map[string]any, *answer) {
	out := map[string]any{}
	for name, x := range in {
		n, k, ok := known(of, name)
		l, isList := x.([]any)
		if !ok || x == nil || slices.Contains(drops, n) || isList && len(l) == 0 {
			continue
		}
		if !k.fits(x) {
			a := v.problem(400, "invalidValue", "Attribute '"+n+"' expected value type '"+k.String()+"'")
			return nil, &a
		}
		out[n] = x
	}
	return out, nil
}

func same(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}
