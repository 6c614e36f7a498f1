package up

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/muster-hr/muster/libs/service"
)

func TestDemoFolder(t *testing.T) {
	data := filepath.Join(t.TempDir(), "a", "b")
	for range 2 { // made, and made empty again
		if err := DemoFolder(data); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(data, "nats")); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("what an earlier demo left is still there: %v", err)
		}
		if err := os.MkdirAll(filepath.Join(data, "nats", "x"), 0o700); err != nil {
			t.Fatal(err)
		}
	}

	held, err := lock(filepath.Join(data, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	if err := DemoFolder(data); !errors.Is(err, service.ErrEnvironment) {
		t.Errorf("a folder in use: %v", err)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}

	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "payroll.xlsx"), []byte("dear"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := DemoFolder(other); !errors.Is(err, service.ErrConfig) {
		t.Errorf("somebody's folder: %v", err)
	}
	if _, err := os.Stat(filepath.Join(other, "payroll.xlsx")); err != nil {
		t.Errorf("somebody's file: %v", err)
	}
}
