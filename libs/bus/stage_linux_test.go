package bus_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/testkit"
	"github.com/muster-hr/muster/libs/topology"
)

// What a killed process left in memory goes at the next start, of whichever
// broker; what a living one has stays.
func TestLeftInMemory(t *testing.T) {
	dir := t.TempDir()
	srv, err := bus.StartServer(bus.ServerOptions{StoreDir: dir, Port: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Shutdown)
	plan := bus.PlanFor(bus.Names{})
	if err := bus.Ensure(t.Context(), testkit.Connect(t, srv, bus.Options{Name: "test"}), plan); err != nil {
		t.Fatal(err)
	}
	stage := func() {
		t.Helper()
		if staged, err := bus.Stage(dir, plan.Streams); err != nil || !staged {
			t.Fatalf("staged %v, %v", staged, err)
		}
	}
	stage()
	own, err := os.Readlink(filepath.Join(dir, "jetstream", "$G", "streams", topology.Raw, "batches"))
	if err != nil {
		t.Fatal(err)
	}
	leave := func(path string) *os.File {
		t.Helper()
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(path) })
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	there := func(path string) bool { _, err := os.Stat(path); return err == nil }

	store := filepath.Dir(own)
	dead, living, batch := store+"-dead", store+"-living", filepath.Join(own, "batch")
	leave(filepath.Join(dead, topology.Raw, "batch"))
	if err := syscall.Flock(int(leave(living).Fd()), syscall.LOCK_SH); err != nil { // as another process has it
		t.Fatal(err)
	}
	leave(batch)
	stage() // the same server goes on
	if there(dead) || !there(living) || !there(batch) {
		t.Errorf("there are: the dead one's %v, the living one's %v, the own %v", there(dead), there(living), there(batch))
	}
	if err := srv.Restart(); err != nil { // as one that was killed
		t.Fatal(err)
	}
	stage()
	if there(batch) {
		t.Error("a batch of the server before is still there")
	}
	if err := bus.Unstage(dir); err != nil || there(store) {
		t.Errorf("after the end: %v, %v", there(store), err)
	}
	stage() // it can be had again
	if err := bus.Unstage(dir); err != nil {
		t.Error(err)
	}
}
