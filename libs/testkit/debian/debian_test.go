package debian

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNamesOneCommand: where nothing may be installed the error says what to run.
func TestNamesOneCommand(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // no apt-get
	p := Program{Name: "no-such-server", Package: "no-such-package"}
	_, err := p.Path()
	if err == nil || !strings.Contains(err.Error(), "`"+p.Command()+"`") || strings.Count(p.Command(), "install -y no-such-package") != 1 {
		t.Errorf("got %v", err)
	}
}

// TestFindsOutsideOfPath: servers stand in folders that PATH does not name.
func TestFindsOutsideOfPath(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	place := filepath.Join(t.TempDir(), "server")
	if err := os.WriteFile(place, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	p := Program{Name: "no-such-server", Places: []string{"/nowhere", place}}
	if got, err := p.Path(); err != nil || got != place {
		t.Errorf("%q, %v", got, err)
	}
}
