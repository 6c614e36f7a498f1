package scimd_test

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/muster-hr/muster/libs/testkit/scimd"
)

// TestStart: each variant is what it promises to be.
func TestStart(t *testing.T) {
	for name, o := range map[string]scimd.Options{
		"Express 4": {}, "Express 5": {Express5: true}, "without filters": {IgnoreFilters: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := scimd.Start(t, o)
			if people := s.Users(t); len(people) != 0 {
				t.Fatalf("%d people in a fresh server", len(people))
			}
			for i := range 3 {
				n := strconv.Itoa(i)
				if status, _ := s.Call(t, http.MethodPost, "/Users", map[string]any{"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:User"}, "userName": "u" + n}); status != http.StatusCreated {
					t.Fatalf("create: %d", status)
				}
			}
			count := func(query string) int {
				_, page := s.Call(t, http.MethodGet, "/Users?"+query, nil)
				rows, _ := page["Resources"].([]any)
				return len(rows)
			}
			want := 1
			if o.IgnoreFilters {
				want = 3
			}
			if got := count(`filter=userName%20eq%20%22u1%22`); got != want {
				t.Errorf("a filter gives %d, want %d", got, want)
			}
			want = 1
			if o.Express5 {
				want = 3
			}
			if got := count("startIndex=3&count=2"); got != want {
				t.Errorf("the second page holds %d, want %d", got, want)
			}
			token := s.Token
			s.Token = "wrong"
			if status, _ := s.Call(t, http.MethodGet, "/Users", nil); status != http.StatusUnauthorized {
				t.Errorf("a wrong token: %d", status)
			}
			s.Token = token
			s.Empty(t)
			if people := s.Users(t); len(people) != 0 {
				t.Errorf("%d people are left", len(people))
			}
		})
	}
}
