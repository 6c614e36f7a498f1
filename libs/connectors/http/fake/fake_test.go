package fake

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/muster-hr/muster/libs/connector/fake"
)

func call(v http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	v.ServeHTTP(w, r)
	return w
}

// TestLifeOfAPerson step by step: what is asked, answered and remembered.
func TestLifeOfAPerson(t *testing.T) {
	v := New(fake.Options{})
	for _, c := range []struct {
		method, path, body string
		status             int
		answer             string
	}{
		{"PATCH", "/people/1", `{"a":1}`, 404, "no such person"},
		{"PUT", "/people/1", `{"a":1,"b":{"c":1,"d":2}}`, 201, `"id":"1"`},
		{"PUT", "/people/1", `{"a":1,"b":{"c":1,"d":2}}`, 200, `"id":"1"`},
		{"PATCH", "/people/1", `{"b":{"c":null,"e":3}}`, 200, `"id":"1"`},
		{"GET", "/people/1", ``, 200, `{"a":1,"b":{"d":2,"e":3},"id":"1"}`},
		{"GET", "/people?a=1", ``, 200, `"items":[{`},
		{"GET", "/people?a=2", ``, 200, `"items":[]`},
		{"POST", "/people/1/disable", ``, 200, `"id":"1"`},
		{"GET", "/people/1", ``, 200, `"disabled":true`},
		{"DELETE", "/people/1", ``, 204, ``},
		{"DELETE", "/people/1", ``, 404, `no such person`},
		{"POST", "/people", `{"a":2}`, 201, `"id":"r-1"`},
		{"POST", "/people", `[]`, 400, `not a JSON object`},
		{"POST", "/people", `{`, 400, `not a JSON object`},
		{"PUT", "/people", `{}`, 405, `not here`},
	} {
		if w := call(v, c.method, c.path, c.body); w.Code != c.status || !strings.Contains(w.Body.String(), c.answer) {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.path, w.Code, w.Body, c.status, c.answer)
		}
	}
	people, writes := v.Log().State()
	if len(people) != 1 || people["r-1"] == nil {
		t.Errorf("people: %v", people)
	}
	var ops []fake.Op
	for _, w := range writes {
		ops = append(ops, w.Op)
	}
	if got := len(ops); got != 6 || ops[0] != fake.Create || ops[1] != fake.Update || ops[3] != fake.Disable || ops[4] != fake.Delete {
		t.Errorf("writes: %v", ops)
	}
}

// TestKeysAreRemembered: a repeat has no effect and the same answer.
func TestKeysAreRemembered(t *testing.T) {
	v := New(fake.Options{Settings: map[string]string{"idempotency": "X-Once", "authorization": "Bearer t"}})
	once := func(key string) *httptest.ResponseRecorder {
		return call(v, "POST", "/people", `{"a":1}`, "X-Once", key, "Authorization", "Bearer t", "Traceparent", "00-1-2-01")
	}
	first, again, other := once("k1"), once("k1"), once("k2")
	if first.Code != 201 || first.Header().Get("Location") != "/people/r-1" {
		t.Errorf("first: %d %v", first.Code, first.Header())
	}
	if again.Body.String() != first.Body.String() || other.Body.String() == first.Body.String() {
		t.Errorf("answers: %s, %s, %s", first.Body, again.Body, other.Body)
	}
	_, writes := v.Log().State()
	if len(writes) != 2 || writes[0].Traceparent != "00-1-2-01" {
		t.Errorf("writes: %+v", writes)
	}
	if w := call(v, "POST", "/people", `{}`); w.Code != http.StatusUnauthorized {
		t.Errorf("without a credential: %d", w.Code)
	}
	if _, err := v.Do(t.Context(), "hire", nil); !errors.Is(err, fake.ErrUnknownVerb("hire")) {
		t.Errorf("Do: %v", err)
	}
}

// TestCredentialOfATarget: with what a target's file says, a call with another
// credential, or none, is refused and has no effect.
func TestCredentialOfATarget(t *testing.T) {
	for _, c := range []struct {
		name     string
		settings map[string]string
		header   string
		value    string
	}{
		{"bearer", map[string]string{"auth": "bearer", "api": "t-1"}, "Authorization", "Bearer t-1"},
		{"basic", map[string]string{"auth": "basic", "api": "u:p"}, "Authorization", "Basic dTpw"},
		{"header", map[string]string{"auth": "header", "auth.header": "X-Key", "api": "t-1"}, "X-Key", "t-1"},
		{"authorization", map[string]string{"authorization": "Token 1", "auth": "bearer", "api": "t-1"}, "Authorization", "Token 1"},
		{"none", map[string]string{"auth": "none", "api": "t-1"}, "", ""},
		{"no secret", map[string]string{"auth": "bearer"}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := New(fake.Options{Settings: c.settings})
			want := map[bool]int{true: 201, false: 401}[c.header == ""]
			if got := call(v, "PUT", "/people/1", `{}`).Code; got != want {
				t.Errorf("without: %d, want %d", got, want)
			}
			if c.header == "" {
				return
			}
			if got := call(v, "PUT", "/people/1", `{}`, c.header, c.value+"x").Code; got != 401 {
				t.Errorf("with another: %d", got)
			}
			if got := call(v, "PUT", "/people/1", `{}`, c.header, c.value).Code; got != 201 {
				t.Errorf("with the right one: %d", got)
			}
		})
	}
}

// TestIdempotencyAsInAFile takes the words of a target's file.
func TestIdempotencyAsInAFile(t *testing.T) {
	v := New(fake.Options{Settings: map[string]string{"idempotency": "header X-Once"}})
	for range 2 {
		if got := call(v, "POST", "/people", `{}`, "X-Once", "k").Header().Get("Location"); got != "/people/r-1" {
			t.Errorf("made %s", got)
		}
	}
}
