package clock

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// lookEvery is how long a [File] trusts what it read.
const lookEvery = 50 * time.Millisecond

// File is a movable clock that several processes share: its offset to the
// machine's clock stands in a file. A file that is not there is no offset.
type File struct {
	path string

	mu     sync.Mutex
	looked time.Time
	offset time.Duration
}

// Follow shares the clock in a file.
func Follow(path string) *File { return &File{path: path} }

// Now is the moved time in UTC.
func (f *File) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if f.looked.IsZero() || now.Sub(f.looked) >= lookEvery {
		f.looked = now
		f.look()
	}
	return now.UTC().Add(f.offset)
}

// look reads the file. What cannot be read changes nothing, and no clock goes back.
func (f *File) look() {
	b, err := os.ReadFile(f.path)
	if err != nil {
		return
	}
	if d, err := time.ParseDuration(strings.TrimSpace(string(b))); err == nil && d > f.offset {
		f.offset = d
	}
}

// Set moves the clock of all who follow the file forward to t and reports
// whether it did: not to a time that is past already, and not if the file
// cannot be written. When it returns everybody tells the new time. One process
// sets, the others follow.
func (f *File) Set(t time.Time) bool {
	f.mu.Lock()
	f.look()
	d := time.Until(t)
	ok := d >= f.offset && write(f.path, d.String()+"\n") == nil
	if ok {
		f.offset = d
	}
	f.mu.Unlock()
	if ok {
		time.Sleep(lookEvery) // what the others read before is out of date now
	}
	return ok
}

// write replaces the file whole, so that nobody reads half of it.
func write(path, text string) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".clock-*")
	if err != nil {
		return err
	}
	_, err = tmp.WriteString(text)
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name()) // the error that matters is the first
	}
	return err
}
