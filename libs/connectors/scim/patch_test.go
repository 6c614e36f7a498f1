package scim

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
)

// drawn is some user without a login.
func drawn(t *rapid.T, label string) map[string]any {
	out := map[string]any{}
	word := rapid.SampledFrom([]string{"a", "b", "Łódź \"x\"", ""})
	for _, name := range []string{"title", "displayName", "nickName"} {
		if rapid.Bool().Draw(t, label+name) {
			out[name] = word.Draw(t, label+name+" is")
		}
	}
	object := func(names ...string) map[string]any {
		m := map[string]any{}
		for _, name := range names {
			if rapid.Bool().Draw(t, label+name) {
				m[name] = word.Draw(t, label+name+" is")
			}
		}
		return m
	}
	if m := object("givenName", "familyName"); len(m) > 0 {
		out["name"] = m
	}
	if m := object("department", "division"); len(m) > 0 {
		out["enterprise"] = m
	}
	for _, name := range []string{"emails", "phoneNumbers"} {
		var list []any
		primary := rapid.IntRange(-1, 2).Draw(t, label+name+" primary")
		for i, kind := range []string{"work", "home", "other"} {
			if !rapid.Bool().Draw(t, label+name+kind) {
				continue
			}
			m := map[string]any{"type": kind, "value": rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, label+name+kind+" is")}
			if i == primary {
				m["primary"] = true
			}
			list = append(list, m)
		}
		if list != nil {
			out[name] = list
		}
	}
	return out
}

// TestAnyUserBecomesAnyOther, whatever form the server takes: afterwards all
// that is wanted is there, what was only another's stays, and nothing more is
// to be done.
func TestAnyUserBecomesAnyOther(t *testing.T) {
	for _, style := range []string{stylePath, stylePathless, stylePathlessAdd, stylePut} {
		t.Run(style, func(t *testing.T) {
			vendor := Type.Fake(fake.Options{})
			server := httptest.NewServer(vendor)
			t.Cleanup(server.Close)
			s := (&world{url: server.URL, token: "x"}).sink(t, map[string]any{"patch_style": style})
			n := 0
			rapid.Check(t, func(t *rapid.T) {
				n++
				login := "u" + strings.Repeat("i", n)
				mine, foreign, next := drawn(t, "mine "), drawn(t, "foreign "), drawn(t, "next ")
				d := connector.Delivery{ID: login, Status: "active", Body: mine}
				d.Body["userName"] = login
				r, err := s.Apply(t.Context(), d, nil)
				if err != nil {
					t.Fatal(err)
				}
				get := func() resource {
					people, _ := vendor.Log().State()
					return people[r.Refs["id"]]
				}
				// Somebody else sets what they like.
				theirs := get().clone()
				others, err := leaves(foreign)
				if err != nil {
					t.Fatal(err)
				}
				for _, l := range others {
					theirs.set(l.place, l.value)
				}
				raw, _ := json.Marshal(theirs)
				q := httptest.NewRequest(http.MethodPut, "/Users/"+r.Refs["id"], bytes.NewReader(raw))
				q.Header.Set("Authorization", "Bearer x")
				rec := httptest.NewRecorder()
				vendor.ServeHTTP(rec, q)
				if rec.Code != http.StatusOK {
					t.Fatalf("%d %s", rec.Code, rec.Body)
				}
				between := get().clone()

				d.Before, d.Body, d.Refs, d.Previous, d.Version = d.Body, next, r.Refs, 1, 2
				d.Body["userName"] = login
				if r, err = s.Apply(t.Context(), d, nil); err != nil {
					t.Fatal(err)
				}
				now := get()
				w, err := s.(*sink).want(d)
				if err != nil {
					t.Fatal(err)
				}
				managed := map[place]bool{}
				for _, l := range w.leaves {
					managed[l.place] = true
					if !equal(l.place, now.at(l.place), l.value) {
						t.Fatalf("%s is %v, want %v", l.path(), now.at(l.place), l.value)
					}
				}
				for _, l := range others {
					if !managed[l.place] && l.sub != "primary" && !managed[place{attr: l.attr, elem: l.elem, sub: "value"}] && !equal(l.place, now.at(l.place), between.at(l.place)) {
						t.Fatalf("%s is %v, was %v and is not ours", l.path(), now.at(l.place), between.at(l.place))
					}
				}
				d.Before, d.Refs = d.Body, r.Refs
				if r, err = s.Apply(t.Context(), d, nil); err != nil || r.Outcome != "unchanged" {
					t.Fatalf("the same again: %q, sent %v, %v", r.Outcome, r.Sent, err)
				}
			})
		})
	}
}
