package fake

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/connector/fake"
)

type exchange struct {
	Request struct {
		Method, Path string
		Headers      map[string]string
		Text         string `json:"body_text"`
	}
	Response struct {
		Status  int
		Headers map[string]string
		Body    any
		Text    string `json:"body_text"`
	}
}

// learner is who the exchanges are about.
func learner(id int64, email string) *user {
	return &user{
		id: id, custom: map[string]string{"costcentre": "CC-4130"}, completed: map[string]time.Time{},
		fields: map[string]string{
			"username": email, "email": email, "firstname": "Zofia", "lastname": "Łukasik-Żak", "idnumber": "E-10417",
			"department": "Payroll", "lang": "pl", "auth": "oauth2",
		},
	}
}

// TestExchanges plays the exchanges: status, headers and body are as the code
// of Moodle gives them. What the site holds before is stated here.
func TestExchanges(t *testing.T) {
	zofia := learner(4711, "zofia.lukasik-zak@brightfjord.example")
	member := zofia.clone()
	member.cohorts = []string{"dept-payroll"}
	finished := zofia.clone()
	finished.completed["88"] = time.Unix(1795420800, 0)
	other, taken := learner(4712, "b@brightfjord.example"), learner(4713, "Soren.Agard@brightfjord.example")
	for name, c := range map[string]struct {
		users    []*user
		settings map[string]string
	}{
		"access-exception":                {},
		"cohort-add-already-member":       {users: []*user{member}},
		"completion-status":               {users: []*user{finished}},
		"create":                          {},
		"create-duplicate-username":       {users: []*user{zofia}},
		"create-duplicate-username-debug": {users: []*user{zofia}, settings: map[string]string{"debugging": "on", "language": "pl"}},
		"create-uppercase-username":       {},
		"enrol":                           {users: []*user{zofia}},
		"forgot-json-format":              {settings: map[string]string{"token": "another"}},
		"invalid-token":                   {settings: map[string]string{"token": "another"}},
		"lookup":                          {users: []*user{zofia}},
		"lookup-empty":                    {users: []*user{zofia}},
		"suspend":                         {users: []*user{zofia}},
		"update-one-failed":               {users: []*user{zofia, other, taken}},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(filepath.Join("..", "testdata", "vendor", name+".exchange.json"))
			if err != nil {
				t.Fatal(err)
			}
			var x exchange
			if err := json.Unmarshal(raw, &x); err != nil {
				t.Fatal(err)
			}
			v := New(fake.Options{Settings: c.settings}).(*site)
			for _, u := range c.users {
				v.users = append(v.users, u.clone())
			}
			r := httptest.NewRequest(x.Request.Method, x.Request.Path, strings.NewReader(x.Request.Text))
			for k, h := range x.Request.Headers {
				r.Header.Set(k, h)
			}
			w := httptest.NewRecorder()
			v.ServeHTTP(w, r)
			if w.Code != x.Response.Status {
				t.Errorf("status %d, want %d", w.Code, x.Response.Status)
			}
			for k, want := range x.Response.Headers {
				if got := w.Header().Get(k); got != want {
					t.Errorf("%s is %q, want %q", k, got, want)
				}
			}
			if x.Response.Text != "" {
				if got := strings.TrimSpace(w.Body.String()); got != strings.TrimSpace(x.Response.Text) {
					t.Errorf("body %q, want %q", got, x.Response.Text)
				}
				return
			}
			var got any
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatalf("%v: %s", err, w.Body)
			}
			// Addresses of pictures and the names of things are the site's own.
			skip := cmp.FilterPath(func(p cmp.Path) bool {
				last := p.Last().String()
				return strings.Contains(last, "profileimageurl") || strings.Contains(last, `"criteria"`) || last == `["name"]`
			}, cmp.Ignore())
			if d := cmp.Diff(x.Response.Body, got, skip); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func call(t testing.TB, v http.Handler, function string, args ...string) any {
	t.Helper()
	q := url.Values{"wstoken": {"x"}, "wsfunction": {function}, "moodlewsrestformat": {"json"}}
	for i := 0; i+1 < len(args); i += 2 {
		q.Set(args[i], args[i+1])
	}
	r := httptest.NewRequest(http.MethodPost, "/webservice/rest/server.php", strings.NewReader(q.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	v.ServeHTTP(w, r)
	var out any
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatalf("%s: %v: %s", function, err, w.Body)
	}
	return out
}

func person(name string, more ...string) []string {
	return append([]string{
		"users[0][username]", name, "users[0][firstname]", "A", "users[0][lastname]", "B", "users[0][email]", name + "@a.example", "users[0][auth]", "saml2",
	}, more...)
}

func code(answer any) string {
	m, _ := answer.(map[string]any)
	if w, ok := m["warnings"].([]any); ok && len(w) > 0 {
		m, _ = w[0].(map[string]any)
		s, _ := m["warningcode"].(string)
		return s
	}
	s, _ := m["errorcode"].(string)
	return s
}

func TestWhatIsRefused(t *testing.T) {
	v := New(fake.Options{Settings: map[string]string{"courses": "88"}}).(*site)
	if got := call(t, v, "core_user_create_users", person("ada")...); code(got) != "" {
		t.Fatal(got)
	}
	v.users = append(v.users, &user{id: 2, admin: true, fields: map[string]string{}}, &user{id: 3, deleted: true, fields: map[string]string{}})
	for name, c := range map[string]struct {
		function string
		args     []string
		want     string
	}{
		"the same username":          {"core_user_create_users", person("ada"), "invalidparameter"},
		"the same mail":              {"core_user_create_users", person("b", "users[0][email]", "ADA@a.example"), "invalidparameter"},
		"suspended on create":        {"core_user_create_users", person("b", "users[0][suspended]", "1"), "invalidparameter"},
		"no password":                {"core_user_create_users", person("b", "users[0][auth]", "manual"), "invalidparameter"},
		"a password is made":         {"core_user_create_users", person("m", "users[0][auth]", "manual", "users[0][createpassword]", "1"), ""},
		"a language that is not":     {"core_user_create_users", person("b", "users[0][lang]", "xx"), "invalidparameter"},
		"a long name":                {"core_user_create_users", person("b", "users[0][firstname]", strings.Repeat("ż", 101)), "dmlwriteexception"},
		"characters":                 {"core_user_create_users", person("b c"), "invalidusername"},
		"nobody":                     {"core_user_update_users", []string{"users[0][id]", "77"}, "invaliduserid"},
		"an administrator":           {"core_user_update_users", []string{"users[0][id]", "2"}, "usernotupdatedadmin"},
		"deleted":                    {"core_user_update_users", []string{"users[0][id]", "3"}, "usernotupdateddeleted"},
		"no id":                      {"core_user_update_users", []string{"users[0][city]", "3"}, "invalidparameter"},
		"a lookup with upper case":   {"core_user_get_users_by_field", []string{"field", "username", "values[0]", "Ada"}, "invalidparameter"},
		"a lookup by something else": {"core_user_get_users_by_field", []string{"field", "city", "values[0]", "Ada"}, "codingerror"},
		"a course that is not":       {"enrol_manual_enrol_users", []string{"enrolments[0][roleid]", "5", "enrolments[0][userid]", "4711", "enrolments[0][courseid]", "9"}, "wsnoinstance"},
		"an unknown cohort type":     {"core_cohort_add_cohort_members", []string{"members[0][cohorttype][type]", "name", "members[0][usertype][type]", "id"}, "1"},
		"no such user in a cohort":   {"core_cohort_add_cohort_members", []string{"members[0][cohorttype][type]", "idnumber", "members[0][cohorttype][value]", "c", "members[0][usertype][type]", "id", "members[0][usertype][value]", "9"}, "2"},
		"a function that is not":     {"core_user_get_users", nil, "accessexception"},
	} {
		if got := code(call(t, v, c.function, c.args...)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestSuspendedAreNotEnrolled, nor taken out.
func TestSuspendedAreNotEnrolled(t *testing.T) {
	v := New(fake.Options{})
	call(t, v, "core_user_create_users", person("ada")...)
	enrol := []string{"enrolments[0][roleid]", "5", "enrolments[0][userid]", "4711", "enrolments[0][courseid]", "88"}
	if got := call(t, v, "enrol_manual_enrol_users", enrol...); got != nil {
		t.Errorf("enrol answers %v, want null", got)
	}
	call(t, v, "core_user_update_users", "users[0][id]", "4711", "users[0][suspended]", "1")
	for _, f := range []string{"enrol_manual_enrol_users", "enrol_manual_unenrol_users"} {
		if got := code(call(t, v, f, enrol...)); got != "suspended" {
			t.Errorf("%s: %q", f, got)
		}
	}
	if _, writes := v.Log().State(); len(writes) != 3 || writes[2].Op != fake.Disable {
		t.Errorf("writes %+v", writes)
	}
}

// TestFormsAreCutOff without a word: the last field of the last user is lost.
func TestFormsAreCutOff(t *testing.T) {
	all := "wstoken=x&wsfunction=f&moodlewsrestformat=json&users[0][a]=1&users[0][b]=2"
	if got := elements(parse(all, 5)["users"])[0].(map[string]any); len(got) != 2 {
		t.Errorf("of five fields %v are read", got)
	}
	if got := elements(parse(all, 4)["users"])[0].(map[string]any); len(got) != 1 {
		t.Errorf("of four fields %v are read", got)
	}
}

func TestDo(t *testing.T) {
	v := New(fake.Options{})
	call(t, v, "core_user_create_users", person("ada")...)
	if _, err := v.Do(t.Context(), "complete", map[string]any{"id": 4711, "course": "88"}); err != nil {
		t.Error(err)
	}
	got, _ := call(t, v, "core_completion_get_course_completion_status", "courseid", "88", "userid", "4711").(map[string]any)
	if status, _ := got["completionstatus"].(map[string]any); status["completed"] != true {
		t.Errorf("status %v", got)
	}
	if _, err := v.Do(t.Context(), "complete", map[string]any{"id": "1", "course": "88"}); err == nil {
		t.Error("nobody finished a course")
	}
	if _, err := v.Do(t.Context(), "hire", nil); !errors.Is(err, fake.ErrUnknownVerb("hire")) {
		t.Errorf("Do: %v", err)
	}
}

// TestUsernamesAreUnique for any order of creates and renames.
func TestUsernamesAreUnique(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		v := New(fake.Options{}).(*site)
		names := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		for range 12 {
			name := names.Draw(rt, "name")
			if rapid.Bool().Draw(rt, "create") {
				call(t, v, "core_user_create_users", person(name)...)
			} else {
				call(t, v, "core_user_update_users", "users[0][id]", rapid.SampledFrom([]string{"4711", "4712"}).Draw(rt, "id"), "users[0][username]", name)
			}
		}
		seen := map[string]bool{}
		for _, u := range v.users {
			if seen[u.fields["username"]] {
				rt.Fatalf("two are called %s", u.fields["username"])
			}
			seen[u.fields["username"]] = true
		}
	})
}

// FuzzParse: any form is read, up to the limit, and never a panic.
func FuzzParse(f *testing.F) {
	f.Add("users[0][username]=a&users[0][customfields][0][type]=b", 10)
	f.Add("a[=1&[x]=2&a[][]=3&a=4&%zz=1", 3)
	f.Fuzz(func(t *testing.T, raw string, most int) {
		if most < 0 {
			most = -most
		}
		got := parse(raw, most)
		if n := leaves(got); n > most && most >= 0 {
			t.Errorf("%d values of at most %d", n, most)
		}
		for v := range maps.Values(got) {
			_ = objects(v)
		}
	})
}

func leaves(v any) int {
	m, ok := v.(map[string]any)
	if !ok {
		return 1
	}
	n := 0
	for _, x := range m {
		n += leaves(x)
	}
	return n
}
