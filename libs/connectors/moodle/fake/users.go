package fake

import (
	"maps"
	"net/mail"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/muster-hr/muster/libs/connector/fake"
)

// user is one account.
type user struct {
	id        int64
	fields    map[string]string // username, firstname, …
	custom    map[string]string
	suspended bool
	deleted   bool
	admin     bool
	cohorts   []string
	courses   []string
	completed map[string]time.Time
}

func (u *user) key() string { return strconv.FormatInt(u.id, 10) }

func (u *user) clone() *user {
	c := *u
	c.fields, c.custom, c.completed = maps.Clone(u.fields), maps.Clone(u.custom), maps.Clone(u.completed)
	c.cohorts, c.courses = slices.Clone(u.cohorts), slices.Clone(u.courses)
	return &c
}

func (u *user) equal(o *user) bool {
	return maps.Equal(u.fields, o.fields) && maps.Equal(u.custom, o.custom) && u.suspended == o.suspended
}

// shown is the account as the sandbox shows it.
func (u *user) shown() map[string]any {
	out := map[string]any{"id": u.key(), "suspended": u.suspended}
	for k, x := range u.fields {
		out[k] = x
	}
	if len(u.custom) > 0 {
		custom := map[string]any{}
		for k, x := range u.custom {
			custom[k] = x
		}
		out["customfields"] = custom
	}
	if len(u.cohorts) > 0 {
		out["cohorts"] = slices.Clone(u.cohorts)
	}
	if len(u.courses) > 0 {
		out["courses"] = slices.Clone(u.courses)
	}
	if len(u.completed) > 0 {
		out["completed"] = slices.Sorted(maps.Keys(u.completed))
	}
	return out
}

// details is the account as a lookup gives it: empty fields are left out.
func (u *user) details() map[string]any {
	out := map[string]any{
		"id": u.id, "fullname": u.fields["firstname"] + " " + u.fields["lastname"],
		"firstaccess": 0, "lastaccess": 0, "suspended": u.suspended, "confirmed": true,
		"theme": "", "timezone": "99", "mailformat": 1, "trackforums": 0, "description": "", "descriptionformat": 1,
		"profileimageurlsmall": "https://fake.moodle.example/theme/image.php/boost/core/1/u/f2",
		"profileimageurl":      "https://fake.moodle.example/theme/image.php/boost/core/1/u/f1",
	}
	for k, x := range u.fields {
		if x != "" {
			out[k] = x
		}
	}
	var custom []any
	for _, short := range slices.Sorted(maps.Keys(u.custom)) {
		if x := u.custom[short]; x != "" {
			custom = append(custom, map[string]any{"type": "text", "value": x, "displayvalue": x, "name": short, "shortname": short})
		}
	}
	if custom != nil {
		out["customfields"] = custom
	}
	return out
}

// The fields of a user that create and update take. Only update takes
// suspended, and only create createpassword.
var (
	both = strings.Fields(`username auth password firstname lastname email maildisplay city country timezone description firstnamephonetic
		lastnamephonetic middlename alternatename interests idnumber institution department phone1 phone2 address lang calendartype theme
		mailformat customfields preferences`)
	onlyCreate = append(slices.Clone(both), "createpassword")
	onlyUpdate = append(slices.Clone(both), "id", "suspended", "userpicture")

	tags      = regexp.MustCompile(`<[^>]*>`)
	usernames = regexp.MustCompile(`^[-._@a-z0-9]+$`)
	auths     = strings.Fields("manual email oauth2 saml2 oidc ldap db shibboleth nologin none")
)

// known refuses parameters as the service does before the function runs.
func known(in []map[string]any, names, needed []string) *problem {
	for _, u := range in {
		for _, n := range needed {
			if _, ok := u[n].(string); !ok {
				return invalid("Missing required key in single structure: %s", n)
			}
		}
		for n := range u {
			if !slices.Contains(names, n) {
				return invalid("Unexpected keys (%s) detected in parameter array.", n)
			}
		}
	}
	return nil
}

// create makes all, or none.
func (v *site) create(args map[string]any) (any, *problem) {
	in := objects(args["users"])
	if p := known(in, onlyCreate, []string{"username", "firstname", "lastname", "email"}); p != nil {
		return nil, p
	}
	var made []*user
	for _, given := range in {
		u := &user{fields: map[string]string{"auth": "manual", "lang": "en"}, custom: map[string]string{}, completed: map[string]time.Time{}}
		if p := v.checkNew(given, made); p != nil {
			return nil, p
		}
		v.store(u, given)
		v.lastID++
		u.id = v.lastID
		made = append(made, u)
	}
	out := []any{}
	for i, u := range made {
		v.users = append(v.users, u)
		v.wrote(u, fake.Create, in[i])
		out = append(out, map[string]any{"id": u.id, "username": u.fields["username"]})
	}
	return out, nil
}

func (v *site) checkNew(given map[string]any, beside []*user) *problem {
	name, auth := text(given["username"]), text(given["auth"])
	for _, f := range []string{"username", "firstname", "lastname"} {
		if strings.TrimSpace(text(given[f])) == "" {
			return invalid("The field %s cannot be blank", f)
		}
	}
	if p := checkUsername(name); p != nil {
		return p
	}
	if auth == "" {
		auth = "manual"
	}
	others := append(slices.Clone(v.users), beside...)
	address := text(given["email"])
	switch {
	case slices.ContainsFunc(others, func(u *user) bool { return u.fields["username"] == name }):
		return invalid("Username already exists: %s", name)
	case !slices.Contains(auths, auth):
		return invalid("Invalid authentication type: %s", auth)
	case given["lang"] != nil && !v.installed(text(given["lang"])):
		return invalid("Invalid language code: %s", text(given["lang"]))
	case (auth == "manual" || auth == "email" || auth == "none") && text(given["password"]) == "" && text(given["createpassword"]) != "1":
		return invalid("Invalid password: you must provide a password, or set createpassword.")
	case !isMail(address):
		return invalid("Email address is invalid: %s", address)
	case slices.ContainsFunc(others, func(u *user) bool { return !u.deleted && strings.EqualFold(u.fields["email"], address) }):
		return invalid("Email address already exists: %s", address)
	}
	return tooLong(given)
}

func checkUsername(name string) *problem {
	switch {
	case name != strings.ToLower(name):
		return &problem{"moodle_exception", "usernamelowercase", ""}
	case !usernames.MatchString(name):
		return &problem{"moodle_exception", "invalidusername", ""}
	}
	return nil
}

func isMail(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s
}

func (v *site) installed(lang string) bool {
	if v.o.Settings["langs"] == "" {
		return slices.Contains([]string{"en", "pl", "de", "fr", "es"}, lang)
	}
	return slices.Contains(v.listed("langs"), lang)
}

// lengths of the columns, in characters. Longer values fail the write.
var lengths = map[string]int{
	"username": 100, "email": 100, "firstname": 100, "lastname": 100, "idnumber": 255, "phone1": 20, "phone2": 20,
	"city": 120, "country": 2, "institution": 255, "department": 255,
}

func tooLong(given map[string]any) *problem {
	for f, most := range lengths {
		if utf8.RuneCountInString(text(given[f])) > most {
			return &problem{"dml_write_exception", "dmlwriteexception", ""}
		}
	}
	return nil
}

// store takes the values over: cleaned, and without custom fields that do not
// exist, both silently.
func (v *site) store(u *user, given map[string]any) {
	for f, x := range given {
		switch f {
		case "id", "createpassword", "password", "preferences", "interests", "userpicture":
		case "suspended":
			u.suspended = text(x) != "0" && text(x) != ""
		case "customfields":
			for _, c := range objects(x) {
				if short := text(c["type"]); v.exists("customfields", short) {
					u.custom[short] = text(c["value"])
				}
			}
		default:
			u.fields[f] = strings.TrimSpace(tags.ReplaceAllString(text(x), ""))
		}
	}
}

// update changes each for itself; what fails is a warning.
func (v *site) update(args map[string]any) (any, *problem) {
	in := objects(args["users"])
	if p := known(in, onlyUpdate, []string{"id"}); p != nil {
		return nil, p
	}
	warnings := []any{}
	for _, given := range in {
		if p := v.updateOne(given); p != nil {
			id, _ := strconv.ParseInt(text(given["id"]), 10, 64)
			warnings = append(warnings, map[string]any{"item": "user", "itemid": id, "warningcode": p.code, "message": v.message(p.code)})
		}
	}
	return map[string]any{"warnings": warnings}, nil
}

func (v *site) updateOne(given map[string]any) *problem {
	u := v.byID(text(given["id"]))
	address, mails := given["email"].(string)
	name, renames := given["username"].(string)
	switch {
	case u == nil:
		return &problem{"moodle_exception", "invaliduserid", ""}
	case u.admin:
		return &problem{"moodle_exception", "usernotupdatedadmin", ""}
	case u.deleted:
		return &problem{"moodle_exception", "usernotupdateddeleted", ""}
	case mails && address != u.fields["email"] && !isMail(address):
		return &problem{"moodle_exception", "useremailinvalid", ""}
	case mails && slices.ContainsFunc(v.users, func(o *user) bool { return o != u && strings.EqualFold(o.fields["email"], address) }):
		return &problem{"moodle_exception", "useremailduplicate", ""}
	}
	if renames {
		if p := checkUsername(name); p != nil {
			return p
		}
		if slices.ContainsFunc(v.users, func(o *user) bool { return o != u && o.fields["username"] == name }) {
			return &problem{"dml_write_exception", "dmlwriteexception", ""} // a unique index; nothing checks before
		}
	}
	if p := tooLong(given); p != nil {
		return p
	}
	before := u.clone()
	v.store(u, given)
	if u.equal(before) {
		return nil
	}
	op := fake.Update
	switch {
	case u.suspended && !before.suspended:
		op = fake.Disable
	case !u.suspended && before.suspended:
		op = fake.Enable
	}
	v.wrote(u, op, given)
	return nil
}

func (v *site) byID(id string) *user {
	for _, u := range v.users {
		if u.key() == id {
			return u
		}
	}
	return nil
}

// lookup leaves out who may not be seen, and fails on a value that cleaning
// would change.
func (v *site) lookup(args map[string]any) (any, *problem) {
	field := text(args["field"])
	if !slices.Contains([]string{"id", "idnumber", "username", "email"}, field) {
		return nil, &problem{"coding_exception", "codingerror", "invalid field parameter"}
	}
	out := []any{}
	var values []string
	for _, e := range elements(args["values"]) {
		val := text(e)
		clean := val == strings.TrimSpace(tags.ReplaceAllString(val, ""))
		switch field {
		case "username":
			clean = clean && val == strings.ToLower(val) && usernames.MatchString(val)
		case "email":
			clean = clean && isMail(val)
		case "id":
			_, err := strconv.ParseInt(val, 10, 64)
			clean = err == nil
		}
		if !clean {
			return nil, invalid("The field '%s' value is invalid: %s", field, val)
		}
		values = append(values, val)
	}
	for _, u := range v.users {
		has := u.fields[field]
		if field == "id" {
			has = u.key()
		}
		if !u.deleted && has != "" && slices.Contains(values, has) && v.o.Settings["sees"] != "nobody" {
			out = append(out, u.details())
		}
	}
	return out, nil
}
