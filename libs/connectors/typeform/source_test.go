package typeform

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connector/sourcetest"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/secret"
	"github.com/muster-hr/muster/libs/survey"
)

func account(remote http.RoundTripper, settings map[string]any) connector.Account {
	all := map[string]any{"forms": []string{"one", "two"}, "page_size": 2}
	for k, v := range settings {
		all[k] = v
	}
	return connector.Account{
		Name: "typeform", BaseURL: "https://api.typeform.example", Settings: all, Transport: remote,
		Secrets: map[string]secret.Value{"token": secret.New("t-1")}, Now: func() time.Time { return now },
	}
}

func polled(t *testing.T, remote http.RoundTripper, settings map[string]any) connector.Source {
	t.Helper()
	s, err := Type.Source(account(remote, settings))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// clock is the account's time, which a test moves.
type clock struct{ t time.Time }

func (c *clock) vendor(settings map[string]string) fake.Vendor {
	return Type.Fake(fake.Options{Now: func() time.Time { return c.t }, Settings: settings})
}

func (c *clock) answer(t testing.TB, v fake.Vendor, form string) string {
	t.Helper()
	c.t = c.t.Add(time.Minute)
	out, err := v.Do(t.Context(), "answer", map[string]any{"form": form, "email": "ada@a.example", "answers": map[string]any{"enps": 9}})
	if err != nil {
		t.Fatal(err)
	}
	return out["id"].(string)
}

func TestSourcePromises(t *testing.T) {
	c := &clock{t: now}
	vendor := c.vendor(map[string]string{"token": "t-1"})
	var keys []string
	for _, form := range []string{"one", "one", "two", "one", "two", "one", "one"} {
		keys = append(keys, c.answer(t, vendor, form))
	}
	c.t = c.t.Add(time.Hour)
	change := func() {
		if _, err := vendor.Do(t.Context(), "answer", map[string]any{"form": "two", "token": "the-new-one"}); err != nil {
			t.Error(err)
		}
	}
	sourcetest.RunSource(t, sourcetest.Source{
		Open:   func(t *testing.T, remote *sourcetest.Remote) connector.Source { return polled(t, remote, nil) },
		Fake:   func(*testing.T) (http.Handler, func()) { return vendor, change },
		Keys:   keys,
		Change: "the-new-one",
	})
}

func all(t testing.TB, s connector.Source, after connector.Cursor) ([]string, connector.Cursor) {
	t.Helper()
	var keys []string
	for range 100 {
		page, err := s.Changes(t.Context(), after)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Records {
			keys = append(keys, r.Key)
		}
		if page.Next == after && page.More {
			t.Fatal("no way on")
		}
		if after = page.Next; !page.More {
			return keys, after
		}
	}
	t.Fatal("no end")
	return nil, ""
}

// TestNothingIsMissed: responses come between any two pages, and after any
// pass; in the end each was seen.
func TestNothingIsMissed(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := &clock{t: now}
		vendor := c.vendor(nil)
		s := polled(t, &sourcetest.Remote{Handler: vendor}, map[string]any{"page_size": rapid.IntRange(1, 4).Draw(rt, "size")})
		var made []string
		seen := map[string]bool{}
		add := func() {
			for range rapid.IntRange(0, 3).Draw(rt, "new") {
				made = append(made, c.answer(t, vendor, rapid.SampledFrom([]string{"one", "two"}).Draw(rt, "form")))
			}
		}
		after, calls := connector.Cursor(""), 0
		for pass := range 4 {
			for more := true; more; {
				if calls++; calls > 200 {
					rt.Fatal("no end")
				}
				page, err := s.Changes(t.Context(), after)
				if err != nil {
					rt.Fatal(err)
				}
				for _, r := range page.Records {
					seen[r.Key] = true
				}
				after, more = page.Next, page.More
				if pass < 3 {
					add()
				}
			}
		}
		for _, token := range made {
			if !seen[token] {
				rt.Errorf("one of %d responses was missed", len(made))
			}
		}
	})
}

// TestLateInTheAPI: a response that the API shows later than a newer one is
// found, as the next poll reaches back.
func TestLateInTheAPI(t *testing.T) {
	c := &clock{t: now}
	vendor := c.vendor(map[string]string{"visible_after": "90s"})
	s := polled(t, &sourcetest.Remote{Handler: vendor}, nil)
	first, second := c.answer(t, vendor, "one"), c.answer(t, vendor, "one")
	c.t = c.t.Add(time.Minute)
	keys, cursor := all(t, s, "")
	if !slices.Equal(keys, []string{first}) {
		t.Errorf("keys %v", keys)
	}
	c.t = c.t.Add(time.Minute)
	if keys, _ = all(t, s, cursor); !slices.Contains(keys, second) {
		t.Errorf("keys %v, want the late one", keys)
	}
}

func TestCallsOfAPoll(t *testing.T) {
	var urls []string
	remote := &sourcetest.Remote{Answer: func(r *http.Request) *http.Response {
		urls = append(urls, r.URL.String()+" "+r.Header.Get("Authorization"))
		return sourcetest.Says(200, `{"total_items":0,"page_count":0,"items":[]}`)(r)
	}}
	cursor, _ := json.Marshal(place{Marks: map[string]string{"one": "2026-05-04T08:15:09Z"}})
	page, err := polled(t, remote, map[string]any{"forms": []string{"one"}, "overlap": time.Minute}).Changes(t.Context(), connector.Cursor(cursor))
	if err != nil || page.More || page.Next != connector.Cursor(cursor) {
		t.Errorf("page %+v, %v", page, err)
	}
	want := "https://api.typeform.example/forms/one/responses?page_size=2&response_type=completed&since=2026-05-04T08%3A14%3A09Z Bearer t-1"
	if len(urls) != 1 || urls[0] != want {
		t.Errorf("called %v\nwant %s", urls, want)
	}
}

// TestOneUnreadableEntry keeps no other from coming, and is not lost.
func TestOneUnreadableEntry(t *testing.T) {
	items := `{"items":[
		{"token":"a","submitted_at":"2026-05-04T08:15:09Z","answers":null},
		{"token":"b","submitted_at":"0001-01-01T00:00:00Z"},
		{"token":"c","submitted_at":"2026-05-04T08:15:09Z","answers":[{"type":"number","number":"nine","field":{"ref":"enps"}}]},
		{"submitted_at":7},
		{"token":"d","response_type":"partial","submitted_at":"2026-05-04T08:15:09Z"}]}`
	page, err := polled(t, &sourcetest.Remote{Answer: sourcetest.Says(200, items)}, map[string]any{"forms": []string{"f"}, "page_size": 100}).Changes(t.Context(), "")
	if err != nil || len(page.Records) != 4 {
		t.Fatalf("%d records, %v", len(page.Records), err)
	}
	for i, rec := range page.Records {
		_, err := survey.Parse(rec.Body)
		if (err == nil) != (i == 0) {
			t.Errorf("record %d: %v", i, err)
		}
		if i > 0 && !strings.Contains(items, string(rec.Body)) {
			t.Errorf("record %d is not as it came: %s", i, rec.Body)
		}
	}
}

func TestFormThatIsNotThere(t *testing.T) {
	vendor := (&clock{t: now}).vendor(map[string]string{"forms": "one", "token": "t-1"})
	remote := &sourcetest.Remote{Handler: vendor}
	k, err := Type.Check(account(remote, nil))
	if err != nil {
		t.Fatal(err)
	}
	if f := fault.Of(k.Check(t.Context())); f == nil || f.Class != fault.Target || f.Reason != "form" {
		t.Errorf("check: %v", f)
	}
	k, err = Type.Check(account(remote, map[string]any{"forms": []string{"one"}}))
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Check(t.Context()); err != nil {
		t.Error(err)
	}
	for name, a := range map[string]connector.Account{
		"no forms": {Secrets: map[string]secret.Value{"token": secret.New("t")}}, "no token": {Settings: map[string]any{"forms": []string{"a"}}},
	} {
		if _, err := Type.Source(a); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// TestAFormThatIsGone keeps no other from being read, in no pass, and is told by
// its name.
func TestAFormThatIsGone(t *testing.T) {
	for _, gone := range []string{"a", "m", "z"} {
		c := &clock{t: now}
		vendor := c.vendor(nil)
		s := polled(t, &sourcetest.Remote{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/forms/"+gone+"/responses" {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			vendor.ServeHTTP(w, r)
		})}, map[string]any{"forms": []string{"a", "m", "z"}})
		after := connector.Cursor("")
		for range 3 {
			want := map[string]bool{}
			for _, form := range []string{"a", "m", "z"} {
				if form != gone {
					want[c.answer(t, vendor, form)] = true
				}
			}
			c.t = c.t.Add(time.Minute)
			var err error
			for range 10 {
				var page connector.Page
				if page, err = s.Changes(t.Context(), after); err != nil {
					break
				}
				if page.Next == after || !page.More {
					t.Fatalf("without %s: no way on, or no error at the end", gone)
				}
				for _, r := range page.Records {
					delete(want, r.Key)
				}
				after = page.Next
			}
			if f := fault.Of(err); f == nil || f.Class != fault.Target || f.Reason != reasonForm || !strings.Contains(err.Error(), "form "+gone) {
				t.Fatalf("without %s: %v", gone, err)
			}
			if len(want) != 0 {
				t.Fatalf("without %s: %d responses were not read", gone, len(want))
			}
		}
	}
}

func FuzzCursor(f *testing.F) {
	f.Add(`{"marks":{"one":"2026-05-04T08:15:09Z"},"form":"two","before":"x"}`)
	f.Add(`{"marks":null,"form":"gone"}`)
	vendor := (&clock{t: now}).vendor(nil)
	f.Fuzz(func(t *testing.T, cursor string) {
		s := polled(t, &sourcetest.Remote{Handler: vendor}, nil)
		page, err := s.Changes(t.Context(), connector.Cursor(cursor))
		if err != nil && fault.Of(err).Class != fault.Target && fault.Of(err).Class != fault.Record {
			t.Errorf("error %v", err)
		}
		if err == nil && page.Next == "" {
			t.Errorf("%q leads back to the beginning", cursor)
		}
	})
}
