// Package npm installs packages of the npm registry for tests that need a real
// peer: once for all test runs of a user, whole or not at all.
package npm

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Command is what to run by hand where node or npm is missing.
const Command = "sudo apt-get update && sudo DEBIAN_FRONTEND=noninteractive apt-get install -y nodejs npm"

var installing sync.Mutex

// Install gives a folder that holds these files, of which package.json names
// what is needed, and the packages beside them. The folder is named by name and
// the content of the files: a changed version is another folder. Those who
// install at the same time wait.
func Install(ctx context.Context, name string, files map[string][]byte) (dir string, err error) {
	installing.Lock()
	defer installing.Unlock()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", fmt.Errorf("there is no %s on this machine: run `%s`", tool, Command)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil { // an account without a home
		cache = filepath.Join(os.TempDir(), fmt.Sprintf("muster-cache-%d", os.Getuid()))
	}
	above := filepath.Join(cache, "muster-testkit")
	if err := os.MkdirAll(above, 0o700); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(above, name+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }() // which unlocks it
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, file := range slices.Sorted(maps.Keys(files)) {
		sum.Write(fmt.Appendf(nil, "%s %d\n", file, len(files[file])))
		sum.Write(files[file])
	}
	dir = filepath.Join(above, fmt.Sprintf("%s-%x", name, sum.Sum(nil)[:8]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	// Whole or not at all: it gets its name when it is complete.
	part, err := os.MkdirTemp(above, name+"-part-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(part)) }()
	for file, data := range files {
		if err := os.WriteFile(filepath.Join(part, file), data, 0o600); err != nil {
			return "", err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	var said strings.Builder
	cmd := exec.CommandContext(ctx, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts")
	cmd.Dir, cmd.Stdout, cmd.Stderr = part, &said, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("install packages for %s (`npm install` needs the package registry): %w\n%s", name, err, said.String())
	}
	return dir, os.Rename(part, dir)
}
