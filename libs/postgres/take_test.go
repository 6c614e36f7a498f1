//go:build unix

package postgres

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestALockOutlivesItsOwnerForAMoment: a child that is being started has a copy
// of the lock until it is executed.
func TestALockOutlivesItsOwnerForAMoment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	f, err := take(path)
	if err != nil {
		t.Fatal(err)
	}
	child, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(forking/10, func() { _ = syscall.Close(child) })
	again, err := take(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
