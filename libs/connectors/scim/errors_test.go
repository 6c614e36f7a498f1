package scim

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/fault"
)

// TestErrorsOfOtherServers: no scimType, numbers as status, HTML, nothing.
func TestErrorsOfOtherServers(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		class  fault.Class
		reason string
	}{
		{409, `{"detail":"User already exists"}`, fault.Record, reasonExists},
		{409, ``, fault.Record, reasonConflict},
		{400, `{"status":400,"detail":"userName must be unique"}`, fault.Record, reasonExists},
		{500, `Duplicate entry for key 'users.email'`, fault.Record, reasonExists},
		{500, `<html>oops</html>`, fault.Transient, "status_500"},
		{400, `{"scimType":"tooMany"}`, fault.Record, "too_many"},
		{400, `{"scimType":"somethingNew"}`, fault.Record, "status_400"},
		{400, `{"scimType":"sensitive"}`, fault.Target, "sensitive"},
		{403, ``, fault.Target, "auth"},
		{405, ``, fault.Target, reasonUnsupported},
		{413, ``, fault.Record, "status_413"},
		{301, ``, fault.Target, "redirect"},
		{200, `{"schemas":["` + schemaError + `"],"status":"409","scimType":"uniqueness"}`, fault.Record, reasonExists},
		{200, `{"schemas":["` + schemaError + `"],"status":404}`, fault.Record, reasonMissing},
		{200, `{"schemas":["` + schemaError + `"]}`, fault.Transient, "answer"},
	} {
		f := classify(c.status, http.Header{}, []byte(c.body), time.Now())
		if f == nil || f.Class != c.class || f.Reason != c.reason {
			t.Errorf("%d %s: %v, want %s: %s", c.status, c.body, f, c.class, c.reason)
		}
	}
	for _, ok := range []string{"", "{}", "null", "[]", `{"schemas":["` + schemaUser + `"],"status":"409"}`} {
		if f := classify(200, http.Header{}, []byte(ok), time.Now()); f != nil {
			t.Errorf("%s is a fault: %v", ok, f)
		}
	}
}

// FuzzClassify: whatever a server says, nothing of it stands in the error, but
// words of ours.
func FuzzClassify(f *testing.F) {
	f.Add(400, []byte(`{"scimType":"invalidValue","detail":"Attribute 'title' Zofia"}`))
	f.Add(500, []byte(`already in use: zofia@brightfjord.example`))
	f.Add(200, []byte(`{"schemas":["`+schemaError+`"],"status":"Zofia"}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 100 || status > 599 {
			return
		}
		got := classify(status, http.Header{}, body, time.Now())
		if (got == nil) != (status < 300) && status >= 300 {
			t.Fatal("an error is none")
		}
		if got == nil {
			return
		}
		known := strings.Join(attributes, " ") + " "
		if got.Path != "" && !strings.Contains(known, got.Path+" ") {
			t.Errorf("the path %q is from the answer", got.Path)
		}
		if _, ok := refusals[got.Rule]; got.Rule != "" && !ok {
			t.Errorf("the rule %q is from the answer", got.Rule)
		}
	})
}
