package moodle

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/fault"
)

// TestFormsAreReadAsTheyWereMeant: any values, any number of users.
func TestFormsAreReadAsTheyWereMeant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		users := rapid.SliceOfN(rapid.MapOf(rapid.StringMatching(`[a-z][a-z0-9]{0,10}|customfields\.[A-Za-z0-9_-]{1,9}`), rapid.String()), 1, 5).Draw(t, "users")
		var f form
		for i, u := range users {
			f = append(f, fields(u).form().below("users", i)...)
		}
		q, err := url.ParseQuery(string(f.encode()))
		if err != nil {
			t.Fatal(err)
		}
		for i, u := range users {
			for path, want := range u {
				if short, custom := strings.CutPrefix(path, "customfields."); custom {
					found := false
					for n := range len(u) {
						at := key("users", i) + "[customfields][" + string(rune('0'+n)) + "]"
						if n < 10 && q.Get(at+"[type]") == short {
							found = q.Get(at+"[value]") == want
						}
					}
					if !found && len(u) <= 10 {
						t.Errorf("custom field %q is lost", short)
					}
					continue
				}
				if got := q.Get(key("users", i) + "[" + path + "]"); got != want {
					t.Errorf("%s is %q, want %q", path, got, want)
				}
			}
		}
	})
}

func TestWhatMoodleNeedsComesFirst(t *testing.T) {
	got := fields{"zip": "1", "customfields.b": "2", "customfields.a": "3", "lastname": "4", "username": "5", "auth": "6", "department": "7"}.paths()
	if want := "username lastname auth department zip customfields.a customfields.b"; strings.Join(got, " ") != want {
		t.Errorf("order %v, want %s", got, want)
	}
}

func TestSince(t *testing.T) {
	before := fields{"email": "a", "city": "b", "lang": "pl", "department": "c", "planted": "d", "customfields.x": "e"}
	got := fields{"email": "a", "city": "", "department": "C", "lang": "", "lastname": "", "idnumber": ""}.since(before)
	want := fields{"city": "", "department": "C", "idnumber": ""} // planted and x are no longer said
	if len(got) != len(want) {
		t.Errorf("since = %v, want %v", got, want)
	}
	for k, v := range want {
		if g, ok := got[k]; !ok || g != v {
			t.Errorf("%s is %q, %t, want %q", k, g, ok, v)
		}
	}
	if got := (fields{"email": "a"}).since(nil); len(got) != 1 {
		t.Errorf("of an unknown state %v is sent, want all", got)
	}
}

// FuzzClassify: whatever an answer says, its error tells nothing of it but a
// code, and a success is no error in disguise.
func FuzzClassify(f *testing.F) {
	for _, name := range []string{"create-duplicate-username-debug", "invalid-token", "forgot-json-format", "lookup", "update-one-failed"} {
		f.Add(200, sample(f, name).answer())
	}
	f.Add(200, []byte(`{"exception":1,"errorcode":[]}`))
	f.Add(503, []byte("\x00<EXCEPTION class=\"a\\b\"><ERRORCODE>dmlwriteexception</ERRORCODE>"))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		got := classify(status, http.Header{}, body, time.Now())
		var x struct{ Exception, Errorcode, Message, Debuginfo string }
		isError := json.Unmarshal(body, &x) == nil && (x.Exception != "" || x.Errorcode != "")
		if got == nil {
			if isError || status < 200 || status > 299 {
				t.Errorf("%d %q is a success", status, body)
			}
			return
		}
		if got.Class == fault.Throttled && got.After <= 0 {
			t.Errorf("waits %s", got.After)
		}
		for _, secret := range []string{x.Message, x.Debuginfo} {
			if len(secret) > 12 && strings.Contains(got.Error(), secret) && !strings.Contains("answered with an exception a page in place of JSON", secret) {
				t.Errorf("%q tells %q", got, secret)
			}
		}
		if got.Rule != "" && (len(got.Rule) > 50 || !strings.Contains(string(body), got.Rule)) {
			t.Errorf("rule %q", got.Rule)
		}
	})
}

// FuzzUser: whatever a lookup or a warning holds, reading it never fails badly.
func FuzzUser(f *testing.F) {
	f.Add(sample(f, "lookup").answer())
	f.Add(sample(f, "update-one-failed").answer())
	f.Add([]byte(`[{"id":9e99,"suspended":1,"customfields":[null,{"shortname":"x","value":[]},{"shortname":"y","value":null}]},null]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var us []user
		if json.Unmarshal(body, &us) == nil {
			for _, u := range us {
				if id := u.id(); strings.Trim(id, "0123456789") != "" {
					t.Errorf("id %q", id)
				}
				if s := u.suspended(); s != "" && s != "0" && s != "1" {
					t.Errorf("suspended %q", s)
				}
				for path := range u.fields() {
					_ = fields{path: ""}.form()
				}
			}
		}
		var w warned
		if json.Unmarshal(body, &w) == nil {
			for _, one := range w.Warnings {
				if f := (exception{Code: one.Code}).fault(); f.Reason == "" {
					t.Error("a warning without a reason")
				}
			}
		}
	})
}
