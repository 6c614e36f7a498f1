package bus_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/testkit"
	"github.com/muster-hr/muster/libs/topology"
)

var quiet = slog.New(slog.DiscardHandler)

func TestPlanNamesEveryConsumer(t *testing.T) {
	got := make(map[string]string)
	for _, s := range bus.PlanFor(testkit.SmallCompany()).Streams {
		for _, c := range s.Consumers {
			got[s.Name+" "+c.Name] = strings.Join(c.Filters, " ")
		}
	}
	for name, filter := range map[string]string{
		"HINTS poller-bamboohr":           "hr.hint.bamboohr.>",
		"HINTS poller-personio":           "hr.hint.personio.>",
		"HINTS delivery-okta-hints":       "hr.hint.okta.>",
		"RAW transform":                   "hr.raw.>",
		"DECISIONS transform":             "hr.decide.transform.>",
		"PEOPLE delivery-okta":            "hr.employee.>",
		"PEOPLE delivery-okta-leavers":    "hr.leaver.>",
		"PARKED delivery-okta-due":        "hr.due.okta.>",
		"DECISIONS delivery-okta":         "hr.decide.delivery-okta.>",
		"TEAM_bi bi":                      "hr.team.bi.>",
		"PEOPLE audit":                    "hr.said.> hr.match.> hr.employee.> hr.leaver.>",
		"SURVEYS audit":                   "hr.survey.>",
		"PEOPLE delivery-team-bi":         "hr.employee.>",
		"PARKED delivery-personio-due":    "hr.due.personio.>",
		"PEOPLE delivery-personio":        "hr.employee.>",
		"DECISIONS delivery-team-bi":      "hr.decide.delivery-team-bi.>",
		"HINTS delivery-team-bi-hints":    "hr.hint.team-bi.>",
		"PEOPLE delivery-team-bi-leavers": "hr.leaver.>",
	} {
		if got[name] != filter {
			t.Errorf("%s: filters %q, want %q", name, got[name], filter)
		}
	}
	for _, none := range []string{"HINTS audit", "KEYS audit", "CONFIG audit", "HINTS delivery-personio-hints"} {
		if _, ok := got[none]; ok {
			t.Errorf("%s is planned", none)
		}
	}
}

func TestHintsAreCoalesced(t *testing.T) {
	b := testkit.Bus(t, testkit.JetStream(t), testkit.SmallCompany())
	publish(t, b, topology.Hints, out("hr.hint.bamboohr.a", "1"), out("hr.hint.bamboohr.b", "2"), out("hr.hint.bamboohr.a", "3"))
	o := bus.FeedOptions{Stream: topology.Hints, Durable: topology.PollerHints("bamboohr")}
	f := feed(t, b, o)
	in := next(t, f, 2)
	if err := f.Ack(in, next(t, f, 3)); err != nil {
		t.Fatal(err)
	}
	for s, err := b.StreamState(deadline(t), topology.Hints); s.Messages > 0; s, err = b.StreamState(deadline(t), topology.Hints) {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestScheduleFires(t *testing.T) {
	b := testkit.Bus(t, testkit.JetStream(t), testkit.SmallCompany())
	ctx := deadline(t)
	m := out(topology.WakeAt("okta", "a"), "w")
	at := time.Now().Add(time.Second)
	m.At, m.Target = at, topology.DueAt("okta", "a")
	if _, err := b.Publish(ctx, topology.Parked, m); err != nil {
		t.Fatal(err)
	}
	f := feed(t, b, bus.FeedOptions{Stream: topology.Parked, Durable: topology.DeliveryDue("okta")})
	in, err := f.Next(ctx)
	if err != nil || in.Subject != topology.DueAt("okta", "a") || in.Event.ID() != "w" {
		t.Fatalf("%+v, %v", in, err)
	}
	if in.At.Before(at.Add(-10*time.Millisecond)) || in.At.After(at.Add(2*time.Second)) {
		t.Errorf("fired at %s, wanted at %s", in.At, at)
	}
	m.Target = m.Subject
	if _, err := b.Publish(ctx, topology.Parked, m); err == nil {
		t.Error("a schedule on itself was taken")
	}
}

func TestPurgeKeepsFromTheGivenSequence(t *testing.T) {
	b := testkit.Bus(t, testkit.JetStream(t), testkit.SmallCompany())
	publish(t, b, topology.People, employees(10, 2)...) // p0: 1 3 5 7 9
	ctx := deadline(t)
	for _, step := range []struct {
		upTo uint64
		want string
	}{{0, "[1 3 5 7 9]"}, {5, "[5 7 9]"}, {9, "[9]"}, {math.MaxUint64, "[]"}} {
		if err := b.Purge(ctx, topology.People, "hr.employee.p0", step.upTo); err != nil {
			t.Fatal(err)
		}
		seqs := []uint64{}
		if err := b.Each(ctx, topology.People, "hr.employee.p0", func(in bus.In) error { seqs = append(seqs, in.Seq); return nil }); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(seqs); got != step.want {
			t.Errorf("purged up to %d: %s, want %s", step.upTo, got, step.want)
		}
	}
	if s, err := b.Subjects(ctx, topology.People, "hr.employee.*"); err != nil || len(s) != 1 || s["hr.employee.p1"] != 5 {
		t.Errorf("subjects %v, %v", s, err)
	}
}

// A key that is deleted leaves no trace in the files.
func TestSecureDelete(t *testing.T) {
	dir := t.TempDir()
	srv, err := bus.StartServer(bus.ServerOptions{StoreDir: dir, Port: -1, SyncAlways: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Shutdown)
	b := testkit.Bus(t, srv, testkit.SmallCompany())
	ctx := deadline(t)
	seq, err := b.Publish(ctx, topology.Keys, expecting(out(topology.Key("basic", "a"), "wrapped-7f3a"), 0))
	if err != nil {
		t.Fatal(err)
	}
	if !inFiles(t, dir, "wrapped-7f3a") {
		t.Fatal("the key is in no file at all")
	}
	if _, err := b.Publish(ctx, topology.Keys, expecting(out(topology.Key("basic", "a"), "second"), 0)); !errors.Is(err, bus.ErrConflict) {
		t.Errorf("created twice: %v", err)
	}
	if err := b.SecureDelete(ctx, topology.Keys, seq); err != nil {
		t.Fatal(err)
	}
	if inFiles(t, dir, "wrapped-7f3a") {
		t.Error("the key is still in a file")
	}
	if err := b.SecureDelete(ctx, topology.Keys, seq); !errors.Is(err, bus.ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
}

func inFiles(t *testing.T, dir, text string) (found bool) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		found = found || bytes.Contains(data, []byte(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestEachLastOfMany(t *testing.T) {
	b := testkit.Bus(t, testkit.JetStream(t), testkit.SmallCompany())
	const n, keys = 3000, 1300 // more subjects than one answer may name
	publish(t, b, topology.People, employees(n, keys)...)
	lasts := make(map[string]uint64)
	err := b.EachLast(deadline(t), topology.People, "hr.employee.>", func(in bus.In) error { lasts[in.Subject] = in.Seq; return nil })
	if err != nil || len(lasts) != keys {
		t.Fatalf("%d subjects, %v", len(lasts), err)
	}
	for i := n - keys; i < n; i++ {
		if got := lasts[topology.Employee(fmt.Sprint("p", i%keys))]; got <= n-keys {
			t.Fatalf("last of p%d is %d", i%keys, got)
		}
	}
	all := 0
	if err := b.Each(deadline(t), topology.People, "hr.employee.>", func(bus.In) error { all++; return nil }); err != nil || all != n {
		t.Errorf("%d of %d, %v", all, n, err)
	}
	stop := errors.New("enough")
	if err := b.Each(deadline(t), topology.People, "hr.employee.>", func(bus.In) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
}

func TestPorts(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	if _, err := bus.StartServer(bus.ServerOptions{StoreDir: t.TempDir(), Port: port}); err == nil {
		t.Error("a taken port set by hand was no error")
	}
	// Two with the default: one has 4222, if nobody else has, the other does not mind.
	for range 2 {
		srv, err := bus.StartServer(bus.ServerOptions{StoreDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(srv.Shutdown)
		b, err := bus.Connect(deadline(t), bus.Options{URL: srv.ClientURL(), Name: "test"})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Ping(deadline(t)); err != nil {
			t.Error(err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A sequence beyond the last one makes the server's count wrap; the whole
// subject is therefore asked for without one.
func TestPurgeOfEverythingKeepsTheCount(t *testing.T) {
	srv := testkit.JetStream(t)
	b := testkit.Bus(t, srv, testkit.SmallCompany())
	ctx := t.Context()
	out := bus.Out{Subject: "hr.parked.okta.a", Event: event.New("1", "/muster/test", event.DeliveryParkedV1, []byte("x"))}
	for want := uint64(1); want <= 3; want++ {
		seq, err := b.Publish(ctx, topology.Parked, out)
		if err != nil || seq != want {
			t.Fatalf("published at %d, %v; want %d", seq, err, want)
		}
		if err := b.Purge(ctx, topology.Parked, ">", math.MaxUint64); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Last(ctx, topology.Parked, "hr.parked.okta.a"); !errors.Is(err, bus.ErrNotFound) {
			t.Fatalf("after the purge: %v", err)
		}
	}
}
