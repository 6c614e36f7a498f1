package workday

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connector/sourcetest"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/secret"
)

// world is a tenant and an account on it, with a clock that the test moves.
type world struct {
	t      testing.TB
	now    time.Time
	vendor fake.Vendor
	remote *sourcetest.Remote
	asked  []*http.Request
}

func newWorld(t testing.TB, settings map[string]string) *world {
	w := &world{t: t, now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	w.vendor = Type.Fake(fake.Options{Now: func() time.Time { return w.now }, Settings: settings})
	w.remote = &sourcetest.Remote{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.asked = append(w.asked, r)
		w.vendor.ServeHTTP(rw, r)
	})}
	return w
}

var prompts = map[string]string{"Effective_as_of_Date": "{as_of}", "Entry_Moment": "{moment}", "Changed_Since": "{since}"}

func (w *world) account(settings map[string]any, secrets ...string) connector.Account {
	all := map[string]any{"tenant": "northlight", "report": "ISU_MUSTER/Muster_Workers", "user": "ISU_MUSTER", "page_size": 3, "full_every": 24 * time.Hour, "overlap": 10 * time.Minute}
	maps.Copy(all, settings)
	a := connector.Account{
		Name: "workday", BaseURL: "https://wd3-services1.workday.example", Settings: all, Transport: w.remote,
		Now: func() time.Time { return w.now }, Secrets: map[string]secret.Value{"password": secret.New("p")},
	}
	for i := 0; i+1 < len(secrets); i += 2 {
		a.Secrets[secrets[i]] = secret.New(secrets[i+1])
	}
	return a
}

func (w *world) source(settings map[string]any) *source {
	w.t.Helper()
	s, err := open(w.account(settings))
	if err != nil {
		w.t.Fatal(err)
	}
	if t, ok := w.t.(interface{ Cleanup(func()) }); ok {
		t.Cleanup(func() { s.mu.Lock(); defer s.mu.Unlock(); s.drop() })
	}
	return s
}

func (w *world) do(verb string, args map[string]any) string {
	w.t.Helper()
	out, err := w.vendor.Do(context.Background(), verb, args)
	if err != nil {
		w.t.Fatal(err)
	}
	return out["id"].(string)
}

func (w *world) hire(n int) (ids []string) {
	for i := range n {
		ids = append(ids, w.do("hire", map[string]any{"given": "A", "family": fmt.Sprint("F", i), "start": "2020-01-01", "title": "Welder"}))
	}
	return ids
}

// pages takes every page from a cursor.
func (w *world) pages(s connector.Source, after connector.Cursor) (all []connector.Page, next connector.Cursor) {
	w.t.Helper()
	for range 1000 {
		page, err := s.Changes(context.Background(), after)
		if err != nil {
			w.t.Fatal(err)
		}
		all, after = append(all, page), page.Next
		if !page.More {
			return all, after
		}
	}
	w.t.Fatal("no end")
	return nil, ""
}

func keys(pages ...connector.Page) (all []string) {
	for _, p := range pages {
		for _, r := range p.Records {
			all = append(all, r.Key)
		}
	}
	return all
}

// rows are the records' columns by key.
func rowsOf(t testing.TB, pages []connector.Page) map[string]map[string]any {
	t.Helper()
	out := map[string]map[string]any{}
	for _, p := range pages {
		for _, r := range p.Records {
			var row map[string]any
			if err := json.Unmarshal(r.Body, &row); err != nil || out[r.Key] != nil {
				t.Fatalf("%s: twice, or %v", r.Key, err)
			}
			out[r.Key] = row
		}
	}
	return out
}

func TestSourcePromises(t *testing.T) {
	w := newWorld(t, nil)
	ids := w.hire(7)
	sourcetest.RunSource(t, sourcetest.Source{
		Open: func(t *testing.T, remote *sourcetest.Remote) connector.Source {
			a := w.account(nil)
			a.Transport = remote
			s, err := Type.Source(a)
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		Fake: func(*testing.T) (http.Handler, func()) {
			return w.vendor, func() { w.do("move", map[string]any{"id": ids[2], "title": "X"}) }
		},
		Keys:   ids,
		Change: ids[2],
	})
}

// TestFullRead: pages of a bounded size in one frame, complete only when the
// report was closed; every record has the time at which the read began.
func TestFullRead(t *testing.T) {
	w := newWorld(t, nil)
	ids := w.hire(7)
	s := w.source(map[string]any{"prompts": prompts})
	var got []connector.Page
	after := connector.Cursor("")
	start := w.now
	for more := true; more; {
		page, err := s.Changes(t.Context(), after)
		if err != nil {
			t.Fatal(err)
		}
		got, after, more = append(got, page), page.Next, page.More
		w.now = w.now.Add(time.Minute) // as-of values and versions stay those of the start
	}
	if len(got) != 3 || len(w.asked) != 1 || !slices.Equal(keys(got...), ids) {
		t.Fatalf("%d pages, %d calls, keys %v", len(got), len(w.asked), keys(got...))
	}
	for i, p := range got {
		want := connector.Frame{Read: stamp(start), Begin: i == 0}
		if i == 2 {
			want.End = connector.Complete
		}
		if p.Frame != want || len(p.Records) > 3 {
			t.Errorf("page %d: %+v, %d records", i, p.Frame, len(p.Records))
		}
		for _, r := range p.Records {
			if r.Version != (connector.Version{Scale: connector.ScaleRead, Value: stamp(start)}) || r.ID == "" || r.Partial {
				t.Errorf("record %+v", r)
			}
		}
	}
	q := w.asked[0].URL.Query()
	if q.Get("Effective_as_of_Date") != "2026-03-02" || q.Get("Entry_Moment") != "2026-03-02T09:00:00.000Z" || q.Has("Changed_Since") || q.Get("format") != "json" {
		t.Errorf("asked %v", q)
	}
	if w.asked[0].URL.Path != "/ccx/service/customreport2/northlight/ISU_MUSTER/Muster_Workers" {
		t.Errorf("asked %s", w.asked[0].URL.Path)
	}
}

// TestChangesBetweenFullReads: with a prompt for it only changes are read, a
// little behind the last read, without a frame, until the day is over.
func TestChangesBetweenFullReads(t *testing.T) {
	w := newWorld(t, nil)
	ids := w.hire(7)
	w.now = w.now.Add(time.Hour)
	s := w.source(map[string]any{"prompts": prompts})
	_, after := w.pages(s, "")
	w.now = w.now.Add(time.Hour)
	w.do("move", map[string]any{"id": ids[4], "title": "Foreman"})
	w.now = w.now.Add(time.Hour)
	got, after := w.pages(w.source(map[string]any{"prompts": prompts}), after) // after a restart
	if !slices.Equal(keys(got...), []string{ids[4]}) || got[0].Frame != (connector.Frame{}) {
		t.Errorf("keys %v, frame %+v", keys(got...), got[0].Frame)
	}
	if since := w.asked[len(w.asked)-1].URL.Query().Get("Changed_Since"); since != "2026-03-02T09:50:00.000Z" {
		t.Errorf("asked since %s", since)
	}
	w.now = w.now.Add(5 * time.Minute)
	if got, after = w.pages(s, after); len(keys(got...)) != 0 {
		t.Errorf("keys %v", keys(got...))
	}
	w.now = w.now.Add(22 * time.Hour)
	if got, _ = w.pages(s, after); len(keys(got...)) != 7 || !got[0].Frame.Begin {
		t.Errorf("after a day %d came", len(keys(got...)))
	}
}

// TestHiredAhead: who is hired by then is read as of a later day, once; who
// works today is what he is today.
func TestHiredAhead(t *testing.T) {
	w := newWorld(t, nil)
	ids := w.hire(4)
	soon := w.do("hire", map[string]any{"given": "New", "family": "N", "start": "2026-03-10", "title": "Analyst", "salary": "50000"})
	late := w.do("hire", map[string]any{"given": "Far", "family": "N", "start": "2026-06-01", "title": "Analyst"})
	w.do("terminate", map[string]any{"id": ids[1], "date": "2026-02-10"})
	w.now = w.now.Add(time.Second)
	w.do("rehire", map[string]any{"id": ids[1], "start": "2026-03-05", "title": "Back"})
	w.do("terminate", map[string]any{"id": ids[2], "date": "2026-03-03"}) // works until tomorrow, and comes back
	w.do("rehire", map[string]any{"id": ids[2], "start": "2026-03-08", "title": "Soon back"})
	w.do("move", map[string]any{"id": ids[3], "title": "Planned", "effective": "2026-03-06"})
	w.now = w.now.Add(time.Second)
	s := w.source(map[string]any{"prompts": prompts, "ahead": 14})
	got, _ := w.pages(s, "")
	rows := rowsOf(t, got)
	if len(rows) != 6 || len(w.asked) != 2 || w.asked[0].URL.Query().Get("Effective_as_of_Date") != "2026-03-16" {
		t.Fatalf("%d rows, %d calls", len(rows), len(w.asked))
	}
	title := func(id string) any {
		group, _ := rows[id]["All_Positions_group"].([]any)
		if len(group) == 0 {
			return nil
		}
		return group[0].(map[string]any)["Business_Title"]
	}
	for id, want := range map[string]any{soon: "Analyst", late: nil, ids[0]: "Welder", ids[1]: "Back", ids[2]: "Welder", ids[3]: "Welder"} {
		if title(id) != want {
			t.Errorf("%s: title %v, want %v", id, title(id), want)
		}
	}
	if rows[ids[2]]["Active"] != "1" || rows[ids[1]]["Hire_Date"] != "2026-03-05" {
		t.Errorf("%v %v", rows[ids[2]], rows[ids[1]])
	}
	if end := got[len(got)-1].Frame.End; end != connector.Complete {
		t.Errorf("it ended %s", end)
	}
	// A report that lists nobody who has not started: they come behind the others.
	w.now = w.now.Add(48 * time.Hour)
	w.remote.Answer = func(r *http.Request) *http.Response {
		if r.URL.Query().Get("Effective_as_of_Date") == "2026-03-18" {
			return nil
		}
		return sourcetest.Says(200, `{"Report_Entry":[{"WID":"`+ids[0]+`","Active":"1"}]}`)(r)
	}
	got, _ = w.pages(s, "")
	if got := keys(got...); len(got) != 4 || got[0] != ids[0] || !slices.Contains(got, soon) || slices.Contains(got, late) {
		t.Errorf("keys %v", got)
	}
}

// TestAChangeOfWhoIsHiredAhead is read as of the later day as well: as of today
// somebody who comes back is still the leaver that he was.
func TestAChangeOfWhoIsHiredAhead(t *testing.T) {
	w := newWorld(t, nil)
	ids := w.hire(2)
	w.do("terminate", map[string]any{"id": ids[1], "date": "2026-02-10"})
	w.now = w.now.Add(time.Second)
	w.do("rehire", map[string]any{"id": ids[1], "start": "2026-03-05", "title": "Back"})
	w.now = w.now.Add(time.Hour)
	s := w.source(map[string]any{"prompts": prompts, "ahead": 14})
	_, after := w.pages(s, "")
	w.now = w.now.Add(time.Hour)
	w.do("raise", map[string]any{"id": ids[1], "amount": "50000", "effective": "2026-03-05"})
	w.now = w.now.Add(time.Minute)
	got, _ := w.pages(s, after)
	if !slices.Equal(keys(got...), ids[1:]) || got[0].Frame != (connector.Frame{}) {
		t.Fatalf("keys %v, frame %+v", keys(got...), got[0].Frame)
	}
	row := rowsOf(t, got)[ids[1]]
	if row["Worker_Status"] != "Active" || row["Hire_Date"] != "2026-03-05" || row["Base_Pay"] != "50000" {
		t.Errorf("row %v", row)
	}
	for _, call := range w.asked[2:] {
		if since := call.URL.Query().Get("Changed_Since"); since != "2026-03-02T09:50:01.000Z" {
			t.Errorf("asked since %q", since)
		}
	}
}

// whole is a report of n people as text.
func whole(n int) string {
	var b strings.Builder
	b.WriteString(`{"Report_Entry":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"WID":"w%d","Legal_Last_Name":"Planted"}`, i)
	}
	b.WriteString(`]}`)
	return b.String()
}

// TestCutOff at any byte: what came is given on, the read has failed and says
// why with the next call, and then it begins again as another read. Never is
// it complete.
func TestCutOff(t *testing.T) {
	body := whole(8)
	for at := range len(body) {
		w := newWorld(t, nil)
		s := w.source(nil)
		w.remote.Answer = sourcetest.Says(200, body[:at])
		after, err := connector.Cursor(""), error(nil)
		var last connector.Page
		n := 0
		for range 10 {
			var page connector.Page
			if page, err = s.Changes(t.Context(), after); err != nil {
				break
			}
			n += len(page.Records)
			last, after = page, page.Next
			if page.Frame.End == connector.Complete || !page.More {
				t.Fatalf("cut at %d: %+v, more %t", at, page.Frame, page.More)
			}
		}
		if f := fault.Of(err); f == nil || f.Class != fault.Transient || f.Reason != "cut_off" || strings.Contains(err.Error(), "Planted") {
			t.Fatalf("cut at %d: %v", at, err)
		}
		if want := strings.Count(body[:at], `"}`); n != want || n > 0 && last.Frame.End != connector.Failed {
			t.Fatalf("cut at %d: %d records, want %d; it ended %q", at, n, want, last.Frame.End)
		}
		w.remote.Answer = sourcetest.Says(200, body)
		w.now = w.now.Add(time.Minute)
		got, _ := w.pages(s, after)
		if !got[0].Frame.Begin || got[0].Frame.Read == last.Frame.Read || len(keys(got...)) != 8 || got[len(got)-1].Frame.End != connector.Complete {
			t.Fatalf("cut at %d: the next read %+v", at, got[0].Frame)
		}
	}
}

// TestRestartInTheMiddle: an open report cannot be found again, so the read
// begins anew and the other one is replaced. Equal rows of equal reads are
// records of equal ids.
func TestRestartInTheMiddle(t *testing.T) {
	w := newWorld(t, nil)
	w.remote.Answer = sourcetest.Says(200, whole(8))
	first, err := w.source(nil).Changes(t.Context(), "")
	if err != nil || !first.More {
		t.Fatal(err)
	}
	again, err := w.source(nil).Changes(t.Context(), "") // the page was lost with its cursor
	if err != nil || !slices.EqualFunc(first.Records, again.Records, func(a, b connector.Record) bool { return a.ID == b.ID }) {
		t.Errorf("the same page came with other ids (%v)", err)
	}
	w.now = w.now.Add(time.Minute)
	got, _ := w.pages(w.source(nil), first.Next)
	if len(keys(got...)) != 8 || !got[0].Frame.Begin || got[0].Frame.Read == first.Frame.Read || got[0].Records[0].ID == first.Records[0].ID {
		t.Errorf("%d records, frame %+v", len(keys(got...)), got[0].Frame)
	}
}

// TestRowsThatAreNone are listed with their place, and the read is not
// complete; a report without the key column, or with too many such rows, is the
// account's fault.
func TestRowsThatAreNone(t *testing.T) {
	row := func(wid string) string { return `{"WID":"` + wid + `"}` }
	for name, c := range map[string]struct {
		rows    []string
		records int
		reasons []string
		end     connector.Ending
		fault   string
	}{
		"a key twice":      {[]string{row("1"), row("2"), row("1")}, 2, []string{"duplicate_key"}, connector.Partial, ""},
		"no key":           {[]string{row("1"), `{"x":"1"}`, `{"WID":""}`, `{"WID":7}`}, 1, []string{"no_key", "no_key", "no_key"}, connector.Partial, ""},
		"no object":        {[]string{row("1"), `"x"`, `null`, `[]`}, 1, []string{"not_an_object", "not_an_object", "not_an_object"}, connector.Partial, ""},
		"no key column":    {[]string{`{"Employee_ID":"1"}`}, 0, nil, "", "key_column"},
		"too many":         {[]string{row("1"), row("1"), row("1"), row("1"), row("1")}, 1, []string{"duplicate_key", "duplicate_key"}, connector.Failed, "refused"},
		"nobody":           {nil, 0, nil, connector.Partial, ""},
		"all is as it was": {[]string{row("1")}, 1, nil, connector.Complete, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.remote.Answer = sourcetest.Says(200, `{"other":{"a":[1]},"Report_Entry":[`+strings.Join(c.rows, ",")+`],"Report_Count":3}`)
			s := w.source(map[string]any{"max_refused": 3, "page_size": 2})
			var records int
			var reasons []string
			var end connector.Ending
			after, err := connector.Cursor(""), error(nil)
			for more := true; more && err == nil; {
				var page connector.Page
				page, err = s.Changes(t.Context(), after)
				more, after = page.More, page.Next
				records += len(page.Records)
				end = page.Frame.End
				for _, r := range page.Rejected {
					reasons = append(reasons, r.Reason)
					if !strings.HasPrefix(r.Path, "Report_Entry[") || r.ID == "" {
						t.Errorf("%+v", r)
					}
				}
			}
			if c.fault != "" {
				if fault.Reason(err) != c.fault || fault.Of(err).Class != fault.Target {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil || records != c.records || !slices.Equal(reasons, c.reasons) || end != c.end {
				t.Errorf("%d records, %v, ended %q, %v", records, reasons, end, err)
			}
		})
	}
}

// TestErrors: whatever is refused is the account's to mend, and no text quotes
// the answer.
func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		class  fault.Class
		reason string
	}{
		"no report":       {404, "planted", fault.Target, "report"},
		"prompts":         {400, "planted", fault.Target, "prompts"},
		"rights":          {403, "planted", fault.Target, "permission"},
		"another refusal": {405, "planted", fault.Target, "status_405"},
		"processing":      {500, "planted", fault.Transient, "status_500"},
		"another shape":   {200, `{"error":"planted"}`, fault.Transient, "answer"},
		"a list":          {200, `[{"WID":"planted"}]`, fault.Transient, "answer"},
		"no list":         {200, `{"Report_Entry":"planted"}`, fault.Transient, "answer"},
		"more behind it":  {200, `{"Report_Entry":[]} planted`, fault.Transient, "answer"},
		"a long row":      {200, `{"Report_Entry":[{"WID":"` + strings.Repeat("planted", 9000) + `"}]}`, fault.Target, "too_large"},
	} {
		w := newWorld(t, nil)
		w.remote.Answer = sourcetest.Says(c.status, c.body)
		_, err := w.source(map[string]any{"max_row": 10_000}).Changes(t.Context(), "")
		if f := fault.Of(err); f == nil || f.Class != c.class || f.Reason != c.reason || strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSettingsAreChecked(t *testing.T) {
	w := newWorld(t, nil)
	for name, change := range map[string]func(*connector.Account){
		"no address":       func(a *connector.Account) { a.BaseURL = "" },
		"no credential":    func(a *connector.Account) { a.Secrets = nil },
		"two credentials":  func(a *connector.Account) { maps.Copy(a.Secrets, oauth) },
		"half an OAuth":    func(a *connector.Account) { a.Secrets = map[string]secret.Value{"client_id": secret.New("c")} },
		"report":           func(a *connector.Account) { a.Settings["report"] = "Muster_Workers" },
		"report with more": func(a *connector.Account) { a.Settings["report"] = "a/b/c" },
		"tenant":           func(a *connector.Account) { a.Settings["tenant"] = "a/../b" },
		"placeholder":      func(a *connector.Account) { a.Settings["prompts"] = map[string]string{"x": "{today}"} },
		"zone":             func(a *connector.Account) { a.Settings["zone"] = "Mars/Olympus" },
		"ahead":            func(a *connector.Account) { a.Settings["ahead"] = 7 },
	} {
		a := w.account(nil)
		change(&a)
		if _, err := Type.Source(a); err == nil || !strings.HasPrefix(err.Error(), "workday: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.source(nil).Changes(t.Context(), "yesterday"); fault.Of(err).Class != fault.Target {
		t.Errorf("a broken cursor: %v", err)
	}
	if _, err := w.source(nil).Changes(t.Context(), `{"mark":"yesterday"}`); fault.Of(err).Class != fault.Target {
		t.Errorf("a broken mark: %v", err)
	}
}

// TestAsOfDayIsThatOfTheZone, not of the machine.
func TestAsOfDayIsThatOfTheZone(t *testing.T) {
	w := newWorld(t, nil)
	w.hire(1)
	w.now = time.Date(2026, 3, 2, 23, 30, 0, 0, time.UTC)
	w.pages(w.source(map[string]any{"prompts": prompts, "zone": "Asia/Tokyo"}), "")
	if got := w.asked[0].URL.Query().Get("Effective_as_of_Date"); got != "2026-03-03" {
		t.Errorf("asked as of %s", got)
	}
}

// TestSampleReport: the documented example, from the wire and as it was saved.
func TestSampleReport(t *testing.T) {
	body, err := os.ReadFile(filepath.Join("testdata", "vendor", "raas-report.json"))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, nil)
	w.remote.Answer = sourcetest.Says(200, string(body))
	got, _ := w.pages(w.source(nil), "")
	want := []string{"3aa5550b7fe348b98d7b5741afc65534", "0e44c92412d34b01ace61e80a47aaf6d"}
	if !slices.Equal(keys(got...), want) {
		t.Errorf("keys %v", keys(got...))
	}
	a, err := Type.Answers(connector.Account{})
	if err != nil {
		t.Fatal(err)
	}
	saved, err := a.OpenAnswer(body, w.now)
	if err != nil || len(saved) != 2 || saved[0].ID != got[0].Records[0].ID || saved[0].Key != want[0] {
		t.Errorf("saved: %d, %v", len(saved), err)
	}
	for _, bad := range []string{string(body[:len(body)-5]), `{}`, `{"Report_Entry":[{"Employee_ID":"1"}]}`} {
		if _, err := a.OpenAnswer([]byte(bad), w.now); fault.Of(err) == nil || fault.Of(err).Class != fault.Record {
			t.Errorf("%.20s: %v", bad, err)
		}
	}
}

// TestReadOutlivesItsCalls and ends with the context of the one that runs.
func TestReadOutlivesItsCalls(t *testing.T) {
	w := newWorld(t, nil)
	w.hire(7)
	s := w.source(nil)
	ctx, cancel := context.WithCancel(t.Context())
	first, err := s.Changes(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if got, _ := w.pages(s, first.Next); got[0].Frame.Begin || len(keys(got...)) != 4 {
		t.Errorf("%+v", got[0].Frame)
	}
	r, hang := io.Pipe()
	defer hang.Close()
	w.remote.Answer = func(req *http.Request) *http.Response {
		go func() { <-req.Context().Done(); _ = r.CloseWithError(req.Context().Err()) }()
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: r}
	}
	ctx, cancel = context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := s.Changes(ctx, ""); done <- err }()
	if _, err := io.WriteString(hang, `{"Report_Entry":[{"WID":"1"},`); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; fault.Reason(err) != "canceled" {
		t.Errorf("error %v", err)
	}
}
