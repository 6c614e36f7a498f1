package scimd

import (
	"strings"
	"testing"
)

// TestWithoutNode: the failure names one command, and nothing is skipped.
func TestWithoutNode(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := install(t.Context(), express4)
	if err == nil || !strings.Contains(err.Error(), command) {
		t.Errorf("error %v, want the command in it", err)
	}
}
