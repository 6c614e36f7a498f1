package bamboohr

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connector/sourcetest"
	"github.com/muster-hr/muster/libs/fault"
)

func reading(t testing.TB, r *sourcetest.Remote, settings map[string]any) connector.Reader {
	t.Helper()
	reader, err := Type.Reader(account(r, settings))
	if err != nil {
		t.Fatal(err)
	}
	return reader
}

func TestReaderPromises(t *testing.T) {
	sourcetest.RunReader(t, sourcetest.Reader{
		Open: func(t *testing.T, r *sourcetest.Remote) connector.Reader { return reading(t, r, nil) },
		Fake: func(t *testing.T) http.Handler {
			v := vendor(map[string]string{"next_id": "4117"})
			do(t, v, "hire", map[string]any{"given": "Siobhán", "family": "O'Dwyer", "salary": "72000", "currency": "EUR"})
			return v
		},
		Known: "4117", Unknown: "999999", Now: now,
	})
}

func TestReadAssemblesTheTables(t *testing.T) {
	v := vendor(nil)
	id := do(t, v, "hire", map[string]any{"given": "A", "family": "B", "start": "2026-01-01", "title": "T", "department": "Risk", "salary": "100", "currency": "EUR"})
	do(t, v, "move", map[string]any{"id": id, "department": "Pricing"})
	rec, err := reading(t, remote(v), nil).Read(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	tables, _ := decode(t, rec.Body)["tables"].(map[string]any)
	rows, _ := tables["jobInfo"].([]any)
	var got []string
	for _, r := range rows {
		row := r.(map[string]any)
		got = append(got, row["date"].(string)+" "+row["department"].(string))
	}
	if want := []string{"2026-01-01 Risk", "2026-03-02 Pricing"}; !slices.Equal(got, want) {
		t.Errorf("rows %v, want %v in the order of their days", got, want)
	}
	if len(tables["employmentStatus"].([]any)) != 1 || len(tables["compensation"].([]any)) != 1 {
		t.Errorf("tables %v", tables)
	}
}

// Somebody who has not started has a title only when future values are asked for.
func TestReadOfSomebodyWhoHasNotStarted(t *testing.T) {
	v := vendor(nil)
	id := do(t, v, "hire", map[string]any{"given": "A", "family": "B", "start": "2026-03-09", "title": "Engineer"})
	for name, c := range map[string]struct {
		tables []string
		title  any
	}{
		"all tables, so planned values are wanted":   {nil, "Engineer"},
		"one table, so flat values must be in force": {[]string{tableJob}, nil},
	} {
		settings := map[string]any{"our_id_field": "customMusterId"}
		if c.tables != nil {
			settings["tables"] = c.tables
		}
		rec, err := reading(t, remote(v), settings).Read(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if got := decode(t, rec.Body)["jobTitle"]; got != c.title {
			t.Errorf("%s: title %v, want %v", name, got, c.title)
		}
	}
}

// A field without permission is left out by the vendor, and is not said to be
// empty by us.
func TestHiddenFieldsAreAbsent(t *testing.T) {
	v := vendor(map[string]string{"hidden_fields": "ssn,payRate"})
	id := do(t, v, "hire", map[string]any{"given": "A", "family": "B"})
	rec, err := reading(t, remote(v), nil).Read(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	body := decode(t, rec.Body)
	for name, want := range map[string]bool{"ssn": false, "payRate": false, "nin": true, "firstName": true} {
		if _, has := body[name]; has != want {
			t.Errorf("%s: present %v, want %v", name, has, want)
		}
	}
}

func TestReadFailures(t *testing.T) {
	v := vendor(map[string]string{"forbidden_employees": "4133"})
	do(t, v, "hire", map[string]any{"given": "A", "family": "B"})
	id := do(t, v, "hire", map[string]any{"given": "C", "family": "D"})
	for name, c := range map[string]struct {
		key    string
		answer func(*http.Request) *http.Response
		class  fault.Class
		reason string
	}{
		"an employee that the key may not see is that employee's": {id, nil, fault.Record, "forbidden"},
		"0 is the owner of the key":                               {"0", nil, fault.Record, "key"},
		"a path is no key":                                        {"../webhooks", nil, fault.Record, "key"},
		"somebody else's answer":                                  {"4132", sourcetest.Says(200, `{"id":"4133"}`), fault.Transient, "answer"},
		"a company that is not there":                             {"4132", sourcetest.Says(404, ""), fault.Target, "account"},
		"a table that is gone": {"4132", func(r *http.Request) *http.Response {
			if strings.Contains(r.URL.Path, "/tables/") {
				return sourcetest.Says(404, "", messageHeader, "no")(r)
			}
			return nil
		}, fault.Transient, "table"},
		"a table that may not be seen": {"4132", func(r *http.Request) *http.Response {
			if strings.HasSuffix(r.URL.Path, "/tables/compensation") {
				return sourcetest.Says(403, "", messageHeader, "no")(r)
			}
			return nil
		}, fault.Target, "permission"},
	} {
		rec, err := reading(t, &sourcetest.Remote{Handler: v, Answer: c.answer}, nil).Read(t.Context(), c.key)
		f := fault.Of(err)
		if f == nil || f.Class != c.class || f.Reason != c.reason || rec.Deleted {
			t.Errorf("%s: %v, want %s %s", name, err, c.class, c.reason)
		}
	}
}

// The vendor explains errors in a header that may quote values.
func TestErrorsDoNotQuoteTheVendor(t *testing.T) {
	for _, status := range []int{400, 403, 404, 409, 412, 429, 500, 503} {
		f := classify(status, http.Header{http.CanonicalHeaderKey(messageHeader): {"The email ola@x.example is already in use"}}, []byte("ola@x.example"), now)
		if f == nil || strings.Contains(f.Error(), "ola@") || !strings.Contains(f.Error(), "explanation of 41 characters") {
			t.Errorf("%d: %v", status, f)
		}
	}
	if f := classify(200, nil, nil, now); f != nil {
		t.Errorf("200: %v", f)
	}
}

func TestSourcePromises(t *testing.T) {
	sourcetest.RunSource(t, sourcetest.Source{
		Open: func(t *testing.T, r *sourcetest.Remote) connector.Source { return changes(t, r) },
		Fake: func(t *testing.T) (http.Handler, func()) {
			v := vendor(map[string]string{"next_id": "1"})
			do(t, v, "hire", map[string]any{"given": "A", "family": "B"})
			do(t, v, "hire", map[string]any{"given": "C", "family": "D"})
			return v, func() { do(t, v, "move", map[string]any{"id": "2", "department": "X"}) }
		},
		Keys: []string{"1", "2"}, Change: "2",
	})
}

func changes(t testing.TB, r *sourcetest.Remote) connector.Source {
	t.Helper()
	s, err := Type.Source(account(r, nil))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCursor(t *testing.T) {
	var since string
	answering := func(body string) *sourcetest.Remote {
		return &sourcetest.Remote{Answer: func(r *http.Request) *http.Response {
			since = r.URL.Query().Get("since")
			return sourcetest.Says(200, body)(r)
		}}
	}
	for name, c := range map[string]struct {
		after, body, since, next string
		keys                     []string
	}{
		"reaches back behind the mark": {"2026-03-05T16:40:00Z", string(sample(t, "employees-changed.json")), "2026-03-05T16:39:00Z", "2026-03-05T16:40:00Z", []string{"4117", "4131", "4002"}},
		"from the beginning":           {"", string(sample(t, "employees-changed.json")), "1970-01-02T00:00:00Z", "2026-03-05T16:40:00Z", []string{"4117", "4131", "4002"}},
		"an empty map is a list":       {"2026-03-05T16:40:00Z", `{"latest":"2026-03-05T16:41:00+00:00","employees":[]}`, "2026-03-05T16:39:00Z", "2026-03-05T16:41:00Z", nil},
		"never back":                   {"2026-03-05T16:40:00Z", `{"latest":"2026-03-05T10:00:00+00:00","employees":{}}`, "2026-03-05T16:39:00Z", "2026-03-05T16:40:00Z", nil},
		"no mark":                      {"2026-03-05T16:40:00Z", `{"employees":null}`, "2026-03-05T16:39:00Z", "2026-03-05T16:40:00Z", nil},
		"another zone":                 {"", `{"latest":"2026-03-05T18:00:00+02:00"}`, "1970-01-02T00:00:00Z", "2026-03-05T16:00:00Z", nil},
	} {
		page, err := changes(t, answering(c.body)).Changes(t.Context(), connector.Cursor(c.after))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var keys []string
		for _, r := range page.Records {
			keys = append(keys, r.Key)
			if r.Kind != connector.KindHint || r.Version.Scale != connector.ScaleTime || r.ID == "" {
				t.Errorf("%s: %+v", name, r)
			}
		}
		if since != c.since || string(page.Next) != c.next || page.More || !slices.Equal(keys, c.keys) {
			t.Errorf("%s: since %s, next %s, keys %v", name, since, page.Next, keys)
		}
	}
	if _, err := changes(t, answering("{}")).Changes(context.Background(), "yesterday"); fault.Of(err).Class != fault.Target {
		t.Errorf("a broken cursor: %v", err)
	}
}

func TestOpenAnswer(t *testing.T) {
	a, err := Type.Answers(connector.Account{})
	if err != nil {
		t.Fatal(err)
	}
	read := connector.Version{Scale: connector.ScaleRead, Value: now.Format(time.RFC3339)}
	for name, want := range map[string][]connector.Record{
		"employee.json":               {{Kind: connector.KindRecord, Key: "4117", Version: read}},
		"table-jobInfo.json":          {{Kind: connector.KindRecord, Key: "4117", Version: read, Partial: true}},
		"table-employmentStatus.json": {{Kind: connector.KindRecord, Key: "4117", Version: read, Partial: true}},
		"table-compensation.json":     {{Kind: connector.KindRecord, Key: "4117", Version: read, Partial: true}},
		"employees-changed-tables-jobInfo.json": {{Kind: connector.KindRecord, Key: "4117", Partial: true,
			Version: connector.Version{Scale: connector.ScaleTime, Value: "2026-03-02T09:15:27Z"}}},
		"employees-changed.json": {
			{Kind: connector.KindHint, Key: "4117", Event: "employee.updated", Version: connector.Version{Scale: connector.ScaleTime, Value: "2026-03-02T09:15:27Z"}},
			{Kind: connector.KindHint, Key: "4131", Event: "employee.created", Version: connector.Version{Scale: connector.ScaleTime, Value: "2026-03-02T09:15:27Z"}},
			{Kind: connector.KindHint, Key: "4002", Event: "employee.deleted", Version: connector.Version{Scale: connector.ScaleTime, Value: "2026-03-05T16:40:00Z"}},
		},
	} {
		got, err := a.OpenAnswer(sample(t, name), now)
		if err != nil || len(got) != len(want) {
			t.Errorf("%s: %d records, %v", name, len(got), err)
			continue
		}
		for i, w := range want {
			g := got[i]
			if g.Kind != w.Kind || g.Key != w.Key || g.Event != w.Event || g.Version != w.Version || g.Partial != w.Partial {
				t.Errorf("%s: %+v, want %+v", name, g, w)
			}
		}
	}
	for _, bad := range []string{"", "null", "{}", "[", "[1]", `[{"employeeId":"1"}]`, `[{"id":"1","jobTitle":"x"}]`, `{"id":"0"}`, `{"latest":1}`, `{"latest":"","employees":{"x":{}}}`, `{"latest":"","employees":3}`, `{"table":"t","employees":{"x":{}}}`, "<html>"} {
		if _, err := a.OpenAnswer([]byte(bad), now); err == nil || fault.Of(err).Class != fault.Record {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if recs, err := a.OpenAnswer([]byte("[]"), now); err != nil || len(recs) != 0 {
		t.Errorf("no rows: %v %v", recs, err)
	}
}

func FuzzOpenAnswer(f *testing.F) {
	for _, name := range []string{"employee.json", "table-jobInfo.json", "table-employmentStatus.json", "table-compensation.json", "employees-changed.json", "employees-changed-tables-jobInfo.json"} {
		f.Add(sample(f, name))
	}
	a, err := Type.Answers(connector.Account{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		recs, err := a.OpenAnswer(body, now)
		if err != nil && (fault.Of(err).Class != fault.Record || len(recs) > 0) {
			t.Errorf("%d records, %v", len(recs), err)
		}
		for _, r := range recs {
			if !isID(r.Key) || r.ID == "" {
				t.Errorf("record %+v", r)
			}
		}
	})
}

// TestWhoChangedIsRead: of many only those who changed since the mark are
// listed, at the mark's own second too; one who was deleted is read as gone.
func TestWhoChangedIsRead(t *testing.T) {
	at := now
	v := Type.Fake(fake.Options{Now: func() time.Time { return at }, Settings: map[string]string{"next_id": "1"}})
	for i := range 30 {
		do(t, v, "hire", map[string]any{"given": "A", "family": strconv.Itoa(i)})
	}
	remote := &sourcetest.Remote{Handler: v}
	page, err := changes(t, remote).Changes(t.Context(), "")
	if err != nil || len(page.Records) != 30 {
		t.Fatalf("%d of 30, %v", len(page.Records), err)
	}
	do(t, v, "move", map[string]any{"id": "3", "department": "X"}) // in the same second as the mark
	at = at.Add(time.Hour)
	mark := connector.Cursor(at.UTC().Format(time.RFC3339))
	do(t, v, "move", map[string]any{"id": "7", "department": "X"})
	do(t, v, "delete", map[string]any{"id": "9"})
	for _, c := range []struct {
		after connector.Cursor
		want  map[string]string
	}{
		{mark, map[string]string{"7": "employee.updated", "9": "employee.deleted"}},
		{connector.Cursor(now.Add(2 * time.Minute).UTC().Format(time.RFC3339)), map[string]string{"7": "employee.updated", "9": "employee.deleted"}},
	} {
		page, err := changes(t, remote).Changes(t.Context(), c.after)
		got := map[string]string{}
		for _, r := range page.Records {
			got[r.Key] = r.Event
		}
		if err != nil || !maps.Equal(got, c.want) || page.Next != mark {
			t.Errorf("after %s: %v, next %s, %v", c.after, got, page.Next, err)
		}
	}
	if again, err := changes(t, remote).Changes(t.Context(), page.Next); err != nil || !slices.ContainsFunc(again.Records, func(r connector.Record) bool { return r.Key == "3" }) {
		t.Errorf("a change at the mark's second was missed (%v)", err)
	}
	r, err := Type.Reader(account(remote, nil))
	if err != nil {
		t.Fatal(err)
	}
	if rec, err := r.Read(t.Context(), "9"); err != nil || !rec.Deleted {
		t.Errorf("the deleted one is %+v, %v", rec, err)
	}
}

// TestCovers: hints about other tables are read one by one, however many wait.
func TestCovers(t *testing.T) {
	for want, settings := range map[bool]map[string]any{
		true:  {"tables": []string{"jobInfo"}},
		false: {"tables": []string{"jobInfo", "customEquipment"}},
	} {
		s, err := Type.Source(account(&sourcetest.Remote{}, settings))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.(connector.Covers).Covers(); got != want {
			t.Errorf("%v: covers %t", settings, got)
		}
	}
}
