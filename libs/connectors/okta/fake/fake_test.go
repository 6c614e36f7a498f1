package fake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/connector/fake"
)

type exchange struct {
	Request struct {
		Method, Path string
		Headers      map[string]string
		Body         json.RawMessage
	}
	Response struct {
		Status  int
		Headers map[string]string
		Body    json.RawMessage
	}
}

// TestExchanges plays Okta's exchanges: status, error code and the shape of the
// body are as documented. What the organisation holds before is stated here.
func TestExchanges(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 20, 1, 0, time.UTC)
	person := map[string]any{
		"login": "zofia.lukasik-zak@brightfjord.example", "email": "zofia.lukasik-zak@brightfjord.example",
		"firstName": "Zofia", "lastName": "Łukasik-Żak", "employeeNumber": "E-10417",
	}
	for name, status := range map[string]string{
		"create-staged": "", "create-duplicate-login": "ACTIVE", "create-name-too-long": "",
		"update-partial": "ACTIVE", "activate": "STAGED", "activate-already-active": "ACTIVE",
		"deactivate": "ACTIVE", "get-by-login-missing": "", "search-by-employee-number": "ACTIVE",
		"profile-mastered-elsewhere": "ACTIVE", "status-not-allowed": "ACTIVE", "suspend-wrong-state": "STAGED", "rate-limited": "ACTIVE",
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(filepath.Join("..", "testdata", name+".exchange.json"))
			if err != nil {
				t.Fatal(err)
			}
			var x exchange
			if err := json.Unmarshal(raw, &x); err != nil {
				t.Fatal(err)
			}
			v := New(fake.Options{Now: func() time.Time { return now }}).(*org)
			if name == "rate-limited" {
				v.limit, v.calls, v.window = 1, 1, now.Truncate(time.Minute)
			}
			id := "00u7k2m9qwXr4LbTz5d7"
			if name == "profile-mastered-elsewhere" {
				v.o.Settings, id = map[string]string{"mastered": "elsewhere"}, "00u1a2b3c4d5e6f7g8h9"
			}
			if status != "" {
				v.users = append(v.users, &user{id: id, status: status, profile: maps.Clone(person)})
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
				if k != "Link" && w.Header().Get(k) == "" {
					t.Errorf("the header %s is missing", k)
				}
			}
			var got, want any
			if json.Unmarshal(w.Body.Bytes(), &got) != nil || json.Unmarshal(x.Response.Body, &want) != nil {
				t.Fatalf("the body is no JSON: %s", w.Body)
			}
			for _, problem := range shape("", want, got) {
				t.Error(problem)
			}
		})
	}
}

// shape tells where got lacks what want has; profiles hold what was stored, and
// error codes, statuses and error summaries must be equal.
func shape(at string, want, got any) []string {
	switch want := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return []string{at + " is not an object"}
		}
		var out []string
		for k, x := range want {
			if k == "_links" || (at == ".profile" || strings.HasSuffix(at, "]profile")) {
				continue
			}
			y, ok := g[k]
			switch {
			case !ok:
				out = append(out, fmt.Sprintf("%s.%s is missing", at, k))
			case (k == "errorCode" || k == "status") && x != y:
				out = append(out, fmt.Sprintf("%s.%s is %v, want %v", at, k, y, x))
			case x != nil:
				out = append(out, shape(at+"."+k, x, y)...)
			}
		}
		return out
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(want) {
			return []string{at + " is another list"}
		}
		var out []string
		for i := range want {
			if at == "" {
				out = append(out, shape("", want[i], g[i])...)
			} else {
				out = append(out, shape(at+"["+strconv.Itoa(i)+"]", want[i], g[i])...)
			}
		}
		return out
	}
	return nil
}

func call(v http.Handler, method, path, auth, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if auth != "" {
		r.Header.Set("Authorization", auth)
	}
	w := httptest.NewRecorder()
	v.ServeHTTP(w, r)
	return w
}

func TestCredential(t *testing.T) {
	v := New(fake.Options{Settings: map[string]string{"token": "right"}})
	for auth, want := range map[string]int{"": 401, "SSWS": 401, "SSWS wrong": 401, "Basic right": 401, "SSWS right": 200, "Bearer right": 200} {
		if got := call(v, "GET", "/api/v1/users", auth, "").Code; got != want {
			t.Errorf("%q: %d, want %d", auth, got, want)
		}
	}
}

func TestSearchLagsBehindWrites(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	v := New(fake.Options{Now: func() time.Time { return now }, Settings: map[string]string{"stale_for": "1h"}})
	call(v, "POST", "/api/v1/users?activate=false", "SSWS x", `{"profile":{"login":"jo@a.example","email":"jo@a.example","firstName":"Jo","lastName":"Ng","employeeNumber":"7","title":"old"}}`)
	search := func(attribute, value string) int {
		w := call(v, "GET", "/api/v1/users?search=profile."+attribute+"%20eq%20%22"+value+"%22", "SSWS x", "")
		var us []any
		if err := json.Unmarshal(w.Body.Bytes(), &us); err != nil {
			t.Fatal(err, w.Body)
		}
		return len(us)
	}
	if search("employeeNumber", "7") != 0 {
		t.Error("search sees at once what was written")
	}
	if call(v, "GET", "/api/v1/users/jo@a.example", "SSWS x", "").Code != 200 {
		t.Error("the read by login lags")
	}
	now = now.Add(2 * time.Hour)
	if search("employeeNumber", "7") != 1 {
		t.Error("search never catches up")
	}
	call(v, "POST", "/api/v1/users/jo@a.example", "SSWS x", `{"profile":{"title":"new"}}`)
	if search("title", "old") != 1 || search("title", "new") != 0 {
		t.Error("search sees an update at once")
	}
}

// TestLoginsAreUniqueWithoutDiacritics for any two spellings of one login.
func TestLoginsAreUniqueWithoutDiacritics(t *testing.T) {
	spellings := map[rune][]string{'a': {"a", "å", "Á", "ą"}, 'o': {"o", "ø", "Ö", "ó"}, 'l': {"l", "ł", "L"}, 's': {"s", "Š", "ş"}}
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.StringOfN(rapid.RuneFrom([]rune("aols")), 3, 12, -1).Draw(t, "base")
		write := func(name string) string {
			var b strings.Builder
			for _, r := range base {
				b.WriteString(rapid.SampledFrom(spellings[r]).Draw(t, name))
			}
			return b.String() + "@a.example"
		}
		v := New(fake.Options{})
		make := func(login string) int {
			p, _ := json.Marshal(map[string]any{"profile": map[string]any{"login": login, "email": "x@a.example", "firstName": "J", "lastName": "N"}})
			return call(v, "POST", "/api/v1/users?activate=false", "SSWS x", string(p)).Code
		}
		if got := make(write("first")); got != 200 {
			t.Fatalf("the first is refused: %d", got)
		}
		if got := make(write("second")); got != 400 {
			t.Fatalf("the second spelling is taken: %d", got)
		}
	})
}

func TestDeleteTwice(t *testing.T) {
	v := New(fake.Options{})
	call(v, "POST", "/api/v1/users", "SSWS x", `{"profile":{"login":"jo@a.example","email":"jo@a.example","firstName":"Jo","lastName":"Ng"}}`)
	for _, want := range []int{200, 204, 200, 204, 404} {
		method := "GET"
		if want == 204 {
			method = "DELETE"
		}
		if got := call(v, method, "/api/v1/users/jo@a.example", "SSWS x", "").Code; got != want {
			t.Fatalf("%s: %d, want %d", method, got, want)
		}
	}
	if _, err := v.Do(t.Context(), "hire", nil); !errors.Is(err, fake.ErrUnknownVerb("hire")) {
		t.Errorf("Do: %v", err)
	}
}
