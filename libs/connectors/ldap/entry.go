package ldap

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

// entry is what we know of an entry. Names of attributes know no case.
type entry struct {
	dn     string
	values map[string][]string
}

func known(e *goldap.Entry) *entry {
	out := &entry{dn: e.DN, values: make(map[string][]string, len(e.Attributes))}
	for _, a := range e.Attributes {
		out.values[strings.ToLower(a.Name)] = a.Values
	}
	return out
}

func (e *entry) all(name string) []string { return e.values[strings.ToLower(name)] }

// one is the first value, "" if there is none.
func (e *entry) one(name string) string {
	if v := e.all(name); len(v) > 0 {
		return v[0]
	}
	return ""
}

// identity is the text form of an entry's lasting id. objectGUID is 16 bytes,
// the first three groups the other way round ([MS-DTYP] section 2.3.4).
func (s settings) identity(e *entry) string {
	v := e.one(s.id)
	if !strings.EqualFold(s.id, "objectGUID") || len(v) != 16 {
		return v
	}
	b := []byte(v)
	slices.Reverse(b[0:4])
	slices.Reverse(b[4:6])
	slices.Reverse(b[6:8])
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// byIdentity is a filter for an id in its text form.
func (s settings) byIdentity(id string) string {
	if !strings.EqualFold(s.id, "objectGUID") {
		return clause(s.id, id)
	}
	b, err := hex.DecodeString(strings.ReplaceAll(id, "-", ""))
	if err != nil || len(b) != 16 {
		return clause(s.id, id)
	}
	slices.Reverse(b[0:4])
	slices.Reverse(b[4:6])
	slices.Reverse(b[6:8])
	var f strings.Builder
	for _, x := range b {
		fmt.Fprintf(&f, `\%02x`, x)
	}
	return "(" + s.id + "=" + f.String() + ")"
}

// wanted is what a delivery's body asks for: attributes, and the place.
type wanted struct {
	attributes map[string][]string // nil clears
	parent     string              // "" if the body says none
}

// ours are attributes that the connector writes itself; a mapping may not.
var ours = []string{"objectClass", "userPassword", "unicodePwd", "pwdLastSet", "pwdAccountLockedTime", "userAccountControl"}

// names are attributes whose values name other entries.
var names = []string{"manager", "secretary", "assistant", "seeAlso", "owner"}

func isOne(list []string, name string) bool {
	return slices.ContainsFunc(list, func(x string) bool { return strings.EqualFold(x, name) })
}

// want reads a body: {"attributes": {name: text, number, bool, list or null},
// "parent": name of the entry above}.
func (s settings) want(d connector.Delivery) (wanted, error) {
	w := wanted{attributes: map[string][]string{}}
	body, _ := d.Body["attributes"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(body)) {
		if isOne(ours, name) || strings.EqualFold(name, s.ourID) {
			return w, refuse("reserved", name, "the mapping writes an attribute that belongs to the connector")
		}
		values, ok := texts(body[name])
		if !ok {
			return w, refuse("mapping", name, "the value is neither text, number, truth nor a list of them")
		}
		w.attributes[name] = values
	}
	if s.ourID != "" {
		w.attributes[s.ourID] = []string{d.ID}
	}
	if p, ok := d.Body["parent"].(string); ok && p != "" {
		if !below(p, s.base) {
			return w, &fault.Error{Class: fault.Record, Reason: "mapping", Path: "parent", Err: fmt.Errorf("it is not the name of an entry below base_dn")}
		}
		w.parent = p
	}
	return w, nil
}

func refuse(reason, name, what string) *fault.Error {
	return &fault.Error{Class: fault.Record, Reason: reason, Path: "attributes." + name, Err: fmt.Errorf("%s", what)}
}

// texts are the values of an attribute; an empty text is none, since
// directories refuse it.
func texts(v any) ([]string, bool) {
	switch v := v.(type) {
	case nil:
		return nil, true
	case string:
		if v == "" {
			return nil, true
		}
		return []string{v}, true
	case bool:
		return []string{strings.ToUpper(strconv.FormatBool(v))}, true // RFC 4517 section 3.3.3
	case float64:
		return []string{strconv.FormatFloat(v, 'f', -1, 64)}, true
	case fmt.Stringer: // json.Number
		return []string{v.String()}, true
	case []any:
		var out []string
		for _, x := range v {
			one, ok := texts(x)
			if _, nested := x.([]any); !ok || nested {
				return nil, false
			}
			out = append(out, one...)
		}
		return out, true
	}
	return nil, false
}

// one is a wanted attribute's single value, "" if it has none or several.
func (w wanted) one(name string) string {
	for k, v := range w.attributes {
		if strings.EqualFold(k, name) && len(v) == 1 {
			return v[0]
		}
	}
	return ""
}

// names lists the wanted attributes, sorted.
func (w wanted) names() []string { return slices.Sorted(maps.Keys(w.attributes)) }

// differs lists the attributes of an entry that are to be replaced. Left out
// are the one that names it, which only a rename changes, and those that stay
// for life once they have a value.
func (s settings) differs(e *entry, w wanted, named string) []string {
	var out []string
	for _, name := range w.names() {
		have, want := e.all(name), w.attributes[name]
		switch {
		case strings.EqualFold(name, named):
		case isOne(s.once, name) && len(have) > 0:
		case strings.EqualFold(name, s.login) && len(want) == 1 && len(have) == 1 && numbered(have[0], want[0]):
		case !equal(name, have, want):
			out = append(out, name)
		}
	}
	return out
}

// missing are an entry's object classes with those that it lacks; nil if it has
// them all.
func (s settings) missing(e *entry) []string {
	have := e.all("objectClass")
	all := slices.Clone(have)
	for _, c := range s.classes {
		if !isOne(all, c) {
			all = append(all, c)
		}
	}
	if len(have) == 0 || len(all) == len(have) {
		return nil
	}
	return all
}

// equal compares values as sets; names of entries by their parts.
func equal(attribute string, a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for _, x := range a {
		if !slices.ContainsFunc(b, func(y string) bool { return x == y || isOne(names, attribute) && sameDN(x, y) }) {
			return false
		}
	}
	return true
}

// numbered tells whether a name is the wanted one, or that one with the number
// it got because another person had it.
func numbered(have, want string) bool {
	rest, ok := strings.CutPrefix(have, want)
	if !ok || rest == "" {
		return ok
	}
	n, err := strconv.Atoi(strings.TrimPrefix(rest, " "))
	return err == nil && n >= 2 && n <= mostNumber && withNumber(want, n) == have
}

// mostNumber is the last number that is put behind a name.
const mostNumber = 99

// withNumber puts a number behind a name: "jan novák 2", "jnovak2".
func withNumber(name string, n int) string {
	if n < 2 {
		return name
	}
	if strings.Contains(name, " ") {
		return name + " " + strconv.Itoa(n)
	}
	return name + strconv.Itoa(n)
}
