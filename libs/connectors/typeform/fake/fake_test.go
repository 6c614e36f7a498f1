package fake

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector/fake"
)

// given is what the vendor's samples answer.
var given = map[string]any{
	"enps": 9.0, "improve": "Moins de réunions", "benefits": []any{"Vélo de fonction"}, "stay": false, "started": "2024-02-29", "mgr": 4.0,
}

func vendorSample(t *testing.T, name string) any {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "testdata", "vendor", name))
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestHookLooksLikeTheVendors: every member of the sample is there, with the
// same kind of value; and the signature is over the bytes that are sent.
func TestHookLooksLikeTheVendors(t *testing.T) {
	var hooks []fake.Hook
	v := New(fake.Options{Secret: "s", Send: func(_ context.Context, h fake.Hook) { hooks = append(hooks, h) }})
	args := map[string]any{"employee_id": "E-2041", "hidden": map[string]any{"first_name": "Chloé"}, "answers": given}
	if _, err := v.Do(t.Context(), "answer", args); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Do(t.Context(), "partial", map[string]any{"answers": given}); err != nil {
		t.Fatal(err)
	}
	if len(hooks) != 2 {
		t.Fatalf("%d webhooks", len(hooks))
	}
	mac := hmac.New(sha256.New, []byte("s"))
	mac.Write(hooks[0].Body)
	if got := hooks[0].Header.Get("Typeform-Signature"); got != "sha256="+base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
		t.Errorf("signature %q", got)
	}
	var got, unfinished map[string]any
	if json.Unmarshal(hooks[0].Body, &got) != nil || json.Unmarshal(hooks[1].Body, &unfinished) != nil {
		t.Fatal("no JSON")
	}
	for _, p := range lacks("", vendorSample(t, "form_response.json"), got) {
		t.Error(p)
	}
	if unfinished["event_type"] != "form_response_partial" {
		t.Errorf("event %v", unfinished["event_type"])
	}
}

// lacks tells where got has not what want has. Elements of lists are compared
// as far as both go.
func lacks(at string, want, got any) []string {
	switch want := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return []string{at + " is not an object"}
		}
		var out []string
		for k, x := range want {
			y, there := g[k]
			switch {
			case !there && k != "other" && k != "choices" && k != "allow_multiple_selections" && k != "allow_other_choice":
				out = append(out, at+"."+k+" is missing")
			case there && (k == "type" || k == "ref") && at != ".form_response.variables[]" && x != y:
				out = append(out, fmt.Sprintf("%s.%s is %v, want %v", at, k, y, x))
			case there:
				out = append(out, lacks(at+"."+k, x, y)...)
			}
		}
		return out
	case []any:
		g, ok := got.([]any)
		if !ok {
			return []string{at + " is no list"}
		}
		var out []string
		for i := range min(len(want), len(g)) {
			out = append(out, lacks(at+"[]", want[i], g[i])...)
		}
		return out
	default:
		if fmt.Sprintf("%T", want) != fmt.Sprintf("%T", got) {
			return []string{fmt.Sprintf("%s is a %T, want a %T", at, got, want)}
		}
		return nil
	}
}

func call(t *testing.T, v http.Handler, path, auth string, into any) int {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if auth != "" {
		r.Header.Set("Authorization", auth)
	}
	w := httptest.NewRecorder()
	v.ServeHTTP(w, r)
	if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return w.Code
}

func TestPageLooksLikeTheVendors(t *testing.T) {
	v := New(fake.Options{})
	for _, args := range []map[string]any{{}, {"employee_id": "E-2041", "hidden": map[string]any{"first_name": "Chloé"}, "answers": given}} {
		if _, err := v.Do(t.Context(), "answer", args); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := v.Do(t.Context(), "partial", map[string]any{"answers": given}); err != nil {
		t.Fatal(err)
	}
	var page any
	if got := call(t, v, "/forms/"+defaultForm+"/responses?page_size=10&response_type=completed", "Bearer x", &page); got != 200 {
		t.Fatal(got)
	}
	for _, p := range lacks("", vendorSample(t, "api_responses_page.json"), page) {
		if p != ".items[].metadata.user_agent is missing" { // the second item's metadata are empty
			t.Error(p)
		}
	}
	items := page.(map[string]any)["items"].([]any)
	if len(items) != 2 || items[1].(map[string]any)["answers"] != nil {
		t.Errorf("items %v", items)
	}
}

func TestPaging(t *testing.T) {
	now := time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)
	v := New(fake.Options{Now: func() time.Time { return now }, Settings: map[string]string{"visible_after": "10s", "token": "right", "forms": "f", "rate": "3"}})
	for i := range 5 {
		now = now.Add(time.Minute)
		if _, err := v.Do(t.Context(), "answer", map[string]any{"form": "f", "token": fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	tokens := func(query string) string {
		now = now.Add(time.Second) // a new second: the rate begins anew
		var page struct {
			Items []struct{ Token string }
		}
		if got := call(t, v, "/forms/f/responses"+query, "Bearer right", &page); got != 200 {
			t.Fatalf("%s: %d", query, got)
		}
		out := ""
		for _, i := range page.Items {
			out += i.Token
		}
		return out
	}
	if got := tokens(""); got != "3210" {
		t.Errorf("before it is visible: %q", got)
	}
	now = now.Add(time.Minute)
	for query, want := range map[string]string{
		"": "43210", "?page_size=2": "43", "?page_size=2&before=3": "21", "?after=2": "34", "?since=2026-05-04T08:03:00Z": "432",
		"?until=2026-05-04T08:02:00": "10", "?since=1777881900": "4",
	} {
		if got := tokens(query); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	for path, want := range map[string]int{
		"/forms/g/responses": 404, "/forms/f": 404, "/forms/f/responses?page_size=0": 400, "/forms/f/responses?since=x": 400,
	} {
		now = now.Add(time.Second)
		if got := call(t, v, path, "Bearer right", new(any)); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	now = now.Add(time.Second)
	for i, want := range []int{401, 401, 401, 429} {
		if got := call(t, v, "/forms/f/responses", []string{"", "Basic right", "Bearer wrong", "Bearer right"}[i], new(any)); got != want {
			t.Errorf("call %d: %d, want %d", i, got, want)
		}
	}
}

func TestDo(t *testing.T) {
	v := New(fake.Options{})
	if _, err := v.Do(t.Context(), "hire", nil); !errors.Is(err, fake.ErrUnknownVerb("hire")) {
		t.Errorf("Do: %v", err)
	}
	for ref, x := range map[string]any{"enps": "nine", "started": "yesterday", "benefits": 3} {
		if _, err := v.Do(t.Context(), "answer", map[string]any{"answers": map[string]any{ref: x}}); err == nil {
			t.Errorf("%s takes %v", ref, x)
		}
	}
	out, err := v.Do(t.Context(), "answer", map[string]any{"email": "ada@a.example", "answers": map[string]any{"mood": "good", "score": 3, "team": true}})
	if err != nil {
		t.Fatal(err)
	}
	people, _ := v.Log().State()
	if got := people[out["id"].(string)]; got == nil || len(got["answers"].([]any)) != 3 {
		t.Errorf("state %v", people)
	}
}
