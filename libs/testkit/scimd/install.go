package scimd

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// command is what to run by hand where node or npm is missing.
const command = "sudo apt-get update && sudo DEBIAN_FRONTEND=noninteractive apt-get install -y nodejs npm"

var installing sync.Mutex

// install gives a folder that holds the server and what it needs, by its
// content: a changed version is another folder. What was installed once is
// used by all test runs of this user; those at the same time wait.
func install(ctx context.Context, packages []byte) (dir string, err error) {
	installing.Lock()
	defer installing.Unlock()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", fmt.Errorf("there is no %s on this machine: run `%s`", tool, command)
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
	lock, err := os.OpenFile(filepath.Join(above, "scimd.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }() // which unlocks it
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	sum := sha256.Sum256(append(append([]byte{}, packages...), program...))
	dir = filepath.Join(above, fmt.Sprintf("scimd-%x", sum[:8]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	// Whole or not at all: it gets its name when it is complete.
	part, err := os.MkdirTemp(above, "scimd-part-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(part)) }()
	for name, data := range map[string][]byte{"package.json": packages, "server.mjs": program} {
		if err := os.WriteFile(filepath.Join(part, name), data, 0o600); err != nil {
			return "", err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	var said strings.Builder
	cmd := exec.CommandContext(ctx, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts")
	cmd.Dir, cmd.Stdout, cmd.Stderr = part, &said, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("install the SCIM server (`npm install` needs the package registry): %w\n%s", err, said.String())
	}
	return dir, os.Rename(part, dir)
}
