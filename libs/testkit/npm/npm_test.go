package npm

import (
	"strings"
	"testing"
)

// TestWithoutNode: the failure names one command, and nothing is skipped.
func TestWithoutNode(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Install(t.Context(), "nothing", nil)
	if err == nil || !strings.Contains(err.Error(), Command) {
		t.Errorf("error %v, want the command in it", err)
	}
}
