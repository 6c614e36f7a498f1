package scim

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connector/httpx"
	"github.com/muster-hr/muster/libs/testkit/scimd"
)

// TestQuote: any text in a filter is read back as itself, and ends where it
// ends: nothing of it is taken as filter.
func TestQuote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.SampledFrom([]rune("\"\\ae or()\n\x00é")))).Draw(t, "text")
		q := quote(s)
		var back string
		if err := json.Unmarshal([]byte(q), &back); err != nil || back != strings.ToValidUTF8(s, "\uFFFD") {
			t.Fatalf("%q is written %s and read %q, %v", s, q, back, err)
		}
	})
}

// TestFilterArrivesWhole: what is behind the question mark is one filter and
// nothing else, whatever the login is.
func TestFilterArrivesWhole(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if f := q.Get("filter"); f != "" {
			got = append(got, f)
		}
		if len(q) > 3 {
			t.Errorf("the filter became parameters: %v", q)
		}
		_, _ = w.Write([]byte(`{}`))
	}))
	t.Cleanup(server.Close)
	s := (&world{url: server.URL, token: "x"}).sink(t, nil)
	rapid.Check(t, func(t *rapid.T) {
		got = nil
		name := rapid.StringOf(rapid.SampledFrom([]rune("a\"\\&=#%+; ?/é"))).Draw(t, "login")
		if name == "" {
			return
		}
		if _, err := s.Find(t.Context(), connector.Delivery{ID: "emp-1", Body: map[string]any{"userName": name}}); err != nil {
			t.Fatal(err)
		}
		if len(got) != 2 || got[0] != `externalId eq "emp-1"` || got[1] != "userName eq "+quote(name) {
			t.Fatalf("asked %q for %q", got, name)
		}
	})
}

// TestHostileLogins at real servers: nobody else is found by them, and an
// account of that name is found again though SCIMMY refuses escaped quotes.
func TestHostileLogins(t *testing.T) {
	server := scimd.Start(t, scimd.Options{})
	w := before(t, server, &fake.Faults{})
	w.admin(t, http.MethodPost, "/Users", map[string]any{"schemas": []string{schemaUser}, "userName": "stranger"})
	s := w.sink(t, nil)
	for i, name := range []string{`x" or userName pr or userName eq "y`, `a\`, `a"b`, `" or "1" eq "1`, `żółć @ x`} {
		d := delivery("active", "hr.employee.hired.v1")
		d.ID = "emp-hostile-" + string(rune('a'+i))
		d.Body = map[string]any{"userName": name}
		d.Match = connector.Match{}
		found, err := s.Find(t.Context(), d)
		if err != nil || len(found) != 0 {
			t.Fatalf("%s: found %v, %v before anybody is there", name, found, err)
		}
		r := must(t, s, d)
		again := must(t, s, d)
		if again.Refs["id"] != r.Refs["id"] {
			t.Errorf("%s: made twice", name)
		}
	}
	if people, _ := w.state(t); len(people) != 6 {
		t.Errorf("%d people, want 6", len(people))
	}
}

// FuzzListed: no answer of a list makes trouble, and who is in it has an id.
func FuzzListed(f *testing.F) {
	f.Add([]byte(`{"Resources":[{"id":"1"},{"id":2},null,7]}`))
	f.Add([]byte(`{"resources":null}`))
	f.Add([]byte(`{"Resources":{}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		us, err := listed(httpx.Answer{Status: 200, Body: raw})
		if err != nil {
			return
		}
		for _, u := range us {
			if u.id() == "" {
				t.Error("a user without id")
			}
			u.active()
			u.version()
			w := wanted{leaves: []leaf{{place{attr: "emails", elem: "work", sub: "value"}, "a"}, {place{attr: "name", sub: "givenName"}, "b"}, {place{urn: schemaEnterprise, attr: "manager", sub: "value"}, "c"}}}
			for _, style := range []string{stylePath, stylePathless} {
				operations(u, w.diff(u, nil), style)
			}
			after := replaced(u, w.diff(u, nil))
			for _, l := range w.leaves {
				if !equal(l.place, after.at(l.place), l.value) {
					t.Errorf("%s is %v after PUT, want %v", l.path(), after.at(l.place), l.value)
				}
			}
		}
	})
}
