package fake

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"

	"github.com/muster-hr/muster/libs/connector/fake"
)

// user is one account. Search sees indexed until the index has caught up.
type user struct {
	id        string
	status    string
	profile   map[string]any
	created   time.Time
	activated time.Time
	changed   time.Time // of the status
	updated   time.Time

	indexed *view // what search sees while it lags; nil: nothing
	dirty   time.Time
	real    time.Time // dirty on the real clock
}

type view struct {
	status  string
	profile map[string]any
}

func (u *user) json() map[string]any {
	return map[string]any{
		"id": u.id, "status": u.status, "created": stamp(u.created), "activated": stamp(u.activated),
		"statusChanged": stamp(u.changed), "lastLogin": nil, "lastUpdated": stamp(u.updated), "passwordChanged": nil,
		"type":        map[string]any{"id": "otyfnjfba4ye7pgjB0g4"},
		"profile":     maps.Clone(u.profile),
		"credentials": map[string]any{"provider": map[string]any{"type": "OKTA", "name": "OKTA"}},
	}
}

func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

func (u *user) text(name string) string { s, _ := u.profile[name].(string); return s }

// limits are the lengths of Okta's base profile, in characters.
var limits = map[string][2]int{
	"login": {5, 100}, "email": {5, 100}, "firstName": {1, 50}, "lastName": {1, 50},
	"mobilePhone": {0, 100}, "primaryPhone": {0, 100}, "city": {0, 128}, "state": {0, 128}, "zipCode": {0, 50},
}

var mail = regexp.MustCompile(`^[^@\s]+@[^@\s]+\.[^@\s]+$`)

// check validates a profile as it would be after the write.
func (v *org) check(profile map[string]any, self *user) (answer, bool) {
	for _, k := range []string{"login", "email", "firstName", "lastName"} {
		if s, _ := profile[k].(string); s == "" {
			return v.invalid(k, k+": The field cannot be left blank"), false
		}
	}
	for _, k := range slices.Sorted(maps.Keys(profile)) {
		s, _ := profile[k].(string)
		bounds, bounded := limits[k]
		if n := utf8.RuneCountInString(s); bounded && s != "" && (n < bounds[0] || n > bounds[1]) {
			return v.invalid(k, fmt.Sprintf("%s: String must be between %d and %d characters long", k, bounds[0], bounds[1])), false
		}
	}
	for _, k := range []string{"login", "email"} {
		if s, _ := profile[k].(string); !mail.MatchString(s) {
			return v.invalid(k, k+": Does not match required pattern"), false
		}
	}
	if c, _ := profile["countryCode"].(string); c != "" && !regexp.MustCompile(`^[A-Z]{2}$`).MatchString(c) {
		return v.invalid("countryCode", "countryCode: String must be an ISO-3166 alpha-2 code"), false
	}
	login, _ := profile["login"].(string)
	for _, u := range v.users {
		if u != self && fold(u.text("login")) == fold(login) {
			return v.invalid("login", "login: An object with this field already exists in the current organization"), false
		}
	}
	return answer{}, true
}

func (v *org) invalid(field, cause string) answer {
	return v.problem(400, "E0000001", "Api validation failed: "+field, cause)
}

// fold is how logins are unique: without case and diacritics. Letters that
// Unicode does not decompose are written out, as in Okta's own example
// (søren.ågård collides with soren.agard).
func fold(s string) string {
	s = strings.NewReplacer("ø", "o", "ł", "l", "đ", "d", "ð", "d", "ħ", "h", "ı", "i").Replace(strings.ToLower(s))
	t := transform.Chain(norm.NFD, runes.Remove(runes.In(unicode.Mn)), norm.NFC)
	if out, _, err := transform.String(t, s); err == nil {
		return out
	}
	return s
}

// find reads by id, login, or the part of a login before the @ where only one
// has it.
func (v *org) find(idOrLogin string) *user {
	var short []*user
	for _, u := range v.users {
		login := u.text("login")
		if u.id == idOrLogin || strings.EqualFold(login, idOrLogin) {
			return u
		}
		if before, _, ok := strings.Cut(login, "@"); ok && strings.EqualFold(before, idOrLogin) {
			short = append(short, u)
		}
	}
	if len(short) == 1 {
		return short[0]
	}
	return nil
}

func (v *org) create(r *http.Request, raw []byte) answer {
	var in struct {
		Profile map[string]any `json:"profile"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return v.problem(400, "E0000003", "The request body was not well-formed.")
	}
	profile := without(in.Profile)
	if a, ok := v.check(profile, nil); !ok {
		return a
	}
	now := v.o.Time()
	v.made++
	u := &user{id: fmt.Sprintf("00u%017d", v.made), status: "STAGED", profile: profile, created: now}
	v.touch(u)
	if r.URL.Query().Get("activate") != "false" { // the default is true, and mails the person
		u.status, u.activated, u.changed = "PROVISIONED", now, now
	}
	v.users = append(v.users, u)
	v.wrote(r, u, fake.Create, decoded(raw))
	return answer{200, u.json()}
}

func (v *org) update(r *http.Request, u *user, raw []byte) answer {
	var in struct {
		Profile map[string]any `json:"profile"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return v.problem(400, "E0000003", "The request body was not well-formed.")
	}
	switch {
	case u.status == "DEPROVISIONED":
		return v.problem(403, "E0000038", "This operation is not allowed in the user's current status.")
	case v.o.Settings["mastered"] == "elsewhere":
		return v.problem(403, "E0000023", "Operation failed because user profile is mastered under another system")
	}
	next := map[string]any{}
	if r.Method == http.MethodPost { // PUT replaces: what is missing is gone
		next = maps.Clone(u.profile)
	}
	maps.Copy(next, in.Profile)
	next = without(next)
	if a, ok := v.check(next, u); !ok {
		return a
	}
	v.touch(u)
	u.profile = next
	v.wrote(r, u, fake.Update, decoded(raw))
	return answer{200, u.json()}
}

// lifecycle moves an account as the table of allowed statuses says.
func (v *org) lifecycle(r *http.Request, u *user, verb string) answer {
	allowed := map[string][]string{
		"activate":   {"STAGED", "DEPROVISIONED"},
		"reactivate": {"PROVISIONED", "RECOVERY"},
		"suspend":    {"ACTIVE"},
		"unsuspend":  {"SUSPENDED"},
		"deactivate": {"STAGED", "PROVISIONED", "ACTIVE", "SUSPENDED", "RECOVERY", "LOCKED_OUT", "PASSWORD_EXPIRED"},
	}
	from, known := allowed[verb]
	switch {
	case !known:
		return v.problem(404, "E0000008", "The requested path was not found")
	case slices.Contains(from, u.status):
	case verb == "activate":
		return v.problem(403, "E0000016", "Activation failed because the user is already active")
	case verb == "suspend":
		return v.problem(400, "E0000001", "Api validation failed: suspendUser", "Cannot suspend a user that is not active")
	default:
		return v.problem(403, "E0000038", "This operation is not allowed in the user's current status.")
	}
	v.touch(u)
	now := v.o.Time()
	u.changed = now
	var body any = map[string]any{}
	op := fake.Enable
	switch verb {
	case "activate", "reactivate":
		u.status, u.activated = "ACTIVE", now
		if r.URL.Query().Get("sendEmail") == "false" {
			body = map[string]any{"activationUrl": "https://fake.okta.example/welcome/" + u.id, "activationToken": "token-" + u.id}
		}
	case "unsuspend":
		u.status = "ACTIVE"
	case "suspend":
		u.status, op = "SUSPENDED", fake.Disable
	case "deactivate":
		u.status, op = "DEPROVISIONED", fake.Disable
	}
	v.wrote(r, u, op, nil)
	return answer{200, body}
}

// delete closes the account the first time and removes it the second.
func (v *org) delete(r *http.Request, u *user) answer {
	if u.status != "DEPROVISIONED" {
		v.touch(u)
		u.status, u.changed = "DEPROVISIONED", v.o.Time()
		v.wrote(r, u, fake.Disable, nil)
		return answer{status: 204}
	}
	v.users = slices.DeleteFunc(v.users, func(x *user) bool { return x == u })
	v.wrote(r, u, fake.Delete, nil)
	v.log.Put(u.id, nil)
	return answer{status: 204}
}

// without leaves out what null cleared.
func without(p map[string]any) map[string]any {
	out := map[string]any{}
	for k, x := range p {
		if x != nil {
			out[k] = x
		}
	}
	return out
}

func decoded(raw []byte) any {
	var x any
	_ = json.Unmarshal(raw, &x)
	return x
}
