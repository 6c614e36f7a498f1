package bus

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/muster-hr/muster/libs/topology"
)

// shared is where the machine keeps files in memory; each store has a folder
// there, whose name begins with staging.
const (
	shared  = "/dev/shm"
	staging = "muster-batches-"
)

// Stage puts in memory what an embedded server stages of a batch before it
// stores it, and tells whether it could. storeDir is the server's.
//
// The server writes a batch to a folder of its own first, which costs twenty
// file operations on the disk, and reads it from there if it died while it
// copied the batch to its stream. Files in memory outlive the process, so that
// still holds when the process is killed. When the machine loses power, part
// of a batch may stay. So this is for streams whose messages stand alone and
// are batched only to be synced together: nobody was told yet that any of them
// is stored. It is not for PEOPLE, whose batches are all or nothing.
//
// The server removes the folders when it starts: Stage is called after each
// start, and again when streams were made. It removes what processes left in
// memory that were killed; a lock on its folder, which the kernel takes from a
// dead process, tells that one lives.
func Stage(storeDir string, plan []StreamPlan) (staged bool, err error) {
	if !inMemory(shared) {
		return false, nil
	}
	abs, memory, err := stages(storeDir)
	if err != nil {
		return false, err
	}
	swept := sweep()
	for _, s := range plan {
		stream := filepath.Join(abs, "jetstream", "$G", "streams", s.Name)
		if !s.standsAlone() || !isDir(stream) {
			continue
		}
		if err := hold(memory); err != nil {
			return false, fmt.Errorf("stage batches in memory: %w", err)
		}
		if err := redirect(filepath.Join(stream, "batches"), filepath.Join(memory, s.Name)); err != nil {
			return false, fmt.Errorf("stage batches of %s in memory: %w", s.Name, err)
		}
		staged = true
	}
	return staged, swept
}

// Unstage gives the memory back, after the server has stopped.
func Unstage(storeDir string) error {
	_, memory, err := stages(storeDir)
	if err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(memory), release(memory))
}

// stages names a server's folder in memory: the same whenever it starts.
func stages(storeDir string) (abs, memory string, err error) {
	if abs, err = filepath.Abs(storeDir); err != nil {
		return "", "", err
	}
	name := sha256.Sum256([]byte(abs))
	return abs, filepath.Join(shared, staging+hex.EncodeToString(name[:8])), nil
}

// standsAlone tells whether each message of a batch may be stored without the others.
func (s StreamPlan) standsAlone() bool { return s.Batch && s.Name != topology.People }

// redirect makes a link to a folder in memory. While a batch is under way on
// the disk it is an error: it stays there until the next start.
func redirect(link, to string) error {
	if old, err := os.Readlink(link); err == nil && old == to {
		return os.MkdirAll(to, 0o700)
	}
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.RemoveAll(to); err != nil { // what a server left there that was killed
		return err
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	return os.Symlink(to, link)
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
