package bus

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// inMemory tells whether a folder is one of tmpfs.
func inMemory(path string) bool {
	const tmpfs = 0x01021994 // TMPFS_MAGIC of statfs(2)
	var s syscall.Statfs_t
	return syscall.Statfs(path, &s) == nil && int64(s.Type) == tmpfs
}

// holds are the folders in memory that this process has, open and locked.
var holds = struct {
	sync.Mutex
	open map[string]*os.File
}{open: map[string]*os.File{}}

// hold makes a folder and keeps it from sweep until release or the end of this
// process. Several may hold one: who runs a broker as another process does.
func hold(folder string) error {
	holds.Lock()
	defer holds.Unlock()
	for holds.open[folder] == nil {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
		f, err := os.Open(folder)
		if errors.Is(err, fs.ErrNotExist) {
			continue // swept right now
		}
		if err != nil {
			return err
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH); err != nil {
			return errors.Join(err, f.Close())
		}
		if !is(f, folder) { // swept before it was locked
			_ = f.Close() // it was only looked at
			continue
		}
		holds.open[folder] = f
	}
	return nil
}

// is tells whether an open folder is still the one of that name.
func is(f *os.File, folder string) bool {
	have, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(folder)
	return err == nil && os.SameFile(have, there)
}

func release(folder string) error {
	holds.Lock()
	defer holds.Unlock()
	f := holds.open[folder]
	if f == nil {
		return nil
	}
	delete(holds.open, folder)
	return f.Close()
}

// sweep removes the folders that nobody holds. Those of another user stay.
func sweep() error {
	folders, err := filepath.Glob(filepath.Join(shared, staging+"*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, folder := range folders {
		f, err := os.Open(folder)
		if err != nil {
			continue // another user's, or gone meanwhile
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			if err := os.RemoveAll(folder); err != nil {
				errs = append(errs, fmt.Errorf("remove what a process left in memory that was killed: %w", err))
			}
		}
		_ = f.Close() // it was only looked at
	}
	return errors.Join(errs...)
}
