package bus_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/testkit"
	"github.com/muster-hr/muster/libs/topology"
)

func TestBatchesAreStagedInMemory(t *testing.T) {
	dir := t.TempDir()
	srv, err := bus.StartServer(bus.ServerOptions{StoreDir: dir, Port: -1, SyncAlways: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Shutdown)
	b := testkit.Connect(t, srv, bus.Options{Name: "test", Staged: true})
	plan := bus.PlanFor(bus.Names{Sources: []string{"http"}})
	if err := bus.Ensure(t.Context(), b, plan); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bus.Unstage(dir); err != nil {
			t.Error(err)
		}
	})
	batches := func(stream string) string {
		return filepath.Join(dir, "jetstream", "$G", "streams", stream, "batches")
	}
	for _, again := range []string{"first", "second"} {
		staged, err := bus.Stage(dir, plan.Streams)
		if err != nil || !staged && runtime.GOOS == "linux" {
			t.Fatalf("%s: staged %v, %v", again, staged, err)
		}
		if !staged {
			return
		}
		memory, err := os.Readlink(batches(topology.Raw))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Readlink(batches(topology.People)); err == nil {
			t.Fatal("a batch on PEOPLE is all or nothing, also when the power goes")
		}
		before, err := os.Stat(memory)
		if err != nil {
			t.Fatal(err)
		}
		outs := make([]bus.Out, 50)
		for i := range outs {
			outs[i] = out(topology.RawRecord("http", strconv.Itoa(i)), again+strconv.Itoa(i))
		}
		if _, err := b.PublishAtomic(t.Context(), topology.Raw, outs); err != nil {
			t.Fatal(err)
		}
		after, err := os.Stat(memory)
		if err != nil {
			t.Fatal(err)
		}
		if !after.ModTime().After(before.ModTime()) {
			t.Error("the batch was not staged where it should be")
		}
		if _, err := b.Last(t.Context(), topology.Raw, topology.RawRecord("http", "49")); err != nil {
			t.Error(err)
		}
		if err := srv.Restart(); err != nil { // the server removes the link
			t.Fatal(err)
		}
		for b.Ping(t.Context()) != nil { // it connects again by itself
			if t.Context().Err() != nil {
				t.Fatal("no connection")
			}
			runtime.Gosched()
		}
	}
}
