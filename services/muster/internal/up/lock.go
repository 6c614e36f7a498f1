package up

import (
	"fmt"
	"os"
	"syscall"

	"github.com/muster-hr/muster/libs/service"
)

// lock keeps a file until it is closed or the process ends, however it ends.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", service.ErrEnvironment, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // it was only looked at
		return nil, fmt.Errorf("%w: another Muster runs on this data folder: stop it or name another with --data", service.ErrEnvironment)
	}
	return f, nil
}
