package up

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

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

// storeWithin is how long the end of an earlier broker is waited for. It is told
// at the moment its parent dies, and only has to go.
const storeWithin = 10 * time.Second

var errBrokerRuns = errors.New("a broker runs on this data folder already")

// lockStore keeps a second broker off the streams' files, which would destroy
// them. The lock is held until this process ends.
func (s *System) lockStore(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storeWithin)
	defer cancel()
	for {
		var err error
		if s.store, err = lock(filepath.Join(s.Data, "broker.lock")); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", service.ErrEnvironment, errBrokerRuns)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
