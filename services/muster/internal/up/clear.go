package up

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/muster-hr/muster/libs/service"
)

// demoMark says that a data folder is a demo's: what is in it may go.
const demoMark = "demo"

// DemoFolder makes an empty data folder for a demo. What an earlier demo left
// there is removed, because its faked vendors have forgotten everybody; a
// folder that is not a demo's, or in use, is refused.
func DemoFolder(data string) error {
	mark := filepath.Join(data, demoMark)
	entries, err := os.ReadDir(data)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: data folder: %w", service.ErrEnvironment, err)
	}
	if len(entries) > 0 {
		if _, err := os.Stat(mark); err != nil {
			return fmt.Errorf("%w: %s is not empty and not of an earlier demo: name another folder with --data", service.ErrConfig, data)
		}
		held, err := lock(filepath.Join(data, "lock"))
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := os.RemoveAll(filepath.Join(data, e.Name())); err != nil {
				return fmt.Errorf("%w: clear the demo's folder: %w", service.ErrEnvironment, errors.Join(err, held.Close()))
			}
		}
		if err := held.Close(); err != nil {
			return fmt.Errorf("%w: %w", service.ErrEnvironment, err)
		}
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return fmt.Errorf("%w: data folder: %w", service.ErrEnvironment, err)
	}
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return fmt.Errorf("%w: data folder: %w", service.ErrEnvironment, err)
	}
	return nil
}
