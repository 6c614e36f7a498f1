package slapd

import (
	"context"
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

// command is what to run by hand where the test may not.
const command = "sudo apt-get update && sudo DEBIAN_FRONTEND=noninteractive apt-get install -y slapd"

// places of the server that a PATH without sbin does not name.
var places = []string{"/usr/sbin/slapd", "/usr/local/sbin/slapd", "/usr/libexec/slapd", "/opt/homebrew/opt/openldap/libexec/slapd"}

var installed struct {
	sync.Once
	path string
	err  error
}

// program finds slapd, or installs it where that is ours to do: as root on
// Debian. Test processes of one machine wait for each other.
func program() (string, error) {
	installed.Do(func() { installed.path, installed.err = install() })
	return installed.path, installed.err
}

func find() string {
	if path, err := exec.LookPath("slapd"); err == nil {
		return path
	}
	for _, path := range places {
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

func install() (string, error) {
	if path := find(); path != "" {
		return path, nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return "", fmt.Errorf("there is no slapd on this machine: run `%s`", command)
	}
	lock, err := os.OpenFile(filepath.Join(os.TempDir(), "muster-testkit-apt.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }() // which unlocks it
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	if path := find(); path != "" {
		return path, nil // another process was first
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var said strings.Builder
	for _, args := range [][]string{{"update"}, {"install", "-y", "--no-install-recommends", "slapd"}} {
		cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-o", "DPkg::Lock::Timeout=240"}, args...)...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if args[0] == "install" { // the package would start a server of its own on the usual port
			remove, err := noServices()
			if err != nil {
				return "", err
			}
			defer remove()
		}
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Run(); err != nil && args[0] == "install" { // without an update there may be an older list
			return "", fmt.Errorf("install slapd (`%s`): %w\n%s", command, err, said.String())
		}
	}
	if path := find(); path != "" {
		return path, nil
	}
	return "", errors.New("slapd was installed and is not found: run `" + command + "` and look")
}

// noServices keeps Debian's packages from starting servers while they are
// installed (invoke-rc.d asks this program; 101 means no). One that stands
// there already is another's word and stays.
func noServices() (remove func(), err error) {
	const policy = "/usr/sbin/policy-rc.d"
	f, err := os.OpenFile(policy, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if errors.Is(err, os.ErrExist) {
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString("#!/bin/sh\nexit 101\n")
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return func() { _ = os.Remove(policy) }, nil
}
