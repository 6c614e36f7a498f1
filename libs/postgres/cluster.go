package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cluster is one data folder and the programs that serve it.
type cluster struct {
	bin  string // folder of initdb, pg_ctl and postgres
	dir  string // ours
	data string // the server's
	as   *owner // nil: as we are
}

// command prepares one of the programs. The environment is emptied of PG…
// variables, which would redirect it, and messages are English, which we read.
func (c cluster) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, name), args...)
	cmd.Dir = c.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C at the terminal is ours to handle, in our order
	if c.as != nil {
		cmd.SysProcAttr.Credential = c.as.credential()
	}
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "PG") && !strings.HasPrefix(e, "LC_") && !strings.HasPrefix(e, "LANG") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(cmd.Env, "LC_ALL=C")
	return cmd
}

// ensure makes the data folder if there is none and gives the password. It is
// made under another name and renamed, so a half made one is never used.
func (c cluster) ensure(ctx context.Context, noSync bool) (string, error) {
	secret := filepath.Join(c.dir, "password")
	if _, err := os.Stat(filepath.Join(c.data, "PG_VERSION")); err == nil {
		if _, err := os.Stat(secret); err != nil {
			return "", fmt.Errorf("the local Postgres has data in %s but its password is gone: %w", c.dir, err)
		}
		return password(secret)
	}
	pass, err := password(secret)
	if err != nil {
		return "", fmt.Errorf("make the password of the local Postgres: %w", err)
	}
	// glibc has C.UTF-8, some other systems only C: the order of text is that
	// of its bytes in both, on every machine.
	var last error
	for _, locale := range []string{"C.UTF-8", "C"} {
		if last = c.initdb(ctx, locale, pass, noSync); last == nil {
			return pass, nil
		}
	}
	return "", fmt.Errorf("make the data of the local Postgres: %w", last)
}

func (c cluster) initdb(ctx context.Context, locale, pass string, noSync bool) error {
	fresh, pwfile := c.data+".new", filepath.Join(c.dir, "pwfile")
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return err
	}
	_ = os.Remove(pwfile)
	defer func() { _ = os.Remove(pwfile) }() // the next start tries again, and the folder is ours alone
	if err := os.WriteFile(pwfile, []byte(pass), 0o600); err != nil {
		return err
	}
	if err := errors.Join(c.as.own(fresh), c.as.own(pwfile)); err != nil {
		return err
	}
	args := []string{"-D", fresh, "-U", role, "--pwfile", pwfile, "--auth", "scram-sha-256", "-E", "UTF8", "--locale", locale}
	if noSync {
		args = append(args, "--no-sync")
	}
	if out, err := c.command(ctx, "initdb", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, strings.Join(strings.Fields(string(out)), " "))
	}
	if err := os.RemoveAll(c.data); err != nil {
		return err
	}
	return os.Rename(fresh, c.data)
}

// stopLeftover stops the server that an earlier process left on our folder, or
// waits for one that is stopping. We hold the lock, so nobody alive owns it.
func (c cluster) stopLeftover(ctx context.Context) error {
	file := filepath.Join(c.data, "postmaster.pid")
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // none ran, or it ended properly
	}
	if err != nil {
		return fmt.Errorf("read who runs on the folder: %w", err)
	}
	first, _, _ := strings.Cut(string(b), "\n")
	pid, _ := strconv.Atoi(strings.TrimSpace(first)) // 0, which is nobody, if the line is no number
	if !alive(pid) {
		return nil // a crash: postgres sees that itself, and checks for orphaned backends too
	}
	if !isPostgres(pid) {
		// The number was given to another program since. Postgres would believe
		// that its postmaster lives and refuse to start, so the file must go.
		return os.Remove(file)
	}
	out, err := c.command(ctx, "pg_ctl", "-D", c.data, "-m", "fast", "-w", "-t", "60", "stop").CombinedOutput()
	if err == nil {
		return nil
	}
	if _, there := os.Stat(file); there == nil && alive(pid) && isPostgres(pid) {
		return fmt.Errorf("stop the Postgres left running in %s: %w: %s", c.dir, err, strings.Join(strings.Fields(string(out)), " "))
	}
	return gone(ctx, pid) // it was ending by itself
}

// gone waits for the end of a process that has given up its data already.
func gone(ctx context.Context, pid int) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for alive(pid) && isPostgres(pid) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the Postgres that is ending: %w", ctx.Err())
		case <-ticker.C:
		}
	}
	return nil
}

// majorOf reads the version that made a data folder; 0 if there is none.
func majorOf(data string) int {
	b, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return n
}
