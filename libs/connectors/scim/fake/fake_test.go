package fake

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector/fake"
)

func call(v http.Handler, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer x")
	w := httptest.NewRecorder()
	v.ServeHTTP(w, r)
	return w
}

type exchange struct {
	Request struct {
		Method, Path string
		Headers      map[string]string
		Body         json.RawMessage
	}
	Response struct {
		Status  int
		Headers map[string]string
		Body    map[string]any
	}
}

func sample(t *testing.T, name string) exchange {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "testdata", "exchanges", name+".exchange.json"))
	if err != nil {
		t.Fatal(err)
	}
	var x exchange
	if err := json.Unmarshal(raw, &x); err != nil {
		t.Fatal(err)
	}
	return x
}

// TestExchanges plays what was observed: status, scimType, and every attribute
// that the answer has.
func TestExchanges(t *testing.T) {
	const id = "2819c223-7f76-453a-919d-413861904646"
	for name, settings := range map[string]map[string]string{
		"create": nil, "create-conflict": {}, "delete-gone": nil, "lookup-empty": nil, "lookup-found": {},
		"patch-deactivate-pathless": {"patch_answer": "empty"}, "patch-deactivate-with-path": {}, "patch-mover": {},
		"patch-no-target": {}, "patch-not-implemented": {"patch": "none"}, "patch-string-boolean": {},
		"put-stale-version": {"etag": "on"}, "rate-limited": {"limit": "1"}, "service-provider-config": nil,
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Date(2026, 11, 23, 9, 20, 31, 0, time.UTC)
			v := New(fake.Options{Now: func() time.Time { return now }, Settings: settings}).(*server)
			x := sample(t, name)
			if settings != nil { // somebody is there
				create := sample(t, "create").Request.Body
				if w := call(v, http.MethodPost, "/Users", string(create)); w.Code != http.StatusCreated {
					t.Fatalf("create: %d %s", w.Code, w.Body)
				}
				v.users[0].id = id
			}
			r := httptest.NewRequest(x.Request.Method, x.Request.Path, bytes.NewReader(x.Request.Body))
			for k, h := range x.Request.Headers {
				r.Header.Set(k, h)
			}
			w := httptest.NewRecorder()
			v.ServeHTTP(w, r)
			if w.Code != x.Response.Status {
				t.Fatalf("status %d, want %d: %s", w.Code, x.Response.Status, w.Body)
			}
			for k := range x.Response.Headers {
				if w.Header().Get(k) == "" {
					t.Errorf("the header %s is missing", k)
				}
			}
			var got map[string]any
			if w.Body.Len() > 0 && json.Unmarshal(w.Body.Bytes(), &got) != nil {
				t.Fatalf("no JSON: %s", w.Body)
			}
			for k, want := range x.Response.Body {
				have, ok := got[k]
				exact := k == "status" || k == "scimType" || k == "totalResults" || k == "active" || k == "externalId"
				if !ok || exact && !reflect.DeepEqual(have, want) {
					t.Errorf("%s is %v, want %v", k, have, want)
				}
			}
		})
	}
}

// TestTraps are those that a real server was seen to have.
func TestTraps(t *testing.T) {
	v := New(fake.Options{})
	if w := call(v, "POST", "/Users", `{"userName":"Jo@a.example","salary":"1","title":"T","emails":[{"type":"work","value":"x"}]}`); w.Code != 201 || strings.Contains(w.Body.String(), "salary") {
		t.Fatalf("an unknown attribute is not dropped: %d %s", w.Code, w.Body)
	}
	people, _ := v.Log().State()
	var id string
	for id = range people {
	}
	patch := func(ops string) *httptest.ResponseRecorder {
		return call(v, "PATCH", "/Users/"+id, `{"schemas":["`+schemaPatch+`"],"Operations":[`+ops+`]}`)
	}
	for name, c := range map[string]struct {
		got  *httptest.ResponseRecorder
		code int
		says string
	}{
		"filters compare by case":             {call(v, "GET", "/Users?filter=userName%20eq%20%22jo@a.example%22", ""), 200, `"totalResults":0`},
		"conflicts do not":                    {call(v, "POST", "/Users", `{"userName":"jo@A.example"}`), 409, "uniqueness"},
		"an escaped quote":                    {call(v, "GET", `/Users?filter=userName%20eq%20%22a%5C%22b%22`, ""), 400, "invalidFilter"},
		"a filter on what is not known":       {call(v, "GET", "/Users?filter=employeeNumber%20eq%20%221%22", ""), 200, `"totalResults":0`},
		"items per page are always 20":        {call(v, "GET", "/Users?count=1", ""), 200, `"itemsPerPage":20`},
		"PATCH refuses what it does not know": {patch(`{"op":"add","path":"salary","value":"1"}`), 400, "invalidPath"},
		"all or nothing":                      {patch(`{"op":"replace","path":"title","value":"new"},{"op":"replace","path":"active","value":"True"}`), 400, "invalidValue"},
		"and nothing was":                     {call(v, "GET", "/Users/"+id, ""), 200, `"title":"T"`},
		"no match, replace":                   {patch(`{"op":"replace","path":"emails[type eq \"home\"].value","value":"y"}`), 400, "noTarget"},
		"no match, add":                       {patch(`{"op":"add","path":"emails[type eq \"home\"].value","value":"y"}`), 400, "noTarget"},
		"remove without a path":               {patch(`{"op":"remove"}`), 400, "noTarget"},
		"remove of what is not there":         {patch(`{"op":"remove","path":"nickName"}`), 204, ""},
		"nothing changes":                     {patch(`{"op":"Replace","path":"title","value":"T"}`), 204, ""},
		"DELETE of nobody":                    {call(v, "DELETE", "/Users/none", ""), 404, `"status":"404"`},
		"no such endpoint":                    {call(v, "GET", "/Usersx", ""), 404, ""},
		"no such method":                      {call(v, "DELETE", "/Users", ""), 405, ""},
	} {
		if c.got.Code != c.code || !strings.Contains(c.got.Body.String(), c.says) {
			t.Errorf("%s: %d %s, want %d %s", name, c.got.Code, c.got.Body, c.code, c.says)
		}
	}
	if w := call(v, "PUT", "/Users/"+id, `{"userName":"Jo@a.example"}`); w.Code != 200 || strings.Contains(w.Body.String(), "title") {
		t.Errorf("PUT keeps what was left out: %s", w.Body)
	}
	if w := call(v, "DELETE", "/scim/v2/Users/"+id, ""); w.Code != 204 {
		t.Errorf("DELETE: %d", w.Code)
	}
	if people, _ := v.Log().State(); len(people) != 0 {
		t.Errorf("%d people are left", len(people))
	}
}

func TestCredentialAndVerbs(t *testing.T) {
	v := New(fake.Options{Settings: map[string]string{"token": "right"}})
	for auth, want := range map[string]int{"": 401, "Bearer": 401, "Bearer wrong": 401, "Digest right": 401, "Bearer right": 200} {
		r := httptest.NewRequest(http.MethodGet, "/Users", nil)
		r.Header.Set("Authorization", auth)
		w := httptest.NewRecorder()
		v.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%q: %d, want %d", auth, w.Code, want)
		}
	}
	if _, err := v.Do(t.Context(), "hire", nil); !errors.Is(err, fake.ErrUnknownVerb("hire")) {
		t.Errorf("Do: %v", err)
	}
}

// FuzzPatch: no body brings the server down, and after a refusal nothing has
// changed.
func FuzzPatch(f *testing.F) {
	for _, op := range []string{
		`{"op":"replace","path":"active","value":false}`, `{"op":"add","value":{"name":{"givenName":"J"}}}`,
		`{"op":"remove","path":"emails[type eq \"work\"]"}`, `{"op":"replace","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value","value":"1"}`,
		`{"op":"add","path":"emails","value":[7]}`, `{"op":"add","path":"urn::[","value":null}`,
	} {
		f.Add([]byte(`{"schemas":["` + schemaPatch + `"],"Operations":[` + op + `]}`))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v := New(fake.Options{}).(*server)
		call(v, "POST", "/Users", `{"userName":"jo","emails":[{"type":"work","value":"x"}]}`)
		before := clone(v.users[0].body)
		if w := call(v, "PATCH", "/Users/"+v.users[0].id, string(raw)); w.Code >= 300 && !reflect.DeepEqual(before, v.users[0].body) {
			t.Errorf("%d, and yet %v became %v", w.Code, before, v.users[0].body)
		}
	})
}
