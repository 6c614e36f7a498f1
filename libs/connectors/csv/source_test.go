package csv

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	vendorfake "github.com/muster-hr/muster/libs/connectors/csv/fake"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/secret"
	"github.com/muster-hr/muster/libs/testkit/sshd"
)

// world is a source at a faked server, and what the poller remembers of it.
type world struct {
	t       *testing.T
	account connector.Account
	vendor  fake.Listener
	faults  *fake.Faults
	now     time.Time
	source  connector.Source
	cursor  connector.Cursor
	gets    int // pages of the last sweep
}

func newWorld(t *testing.T, kv ...any) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), faults: &fake.Faults{}}
	all := settings(append([]any{
		"user", "hub", "host_key", []string{vendorfake.HostKey()}, "stable_for", time.Duration(0), "folder", "out", "archive", "taken",
		"name", "R_{sequence}.csv", "max_rejected_percent", 100,
	}, kv...)...)
	texts := map[string]string{}
	for name, v := range all {
		if s, ok := v.(string); ok {
			texts[name] = s
		}
	}
	clock := func() time.Time { return w.now }
	vendor, ok := vendorfake.New(fake.Options{Now: clock, Settings: texts}).(fake.Listener)
	if !ok {
		t.Fatal("the fake does not listen")
	}
	w.vendor = vendor
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- vendor.Serve(ctx, l, w.faults) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	w.account = connector.Account{
		BaseURL: "sftp://" + l.Addr().String(), Settings: all, Now: clock,
		Secrets: map[string]secret.Value{"private_key": secret.New(vendorfake.ClientKey())},
	}
	w.restart()
	return w
}

// restart is a new process with the same cursor.
func (w *world) restart() {
	w.t.Helper()
	var err error
	if w.source, err = Type.Source(w.account); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) drop(name, text string) {
	w.t.Helper()
	if _, err := w.vendor.Do(w.t.Context(), "drop", map[string]any{"name": name, "text": text}); err != nil {
		w.t.Fatal(err)
	}
}

// page is one call; the cursor is not remembered yet.
func (w *world) page() connector.Page {
	w.t.Helper()
	p, err := w.source.Changes(w.t.Context(), w.cursor)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// sweep takes all pages, as the poller does, and lists what came: records by
// key and version, rejected things, and the frame's letters.
func (w *world) sweep() (out []string) {
	w.t.Helper()
	for w.gets = 1; ; w.gets++ {
		p := w.page()
		if p.Frame.Begin {
			out = append(out, "begin")
		}
		for _, r := range p.Rejected {
			out = append(out, strings.TrimSpace("! "+r.Reason+" "+r.Path))
		}
		for _, r := range p.Records {
			out = append(out, r.Key+"@"+r.Version.Value)
		}
		if p.Frame.End != "" {
			out = append(out, string(p.Frame.End))
		}
		w.cursor = p.Next
		if !p.More {
			return out
		}
		if w.gets > 50 {
			w.t.Fatal("it has no end")
		}
	}
}

func (w *world) expect(what string, want ...string) {
	w.t.Helper()
	if got := w.sweep(); !slices.Equal(got, want) {
		w.t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// files are the names on the server.
func (w *world) files() (out []string) {
	people, _ := w.vendor.Log().State()
	for name := range people {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

const header = "id,given\n"

// TestRoster: a full file is a framed read in pages, archived behind its last
// page and never taken again.
func TestRoster(t *testing.T) {
	w := newWorld(t, "page_size", 2)
	w.expect("nothing is there")
	w.drop("R_0007.csv", header+"1,Ada\n2,Ben\n3,Cem\n")
	w.expect("a roster", "begin", "1@7", "2@7", "3@7", "complete")
	if got := w.files(); !slices.Equal(got, []string{"/taken/R_0007.csv"}) {
		t.Errorf("files %v", got)
	}
	w.expect("it is done")
	w.drop("R_0008.csv", header+"1,Ada\n2\n3,Cem\n")
	w.expect("somebody cannot be read", "begin", "! too_few_fields lines[3]", "1@8", "3@8", "partial")
	w.drop("R_0009.csv", header)
	w.expect("an empty one says nothing", "begin", "! no_rows", "failed")
	w.expect("and is not looked into again")
	w.restart()
	w.drop("R_0009.csv", header+"1,Ada\n")
	w.expect("a corrected one may have its number", "begin", "1@9", "complete")
	if strings.Contains(string(w.cursor), "R_00") {
		t.Errorf("the cursor shows a name: %s", w.cursor)
	}
}

// TestSameAgain: by hash and by sequence, not by name.
func TestSameAgain(t *testing.T) {
	w := newWorld(t, "kind", changed)
	w.drop("R_5.csv", header+"1,Ada\n")
	w.expect("the first", "1@5")
	w.drop("R_5.csv", header+"1,Ada\n")
	w.expect("the same again")
	w.drop("R_6.csv", header+"1,Ada\n")
	w.expect("the same with the next number")
	w.drop("R_7.csv", header+"1,Eva\n")
	w.expect("which counts", "1@7")
	w.drop("R_7.csv", header+"1,Eve\n")
	w.expect("a number twice", "! sequence_reused")
	w.drop("R_4.csv", header+"1,Old\n")
	w.expect("an old one", "! sequence_old")
	w.drop("R_9.csv", header+"1,Far\n")
	w.expect("one is missing", "! gap")
	w.restart()
	w.expect("it waits, and that was told")
	w.drop("R_8.csv", header+"2,Mid\n")
	w.expect("both, in order", "2@8", "1@9")

	w.drop("R_10.csv", header+"1,Eva\n")
	w.expect("said before, and something else since", "1@10")
	w.drop("R_9.csv", header+"1,Far\n")
	w.expect("one from before that again")
	w.drop("R_11.csv", header+"1,Far\n")
	w.expect("which is a change by now", "1@11")

	full := newWorld(t)
	full.drop("R_5.csv", header+"1,Ada\n")
	full.expect("a roster", "begin", "1@5", "complete")
	full.drop("R_6.csv", header+"1,Ada\n")
	full.expect("an equal one is a second look", "begin", "1@6", "complete")
	full.drop("R_8.csv", header+"1,Ada\n")
	full.expect("the newest is what counts", "begin", "! gap", "1@8", "complete")
}

// TestWhole: a file is taken once it has not changed for a while and its
// companions are there; they go with it.
func TestWhole(t *testing.T) {
	w := newWorld(t, "stable_for", time.Minute, "marker", "{name}.done", "kind", changed)
	w.drop("R_1.csv", header+"1,A")
	w.drop("R_1.done", "")
	w.expect("first look")
	w.now = w.now.Add(50 * time.Second)
	w.drop("R_1.csv", header+"1,Ada\n")
	w.now = w.now.Add(50 * time.Second)
	w.expect("it has grown")
	w.now = w.now.Add(time.Minute)
	w.restart()
	w.expect("it stands", "1@1")
	if got := w.files(); !slices.Equal(got, []string{"/taken/R_1.csv", "/taken/R_1.done"}) {
		t.Errorf("files %v", got)
	}
	w.drop("R_2.csv", header+"1,Eva\n")
	w.expect("no marker")
	w.drop("R_3.csv", header+"1,Eve\n")
	w.drop("R_3.done", "")
	w.now = w.now.Add(2 * time.Hour)
	w.expect("nobody overtakes it, and somebody is told", "! incomplete")
	w.expect("once")
}

// TestDatesInOrder: names with a day tell the order as well, and a file that is
// not whole yet is not overtaken: it would be refused as old.
func TestDatesInOrder(t *testing.T) {
	w := newWorld(t, "kind", changed, "name", "R_{date}.csv", "marker", "{name}.done")
	w.drop("R_20260301.csv", header+"1,Ada\n")
	w.drop("R_20260302.csv", header+"1,Eva\n")
	w.drop("R_20260302.done", "")
	w.expect("the first has no marker")
	w.drop("R_20260301.done", "")
	w.expect("both, in order", "1@20260301", "1@20260302")
}

// TestAnotherUnderTheName: a file that was laid down while the one before it was
// being read is neither archived nor deleted unread.
func TestAnotherUnderTheName(t *testing.T) {
	for _, put := range []string{"archive", "delete"} {
		t.Run(put, func(t *testing.T) {
			w := newWorld(t, "kind", changed, "name", "roster.csv")
			if put == "delete" {
				w.account.Settings["archive"], w.account.Settings["delete"] = "", true
				w.restart()
			}
			w.drop("roster.csv", header+"1,Ada\n")
			p := w.page()
			if len(p.Records) != 1 {
				t.Fatalf("got %+v", p)
			}
			w.cursor, w.now = p.Next, w.now.Add(time.Minute)
			w.drop("roster.csv", header+"1,Eva\n")
			w.expect("the next one", "1@2026-03-02T09:01:00Z")
			for _, name := range w.files() {
				if name == "/out/roster.csv" {
					t.Error("what was taken is still there")
				}
			}
		})
	}
}

// TestManifestMeanwhile: one that is still being written proves nothing yet, and
// one that is corrected has its file judged anew.
func TestManifestMeanwhile(t *testing.T) {
	w := newWorld(t, "kind", changed, "manifest", "{name}.json", "stable_for", time.Minute)
	w.drop("R_1.csv", header+"1,Ada\n")
	w.expect("first look")
	w.now = w.now.Add(time.Minute)
	w.drop("R_1.json", `{"detail_rows": `)
	w.expect("half a manifest")
	w.drop("R_1.json", `{"detail_rows": 2}`)
	w.expect("a whole one, seen once")
	w.now = w.now.Add(time.Minute)
	w.expect("which is wrong", "! row_count")
	w.expect("once")
	w.drop("R_1.json", `{"detail_rows": 1}`)
	w.expect("a right one, seen once")
	w.now = w.now.Add(time.Minute)
	w.restart()
	w.expect("and it stands", "1@1")
	w.expect("once")
}

// TestManifest: what it says is checked before a row is.
func TestManifest(t *testing.T) {
	body := header + "1,Ada\n"
	for reason, manifest := range map[string]map[string]any{
		"":                  {"file": "R_8.csv", "sequence": 8, "previous_sequence": 7, "bytes": len(body), "sha256": sum([]byte(body)), "detail_rows": 1},
		"size":              {"bytes": len(body) + 1},
		"hash":              {"sha256": sum([]byte("other"))},
		"row_count":         {"detail_rows": 2},
		"manifest_file":     {"file": "R_7.csv"},
		"manifest_sequence": {"sequence": 9},
		"gap":               {"previous_sequence": 6},
	} {
		t.Run(reason, func(t *testing.T) {
			w := newWorld(t, "kind", changed, "manifest", "{name}.json")
			w.drop("R_7.csv", header+"9,Zoe\n")
			w.drop("R_7.json", "{}")
			w.expect("one before", "9@7")
			text, err := json.Marshal(manifest)
			if err != nil {
				t.Fatal(err)
			}
			w.drop("R_8.csv", body)
			w.drop("R_8.json", string(text))
			want := "! " + reason
			if reason == "" {
				want = "1@8"
			}
			w.expect("with its manifest", want)
		})
	}
}

// TestCrash at every place between two calls: the page comes again as it was,
// nothing is lost, nothing comes with another id.
func TestCrash(t *testing.T) {
	w := newWorld(t, "page_size", 1)
	w.drop("R_1.csv", header+"1,Ada\n2,Ben\n3\n")
	var once, again []connector.Record
	for range 10 {
		lost := w.page() // and the process ends before it remembers
		again = append(again, lost.Records...)
		w.restart()
		p := w.page()
		once = append(once, p.Records...)
		if fmt.Sprint(lost) != fmt.Sprint(p) {
			t.Errorf("a page came as\n%+v\nand then as\n%+v", lost, p)
		}
		w.cursor = p.Next
		if !p.More {
			break
		}
		w.restart()
	}
	if len(once) != 2 || len(again) != 2 || once[0].ID != again[0].ID {
		t.Errorf("%d records, %d again", len(once), len(again))
	}
}

// TestChangedMeanwhile: a file that is another after a restart fails its read;
// what comes then is a read of its own.
func TestChangedMeanwhile(t *testing.T) {
	w := newWorld(t, "page_size", 1)
	w.drop("R_1.csv", header+"1,Ada\n2,Ben\n")
	p := w.page()
	w.cursor = p.Next
	w.restart()
	w.drop("R_1.csv", header+"1,Ada\n2,Eva\n")
	p2 := w.page()
	if p2.Frame.Read != p.Frame.Read || p2.Frame.End != connector.Failed || len(p2.Rejected) != 1 || p2.Rejected[0].Reason != "file_changed" {
		t.Errorf("got %+v", p2)
	}
	w.cursor = p2.Next
	w.expect("the file as it is now", "begin", "1@1", "2@1", "complete")
}

// TestServerFails: nothing moves until it is back, and a file that could not be
// archived is archived later.
func TestServerFails(t *testing.T) {
	w := newWorld(t)
	w.drop("R_1.csv", header+"1,Ada\n")
	for _, method := range []string{"list", "get"} {
		if err := w.faults.Add(fake.Fault{Status: 500, Times: 1, Match: fake.Match{Method: method}}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.source.Changes(t.Context(), w.cursor); fault.Of(err) == nil || fault.Of(err).Class != fault.Transient {
			t.Errorf("%s: %v", method, err)
		}
	}
	w.cursor = w.page().Next
	if err := w.faults.Add(fake.Fault{Times: 1, When: fake.AfterEffect, Match: fake.Match{Method: "rename"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.source.Changes(t.Context(), w.cursor); err == nil {
		t.Error("a move whose connection was cut is no error")
	}
	w.restart()
	w.expect("it had moved")
	if got := w.files(); !slices.Equal(got, []string{"/taken/R_1.csv"}) {
		t.Errorf("files %v", got)
	}
	w.drop("R_2.csv", header+strings.Repeat("x", 100))
	w.account.Settings["max_bytes"] = 50
	w.restart()
	w.expect("too large", "begin", "! too_large", "failed")
}

// TestRealServer: the same on OpenSSH, with the files of the notes.
func TestRealServer(t *testing.T) {
	s := sshd.Start(t)
	for _, folder := range []string{"out", "taken"} {
		if err := os.Mkdir(filepath.Join(s.Folder, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const name = "ALP_PAYCHG_20260302T143000Z_000187"
	for _, ext := range []string{".csv", ".manifest.json"} {
		if err := os.WriteFile(filepath.Join(s.Folder, "out", name+ext), sample(t, name+ext), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := &world{t: t, account: connector.Account{
		BaseURL: "sftp://" + s.Address,
		Settings: settings(append([]any{
			"user", s.User, "host_key", []string{s.HostKey}, "folder", "out", "archive", "taken", "stable_for", time.Duration(0)}, payroll...)...),
		Secrets: map[string]secret.Value{"private_key": secret.New(s.PrivateKey)},
	}}
	w.restart()
	c, err := Type.Check(w.account)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
	w.expect("the change file", "E10482@187", "E10391@187", "00731@187", "E10217@187")
	taken, err := filepath.Glob(filepath.Join(s.Folder, "taken", name+"*"))
	if err != nil || len(taken) != 2 {
		t.Errorf("archived are %v, %v", taken, err)
	}
	w.expect("it is done")
}

// TestOpenAnswer: a file is explained as it lies there.
func TestOpenAnswer(t *testing.T) {
	a, err := Type.Answers(connector.Account{Settings: settings("max_rejected_percent", 100)})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	got, err := a.OpenAnswer([]byte(header+"1,Ada\n2\n"), now)
	if err != nil || len(got) != 2 || got[0].Key != "1" || got[0].Version.Value != "2026-03-02T09:00:00Z" ||
		got[1].Kind != connector.KindIgnored || got[1].Event != "too_few_fields at lines[3]" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := a.OpenAnswer([]byte("PK\x03\x04"), now); fault.Of(err) == nil || fault.Of(err).Class != fault.Record || fault.Of(err).Reason != "spreadsheet" {
		t.Errorf("a spreadsheet: %v", err)
	}
}
