package deliver

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/topology"
)

// TestWakeUpsDoNotPileUp: however often somebody was looked at again, the last
// wake-up is all that stays of it.
func TestWakeUpsDoNotPileUp(t *testing.T) {
	w := newWorld(t)
	w.vendor.effects.Idempotent = true
	w.vendor.fail = func(_ connector.Delivery, n int) error {
		if n <= laneAttempts+2 {
			return badGateway
		}
		return nil
	}
	w.start()
	w.named("emp1", 1, "A")
	w.until("emp1", "1 applied") // by the third wake-up
	got, err := w.bus.Subjects(t.Context(), topology.Parked, topology.DueAt(target, "*"))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]uint64{topology.DueAt(target, "emp1"): 1}, got); d != "" {
		t.Errorf("wake-ups (-want +got):\n%s", d)
	}
}

// TestCallsDoNotPileUp: nor do those to people who name somebody who is renamed
// again and again.
func TestCallsDoNotPileUp(t *testing.T) {
	w := newWorld(t)
	d, b := w.deliverer(w.vendor)
	t.Cleanup(func() { _ = b.Close() })
	for n := range 3 {
		if err := d.call(t.Context(), []string{"emp1", "emp2"}, fmt.Sprint(n)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := w.bus.Subjects(t.Context(), topology.Parked, topology.DueAt(target, "*"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]uint64{topology.DueAt(target, "emp1"): 1, topology.DueAt(target, "emp2"): 1}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("calls (-want +got):\n%s", d)
	}
}
