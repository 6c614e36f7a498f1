// Package debian finds the real servers that tests talk to, or installs them
// where that is ours to do: as root on Debian and its kin. Elsewhere a test
// fails and names the one command to run; nothing is skipped.
package debian

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

// Program is a server that a package brings.
type Program struct {
	Name    string   // of the program, as slapd
	Places  []string // where it may be though PATH does not say so; full names
	Package string   // what to install

	once sync.Once
	path string
	err  error
}

// Command is what to run by hand where a test may not.
func (p *Program) Command() string {
	return "sudo apt-get update && sudo DEBIAN_FRONTEND=noninteractive apt-get install -y " + p.Package
}

// Path finds the program, or installs it. Test processes of one machine wait
// for each other.
func (p *Program) Path() (string, error) {
	p.once.Do(func() { p.path, p.err = p.install() })
	return p.path, p.err
}

func (p *Program) find() string {
	if path, err := exec.LookPath(p.Name); err == nil {
		return path
	}
	for _, path := range p.Places {
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

func (p *Program) install() (string, error) {
	if path := p.find(); path != "" {
		return path, nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return "", fmt.Errorf("there is no %s on this machine: run `%s`", p.Name, p.Command())
	}
	lock, err := os.OpenFile(filepath.Join(os.TempDir(), "muster-testkit-apt.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }() // which unlocks it
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	if path := p.find(); path != "" {
		return path, nil // another process was first
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var said strings.Builder
	for _, args := range [][]string{{"update"}, {"install", "-y", "--no-install-recommends", p.Package}} {
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
			return "", fmt.Errorf("install %s (`%s`): %w\n%s", p.Package, p.Command(), err, said.String())
		}
	}
	if path := p.find(); path != "" {
		return path, nil
	}
	return "", errors.New(p.Package + " was installed and " + p.Name + " is not found: run `" + p.Command() + "` and look")
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
