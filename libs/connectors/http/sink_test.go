package httpconn

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connector/sinktest"
	vendorfake "github.com/muster-hr/muster/libs/connectors/http/fake"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/secret"
)

func body(p sinktest.Person) map[string]any {
	return map[string]any{
		"number": p.Number, "mail": p.Email, "title": p.Title,
		"name": map[string]any{"given": p.Given, "family": p.Family},
	}
}

func gone(p map[string]any) bool { return p == nil }

// TestSinkKeepsThePromises in the ways that targets are usually set up.
func TestSinkKeepsThePromises(t *testing.T) {
	for name, s := range map[string]sinktest.Setup{
		"put under our id": {
			Account: connector.Account{Settings: map[string]any{"idempotency": "method", "disable.method": "DELETE"}},
			Gone:    gone,
		},
		"post with a key, an event at a time": {
			Account: connector.Account{Settings: map[string]any{
				"idempotency": "header Idempotency-Key", "method": "POST", "body": "event", "state_like": false,
			}},
			Also: func(d connector.Delivery) []string { return []string{d.Event, d.Type} },
		},
		"post to a collection, looked up, patched": {
			Account: connector.Account{Settings: map[string]any{
				"create.method": "POST", "create.path": "/people", "ref": "id",
				"update.method": "PATCH", "update.path": "/people/{key}",
				"disable.method": "DELETE", "disable.path": "/people/{key}",
				"lookup.path": "/people?number={employee_number}", "lookup.result": "items[0].id",
				"auth": "bearer",
			}, Secrets: map[string]secret.Value{"api": secret.New("token-1")}},
			Fake:    fake.Options{Settings: map[string]string{"authorization": "Bearer token-1"}},
			Finds:   true,
			Partial: true,
			Gone:    gone,
			Stale: func(s *sinktest.Setup, lag time.Duration) {
				s.Fake.Settings["stale_for"] = lag.String()
				s.Account.Settings["lookup.window"] = lag
			},
		},
	} {
		s.Type, s.Body, s.Account.Name = Type, body, "payroll"
		s.Throttled = fake.Response{Status: 429, Headers: map[string]string{"Retry-After": "7"}}
		s.Wait = 7 * time.Second
		s.Invalid = fake.Response{Status: 422, Body: json.RawMessage(`{"error":"` + sinktest.Planted + ` is refused"}`)}
		t.Run(name, func(t *testing.T) { sinktest.Run(t, s) })
	}
}

// seen is one request as it arrived.
type seen struct {
	Method, Path, Body, ContentType, Key string
}

// receiver answers every call alike and keeps what came.
func receiver(t *testing.T, status int, header http.Header, answer string, settings map[string]any) (connector.Sink, *[]seen) {
	t.Helper()
	var came []seen
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		came = append(came, seen{r.Method, r.URL.RequestURI(), string(raw), r.Header.Get("Content-Type"), r.Header.Get("X-Key")})
		for k, v := range header {
			w.Header()[k] = v
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	s, err := Type.Sink(connector.Account{Name: "payroll", BaseURL: server.URL, Settings: settings, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return s, &came
}

func change() connector.Delivery {
	return connector.Delivery{
		ID: "emp/1", Event: "evt-1", Type: "hr.employee.updated.v1", Version: 4, Previous: 3, Status: "active",
		Body: map[string]any{"title": "Analyst"}, Refs: connector.Refs{"key": "r 1"},
	}
}

func TestRequestsByTemplate(t *testing.T) {
	for name, c := range map[string]struct {
		settings map[string]any
		d        func(*connector.Delivery)
		want     seen
	}{
		"as shipped": {map[string]any{}, nil, seen{"PUT", "/people/emp%2F1", `{"title":"Analyst"}`, "application/json", ""}},
		"all placeholders": {map[string]any{"path": "/{verb}/{key}/{id}?t={type}", "query": map[string]string{"v": "2"}}, nil,
			seen{"PUT", "/update/r%201/emp%2F1?t=hr.employee.updated.v1&v=2", `{"title":"Analyst"}`, "application/json", ""}},
		"event": {map[string]any{"body": "event", "method": "post"}, nil,
			seen{"POST", "/people/emp%2F1", `{"body":{"title":"Analyst"},"id":"evt-1","type":"hr.employee.updated.v1","version":4}`, "application/json", ""}},
		"patch without a before": {map[string]any{"update.method": "PATCH"}, nil,
			seen{"PATCH", "/people/emp%2F1", `{"title":"Analyst"}`, "application/json", ""}},
		"patch": {map[string]any{"update.method": "PATCH"}, func(d *connector.Delivery) {
			d.Before = map[string]any{"title": "Clerk", "grade": "7", "old": "x"}
			d.Body["grade"] = nil // cleared; old is no longer said
		}, seen{"PATCH", "/people/emp%2F1", `{"grade":null,"title":"Analyst"}`, "application/merge-patch+json", ""}},
		"leaver": {map[string]any{"disable.method": "POST", "disable.path": "/people/{key}/disable"}, func(d *connector.Delivery) { d.Status = "terminated" },
			seen{"POST", "/people/r%201/disable", `{"title":"Analyst"}`, "application/json", ""}},
		"leaver without a way of their own": {map[string]any{}, func(d *connector.Delivery) { d.Status = "terminated" },
			seen{"PUT", "/people/emp%2F1", `{"title":"Analyst"}`, "application/json", ""}},
		"first": {map[string]any{"create.path": "/people", "create.method": "POST"}, func(d *connector.Delivery) { d.Refs, d.Previous = nil, 0 },
			seen{"POST", "/people", `{"title":"Analyst"}`, "application/json", ""}},
		"nothing to say": {map[string]any{}, func(d *connector.Delivery) { d.Body = nil },
			seen{"PUT", "/people/emp%2F1", `{}`, "application/json", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			s, came := receiver(t, 200, nil, `{}`, c.settings)
			d := change()
			if c.d != nil {
				c.d(&d)
			}
			if _, err := s.Apply(t.Context(), d, nil); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff([]seen{c.want}, *came); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestIdempotencyKey(t *testing.T) {
	s, came := receiver(t, 200, nil, `{}`, map[string]any{"idempotency": "header X-Key"})
	d := change()
	other := d
	other.Event = "evt-2"
	for _, x := range []connector.Delivery{d, d, other} {
		if _, err := s.Apply(t.Context(), x, nil); err != nil {
			t.Fatal(err)
		}
	}
	k := *came
	if len(k[0].Key) != 32 || k[0].Key != k[1].Key || k[0].Key == k[2].Key {
		t.Errorf("keys %q %q %q", k[0].Key, k[1].Key, k[2].Key)
	}
	if !s.Effects().Idempotent {
		t.Error("the sink does not say that it is idempotent")
	}
}

func TestRefsOfAnAnswer(t *testing.T) {
	for _, c := range []struct {
		ref, answer, location, want string
	}{
		{"data.id", `{"data":{"id":117}}`, "", "117"},
		{"id", `{"id":"r-9"}`, "", "r-9"},
		{"location", ``, "https://x.example/v1/people/r%209/?a=b", "r 9"},
		{"id", `not json`, "", ""},
		{"", `{"id":"r-9"}`, "", ""},
	} {
		s, _ := receiver(t, 201, headers("Location", c.location), c.answer, map[string]any{"ref": c.ref})
		d := change()
		d.Refs, d.Previous = nil, 0
		got, err := s.Apply(t.Context(), d, nil)
		if err != nil || got.Refs["key"] != c.want {
			t.Errorf("ref %q in %q: %v, %v", c.ref, c.answer, got.Refs, err)
		}
	}
}

func TestClasses(t *testing.T) {
	settings := map[string]any{
		"classes": map[string]string{"409": "done", "404": "target", "400": "transient", "418": "throttled", "500": "record"},
	}
	for status, want := range map[int]fault.Class{
		409: fault.Done, 404: fault.Target, 400: fault.Transient, 418: fault.Throttled, 500: fault.Record,
		401: fault.Target, 422: fault.Record, 503: fault.Transient, 302: fault.Target,
	} {
		s, _ := receiver(t, status, headers("Retry-After", "9"), `{}`, settings)
		got, err := s.Apply(t.Context(), change(), nil)
		if want == fault.Done {
			if err != nil || got.Outcome != "unchanged" {
				t.Errorf("%d: %+v, %v", status, got, err)
			}
			continue
		}
		if status == 503 {
			want = fault.Throttled // it named a time
		}
		f := fault.Of(err)
		if f == nil || f.Class != want {
			t.Errorf("%d: %v, want %s", status, err, want)
			continue
		}
		if want == fault.Throttled && f.After != 9*time.Second {
			t.Errorf("%d: after %s", status, f.After)
		}
	}
	for _, classes := range []map[string]string{{"4xx": "done"}, {"404": "fine"}} {
		_, err := Type.Sink(connector.Account{BaseURL: "https://x.example", Settings: map[string]any{"classes": classes}})
		if err == nil {
			t.Errorf("%v is taken", classes)
		}
	}
}

func TestLeaverWhoIsGoneAlready(t *testing.T) {
	for status, settings := range map[int]map[string]any{
		404: {"disable.method": "DELETE"},
		410: {"disable.method": "DELETE"},
	} {
		s, _ := receiver(t, status, nil, `{}`, settings)
		d := change()
		d.Status = "terminated"
		if got, err := s.Apply(t.Context(), d, nil); err != nil || got.Outcome != "unchanged" {
			t.Errorf("%d: %+v, %v", status, got, err)
		}
	}
}

// TestWhoIsRemovedIsForgotten: a rehire is a create like any other, which
// delivery looks and notes an intent for only where there are no refs.
func TestWhoIsRemovedIsForgotten(t *testing.T) {
	for status, settings := range map[int]map[string]any{
		204: {"disable.method": "DELETE"},
		404: {"disable.method": "POST", "disable.path": "/people/{key}/disable"},
	} {
		s, _ := receiver(t, status, nil, ``, settings)
		d := change()
		d.Status = "terminated"
		if got, err := s.Apply(t.Context(), d, nil); err != nil || got.Refs == nil || len(got.Refs) > 0 {
			t.Errorf("%d: %+v, %v", status, got, err)
		}
	}
}

// TestOneWayForEverybody: where every change is told in one way nobody need be
// known, so nothing is remembered of anybody; a leaver's later change goes too.
func TestOneWayForEverybody(t *testing.T) {
	s, came := receiver(t, 200, nil, `{}`, map[string]any{"method": "POST", "path": "/changes", "state_like": false})
	d := change()
	d.Status, d.Was, d.Refs, d.Before = "terminated", "terminated", nil, nil
	got, err := s.Apply(t.Context(), d, nil)
	if err != nil || len(*came) != 1 || len(got.Refs) > 0 {
		t.Errorf("%d calls, %+v, %v", len(*came), got, err)
	}
}

// TestTheSameAccountIsASource: its key of a person is the target's id, and what
// we make there is told by the key that it gets.
func TestTheSameAccountIsASource(t *testing.T) {
	settings := map[string]any{"create.method": "POST", "create.path": "/people", "ref": "id", "update.path": "/people/{key}"}
	for want, refs := range map[string]connector.Refs{"PUT /people/117": {"id": "117"}, "POST /people": nil} {
		s, came := receiver(t, 200, nil, `{"id":117}`, settings)
		d := change()
		d.Refs, d.Previous = refs, 0
		got, err := s.Apply(t.Context(), d, nil)
		if err != nil || len(*came) != 1 || (*came)[0].Method+" "+(*came)[0].Path != want || got.Key != "117" || got.Refs[refKey] != "117" {
			t.Errorf("%v, %+v, %v", *came, got, err)
		}
	}
}

// TestWhoIsKnown decides between the first write of a person and a later one.
func TestWhoIsKnown(t *testing.T) {
	before := map[string]any{"title": "Clerk"}
	for name, c := range map[string]struct {
		d    connector.Delivery
		want string
	}{
		"nobody yet":                         {connector.Delivery{}, "POST /people"},
		"the first version was given up":     {connector.Delivery{Previous: 1}, "POST /people"},
		"a leaver who was not sent":          {connector.Delivery{Previous: 1, Was: "terminated", Before: before}, "POST /people"},
		"written, by the refs":               {connector.Delivery{Previous: 1, Refs: connector.Refs{refThere: "true"}}, "PUT /people/emp"},
		"written, before refs said so":       {connector.Delivery{Previous: 1, Was: "active", Before: before}, "PUT /people/emp"},
		"disabled there, and comes back":     {connector.Delivery{Previous: 2, Was: "terminated", Before: before, Refs: connector.Refs{refThere: "true"}}, "PUT /people/emp"},
		"removed there, and a source too":    {connector.Delivery{Previous: 2, Was: "terminated", Before: before, Refs: connector.Refs{refID: "117"}}, "POST /people"},
		"removed there, and comes back":      {connector.Delivery{Previous: 2, Was: "terminated", Before: before, Refs: connector.Refs{}}, "POST /people"},
		"written, and nothing else is known": {connector.Delivery{Previous: 1, Refs: connector.Refs{refThere: "true"}}, "PUT /people/emp"},
	} {
		t.Run(name, func(t *testing.T) {
			s, came := receiver(t, 200, nil, `{}`, map[string]any{"create.method": "POST", "create.path": "/people"})
			c.d.ID, c.d.Event, c.d.Status, c.d.Version, c.d.Body = "emp", "evt", "active", c.d.Previous+1, map[string]any{"title": "Analyst"}
			got, err := s.Apply(t.Context(), c.d, nil)
			if err != nil || len(*came) != 1 || (*came)[0].Method+" "+(*came)[0].Path != c.want || got.Refs[refThere] == "" {
				t.Errorf("%v, %+v, %v", *came, got, err)
			}
		})
	}
}

// TestLeaverWhoNeverWas: a target of states is not told, one of events is.
func TestLeaverWhoNeverWas(t *testing.T) {
	for states, want := range map[bool]int{true: 0, false: 1} {
		s, came := receiver(t, 200, nil, `{}`, map[string]any{"state_like": states})
		d := change()
		d.Refs, d.Previous, d.Status = nil, 0, "terminated"
		if _, err := s.Apply(t.Context(), d, nil); err != nil || len(*came) != want {
			t.Errorf("states %t: %d calls, %v", states, len(*came), err)
		}
	}
	s, came := receiver(t, 200, nil, `{}`, map[string]any{"ref": "id", "disable.method": "DELETE", "disable.path": "/people/{key}"})
	d := change()
	d.Refs, d.Previous, d.Status = nil, 0, "terminated"
	if got, err := s.Apply(t.Context(), d, nil); err != nil || got.Outcome != "unchanged" || len(*came) > 0 {
		t.Errorf("without an id to remove: %d calls, %+v, %v", len(*came), got, err)
	}
	d.Since = time.Now() // a create may have been lost
	if _, err := s.Apply(t.Context(), d, nil); fault.Reason(err) != "no_ref" {
		t.Errorf("who may be there: %v", err)
	}
}

func TestAmbiguousLookup(t *testing.T) {
	s, came := receiver(t, 200, nil, `{"items":[{"id":"a"},{"id":"b"}]}`, map[string]any{
		"lookup.path": "/people?number={employee_number}", "lookup.result": "items[0].id",
	})
	d := change()
	d.Refs, d.Previous, d.Match.EmployeeNumber = nil, 0, "1 & 2"
	found, err := s.Find(t.Context(), d)
	if err != nil || len(found) != 2 || found[0].Sure || found[1].Sure {
		t.Errorf("found %+v, %v", found, err)
	}
	if _, err := s.Apply(t.Context(), d, nil); fault.Of(err).Class != fault.Record {
		t.Errorf("apply: %v", err)
	}
	if got := (*came)[0].Path; got != "/people?number=1%20%26%202" {
		t.Errorf("looked up by %s", got)
	}
	for _, c := range *came {
		if c.Method != http.MethodGet {
			t.Errorf("wrote %s %s", c.Method, c.Path)
		}
	}
}

// A change whose answer was lost is looked for by its own id, once the search
// shows it, also when the person is known; others are not asked for.
func TestAChangeIsLookedForBeforeItIsSentAgain(t *testing.T) {
	for name, ref := range map[string]string{"no refs": "", "refs": "id"} {
		t.Run(name, func(t *testing.T) {
			const lag = 200 * time.Millisecond
			v := vendorfake.New(fake.Options{Settings: map[string]string{"stale_for": lag.String()}})
			var faults fake.Faults
			server := httptest.NewServer(faults.Around(v))
			defer server.Close()
			s, err := Type.Sink(connector.Account{Name: "journal", BaseURL: server.URL, Now: time.Now, Settings: map[string]any{
				"method": "POST", "path": "/events", "body": "event", "state_like": false, "ref": ref,
				"lookup.path": "/events?id={event}", "lookup.result": "items[0].id", "lookup.window": lag,
			}})
			if err != nil {
				t.Fatal(err)
			}
			send := func(d connector.Delivery) (connector.Receipt, error) { return s.Apply(t.Context(), d, nil) }
			d := connector.Delivery{ID: "emp", Event: "e1", Version: 1, Status: "active", Body: map[string]any{"title": "Analyst"}}
			r, err := send(d)
			if err != nil {
				t.Fatal(err)
			}
			d.Event, d.Version, d.Previous, d.Refs = "e2", 2, 1, r.Refs
			if err := faults.Add(fake.Fault{When: fake.AfterEffect, Times: 1}); err != nil {
				t.Fatal(err)
			}
			if _, err := send(d); err == nil {
				t.Fatal("the answer was lost and no error came")
			}
			d.Since = time.Now() // it may have been written as late as now
			if r, err = send(d); err != nil || r.Outcome != "unchanged" || len(r.Sent) != 0 {
				t.Errorf("sent again: %+v, %v", r, err)
			}
			d.Event, d.Version = "e3", 3 // the one before was given up: this one is not there
			if r, err = send(d); err != nil || r.Outcome != "" {
				t.Errorf("the next: %+v, %v", r, err)
			}
			d.Since = time.Time{}
			d.Event, d.Version = "e4", 4
			if _, err = send(d); err != nil {
				t.Fatal(err)
			}
			_, writes := v.Log().State()
			var ids []any
			for _, w := range writes {
				ids = append(ids, w.Body.(map[string]any)["id"])
			}
			if d := cmp.Diff([]any{"e1", "e2", "e3", "e4"}, ids); d != "" {
				t.Errorf("effects (-want +got):\n%s", d)
			}
			asked := 0
			for _, c := range faults.Requests() {
				if c.Method == http.MethodGet {
					asked++
				}
			}
			if asked != 2 {
				t.Errorf("asked %d times, want 2: only what is in doubt", asked)
			}
		})
	}
}

func TestPathsStayWhereTheyAre(t *testing.T) {
	s, came := receiver(t, 200, nil, `{}`, map[string]any{"path": "/people/{key}"})
	for _, key := range []string{"..", ".", ""} {
		d := change()
		d.Refs = connector.Refs{"key": key}
		if _, err := s.Apply(t.Context(), d, nil); fault.Of(err) == nil || fault.Of(err).Reason != "no_ref" {
			t.Errorf("key %q: %v", key, err)
		}
	}
	d := change()
	d.Refs = connector.Refs{"key": "../../admin?x=1#y"}
	if _, err := s.Apply(t.Context(), d, nil); err != nil {
		t.Fatal(err)
	}
	if got := (*came)[0].Path; len(*came) != 1 || got != "/people/..%2F..%2Fadmin%3Fx=1%23y" {
		t.Errorf("went to %s", got)
	}
}

func TestTargetSettingsThatCannotWork(t *testing.T) {
	for _, settings := range []map[string]any{
		{"path": "people"}, {"path": "/{name}"}, {"method": "GET"}, {"idempotency": "Idempotency-Key"}, {"idempotency": "header "},
		{"auth": "bearer"}, {"lookup.path": "/p?x={key}"}, {"ref": "a..b"}, {"query": map[string]string{"a": "{b"}},
	} {
		if _, err := Type.Sink(connector.Account{BaseURL: "https://x.example", Settings: settings}); err == nil {
			t.Errorf("%v is taken", settings)
		}
	}
	if _, err := Type.Sink(connector.Account{}); err == nil {
		t.Error("a target without an address is taken")
	}
}

func TestCheck(t *testing.T) {
	for status, ok := range map[int]bool{200: true, 404: true, 405: true, 401: false, 403: false, 500: false} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		defer server.Close()
		c, err := Type.Check(connector.Account{BaseURL: server.URL})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Check(t.Context()); (err == nil) != ok {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// TestMergePatchLaysTheNewStateOver what was there, for any two (RFC 7396).
func TestMergePatchLaysTheNewStateOver(t *testing.T) {
	var object func(depth int) *rapid.Generator[map[string]any]
	object = func(depth int) *rapid.Generator[map[string]any] {
		return rapid.Custom(func(t *rapid.T) map[string]any {
			out := map[string]any{}
			for i := range rapid.IntRange(0, 4).Draw(t, "members") {
				k := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "k"+strconv.Itoa(i))
				if depth > 0 && rapid.Bool().Draw(t, "deep") {
					out[k] = object(depth-1).Draw(t, "inner")
					continue
				}
				out[k] = rapid.SampledFrom([]any{"x", "y", 1.0, []any{"z"}, nil}).Draw(t, "value")
			}
			return out
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		before, after := object(2).Draw(t, "before"), object(2).Draw(t, "after")
		patch, paths := mergePatch(before, after)
		if (len(patch) == 0) != (len(paths) == 0) {
			t.Fatalf("patch %v touches %v", patch, paths)
		}
		there := merged(nil, before) // null is nothing there
		if d := cmp.Diff(merged(there, after), merged(there, patch)); d != "" {
			t.Fatalf("patch %v (-want +got):\n%s", patch, d)
		}
	})
}

// merged is the procedure of RFC 7396 section 2.
func merged(target any, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	t, _ := target.(map[string]any)
	out := map[string]any{}
	for k, v := range t {
		out[k] = v
	}
	for k, v := range p {
		if v == nil {
			delete(out, k)
			continue
		}
		out[k] = merged(out[k], v)
	}
	return out
}
