//go:build !chaos

package protection

import "testing"

// TestNoSwitch: the variable means nothing to a normal build.
func TestNoSwitch(t *testing.T) {
	for _, p := range []Protection{LaneReset, CompareAndSet, Intent, StatementOrder} {
		t.Setenv("MUSTER_PROTECTION_OFF", string(p))
		if Off(p) {
			t.Errorf("%s can be switched off", p)
		}
	}
}
