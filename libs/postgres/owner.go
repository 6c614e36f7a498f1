//go:build unix

package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// owner is the user the server runs as when we are root; nil means ourselves.
type owner struct{ uid, gid uint32 }

// runAs chooses the user. Postgres looks it up, so it must be in the user
// database: `nobody` is on every Unix.
func runAs() (*owner, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return nil, fmt.Errorf("no user nobody to run Postgres as, which refuses to be run as root: start as an ordinary user or set MUSTER_DATABASE_URL: %w", err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("read the ids of user nobody: %w", err)
	}
	return &owner{uint32(uid), uint32(gid)}, nil
}

func (o *owner) credential() *syscall.Credential {
	return &syscall.Credential{Uid: o.uid, Gid: o.gid}
}

// own gives a path to the server's user.
func (o *owner) own(path string) error {
	if o == nil {
		return nil
	}
	return os.Chown(path, int(o.uid), int(o.gid))
}

// reaches tells whether the server's user may walk into a folder.
func (o *owner) reaches(dir string) bool {
	if o == nil {
		return true
	}
	for {
		info, err := os.Stat(dir)
		if err != nil {
			return false
		}
		st := info.Sys().(*syscall.Stat_t)
		mode := info.Mode().Perm()
		if !(mode&0o001 != 0 || st.Uid == o.uid && mode&0o100 != 0 || st.Gid == o.gid && mode&0o010 != 0) {
			return false
		}
		if up := filepath.Dir(dir); up != dir {
			dir = up
			continue
		}
		return true
	}
}

// place makes the folder of the server. If its user cannot get there (root's
// home is closed to others), a folder below the temporary directory named
// after the wanted one stands in. That one must be ours alone: anybody could
// have made it before us.
func place(dir string, as *owner) (string, error) {
	if dir == "" {
		return "", errors.New("no folder was named")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if as.reaches(dir) {
		return dir, nil
	}
	sum := sha256.Sum256([]byte(dir))
	dir = filepath.Join(os.TempDir(), "muster-postgres-"+hex.EncodeToString(sum[:6]))
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	if err := onlyOurs(dir); err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // whatever the umask
		return "", err
	}
	if !as.reaches(dir) {
		return "", fmt.Errorf("user nobody, as whom root must run Postgres, cannot reach %s: choose another folder or set TMPDIR", dir)
	}
	return dir, nil
}

// onlyOurs refuses a link, and a folder that somebody else made or may write.
func onlyOurs(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() || int(info.Sys().(*syscall.Stat_t).Uid) != os.Geteuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s is not a folder of this user alone", dir)
	}
	return nil
}

// take locks a file for as long as this process has it open. The kernel lets
// go of it however we die.
func take(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for until := time.Now().Add(forking); ; time.Sleep(5 * time.Millisecond) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return f, nil
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return nil, errors.Join(err, f.Close())
		case time.Now().After(until):
			return nil, errors.Join(ErrInUse, f.Close())
		}
	}
}

// forking is how long a lock that was let go may still be held: a program that
// is just being started has a copy of every open file until it is executed.
const forking = 500 * time.Millisecond

func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return pid > 0 && (err == nil || errors.Is(err, syscall.EPERM))
}

// isPostgres tells whether a process is a postmaster, so that no stranger who
// got a dead one's number is stopped. One that ended and was not waited for
// ("postgres <defunct>") is none.
func isPostgres(pid int) bool {
	// One that hangs would hold up a start for ever.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ps", "-o", "comm=", "-p", strconv.Itoa(pid)).Output()
	if err != nil { // a slim image has no ps
		out, _ = os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	}
	return filepath.Base(strings.TrimSpace(string(out))) == "postgres"
}
