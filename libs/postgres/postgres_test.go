package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/muster-hr/muster/libs/postgres"
)

// quick makes tests faster; durability is not what they are about.
var quick = map[string]string{"fsync": "off"}

// folder is a temporary folder that user nobody can reach: the parent of
// t.TempDir is closed to others.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "pg")
}

func start(t *testing.T, o postgres.Options) *postgres.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s, err := postgres.Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s *postgres.Server) {
	t.Helper()
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

// ask runs one query on a connection of its own.
func ask[T any](t *testing.T, dsn, query string) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var got T
	if err := conn.QueryRow(t.Context(), query).Scan(&got); err != nil {
		t.Fatal(err)
	}
	return got
}

func exec1(t *testing.T, dsn, query string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), query); err != nil {
		t.Fatal(err)
	}
}

func TestServerIsPrivateAndPlain(t *testing.T) {
	t.Parallel()
	s := start(t, postgres.Options{Dir: folder(t), Settings: quick})
	if got := ask[string](t, s.DSN, "SELECT current_database()"); got != "muster" {
		t.Errorf("database = %q", got)
	}
	if got := ask[string](t, s.DSN, "SHOW server_encoding"); got != "UTF8" {
		t.Errorf("encoding = %q, want UTF8", got)
	}
	if got := ask[bool](t, s.DSN, `SELECT 'Z' < 'a' AND 'z' < 'ä'`); !got {
		t.Error("text does not sort by its bytes")
	}
	for setting, want := range map[string]string{"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"} {
		if got := ask[string](t, s.DSN, "SHOW "+setting); got != want {
			t.Errorf("%s = %q, want %q", setting, got, want)
		}
	}
	open := fmt.Sprintf("postgres://muster:guess@127.0.0.1:%d/muster?sslmode=disable", s.Port)
	if conn, err := pgx.Connect(t.Context(), open); err == nil {
		conn.Close(t.Context())
		t.Error("a wrong password was accepted")
	}
	info, err := os.Stat(filepath.Join(s.Dir, "password"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("password file: %v, %v", info.Mode(), err)
	}
}

func TestDataStaysOverRestartsAndPortsOfOthers(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	s := start(t, postgres.Options{Dir: dir, Settings: quick})
	exec1(t, s.DSN, "CREATE TABLE kept AS SELECT 42 AS n")
	stop(t, s)
	select {
	case <-s.Done():
	default:
		t.Error("stopped, but Done is open")
	}

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, err = postgres.Start(t.Context(), postgres.Options{Dir: dir, Settings: quick, Port: taken.Addr().(*net.TCPAddr).Port})
	if err == nil || !strings.Contains(err.Error(), "Address already in use") {
		t.Errorf("a port set by hand that is taken: %v", err)
	}

	s = start(t, postgres.Options{Dir: dir, Settings: quick})
	if got := ask[int](t, s.DSN, "SELECT n FROM kept"); got != 42 {
		t.Errorf("n = %d after a restart, want 42", got)
	}
}

func TestOneProcessPerFolder(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	s := start(t, postgres.Options{Dir: dir, Settings: quick})
	if _, err := postgres.Start(t.Context(), postgres.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("second start: %v", err)
	}
	if got := ask[int](t, s.DSN, "SELECT 1"); got != 1 {
		t.Error("the first server was disturbed")
	}
}

// A process that starts a server and dies by kill -9 leaves a folder that the
// next Start takes over, with the committed rows.
func TestStartTakesOverAfterKill9(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	dsn, pid, kill := child(t, dir, nil)
	exec1(t, dsn, "CREATE TABLE kept AS SELECT 42 AS n")
	kill()
	s := start(t, postgres.Options{Dir: dir, Settings: quick})
	if s.PID == pid {
		t.Error("the server of the dead process was adopted, not replaced")
	}
	if got := ask[int](t, s.DSN, "SELECT n FROM kept"); got != 42 {
		t.Errorf("n = %d, want 42", got)
	}
}

// The postmaster itself is killed too: Postgres recovers.
func TestStartAfterTheServerWasKilled(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	dsn, pid, kill := child(t, dir, nil)
	exec1(t, dsn, "CREATE TABLE kept AS SELECT 42 AS n")
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	kill()
	s := start(t, postgres.Options{Dir: dir, Settings: quick})
	if got := ask[int](t, s.DSN, "SELECT n FROM kept"); got != 42 {
		t.Errorf("n = %d, want 42", got)
	}
}

// After a crash the postmaster's number may belong to any other program, here
// to this test.
func TestStartWithAPidFileOfAStranger(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	s := start(t, postgres.Options{Dir: dir, Settings: quick})
	stop(t, s)
	stale := fmt.Sprintf("%d\n%s/data\n1\n%d\n\n127.0.0.1\n", os.Getpid(), s.Dir, s.Port)
	if err := os.WriteFile(filepath.Join(s.Dir, "data", "postmaster.pid"), []byte(stale), 0o644); err != nil {
		t.Fatal(err)
	}
	start(t, postgres.Options{Dir: dir, Settings: quick})
}

func TestRootMayBeUnreachable(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // only root runs the server as somebody else
	}
	dir := filepath.Join(t.TempDir(), "closed", "pg") // the parent of TempDir is closed to nobody
	var log bytes.Buffer
	s := start(t, postgres.Options{Dir: dir, Settings: quick, Log: slog.New(slog.NewTextHandler(&log, nil))})
	t.Cleanup(func() { stop(t, s); os.RemoveAll(s.Dir) })
	if s.Dir == dir || !strings.HasPrefix(s.Dir, os.TempDir()) {
		t.Errorf("data in %s, want it below %s", s.Dir, os.TempDir())
	}
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), s.Dir) {
		t.Errorf("nobody is told that the data may be cleaned away: %s", log.String())
	}
}

// The same as an ordinary user: a root test run starts itself again as nobody.
func TestOrdinaryUser(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	var cred *syscall.Credential
	if os.Geteuid() == 0 {
		u, err := user.Lookup("nobody")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	dsn, _, kill := child(t, dir, cred)
	if got := ask[int](t, dsn, "SELECT 1"); got != 1 {
		t.Errorf("got %d", got)
	}
	kill()
}

const childDir = "MUSTER_POSTGRES_TEST_DIR"

// TestMain doubles as the process that is killed: it starts a server, says so
// and waits for its input to end.
func TestMain(m *testing.M) {
	dir := os.Getenv(childDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	s, err := postgres.Start(context.Background(), postgres.Options{Dir: dir, Settings: quick, NoFetch: true})
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	fmt.Println(s.DSN, s.PID)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// child starts a server in a process of its own; kill ends that process by
// SIGKILL and waits for it.
func child(t *testing.T, dir string, cred *syscall.Credential) (dsn string, pid int, kill func()) {
	t.Helper()
	self := filepath.Join(filepath.Dir(dir), "child.test") // where nobody can run it
	if err := copyFile(self, os.Args[0]); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Dir = filepath.Dir(dir)
	if cred != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
		cmd.Env = append(cmd.Env, "HOME="+dir)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		stdin.Close()
	}
	t.Cleanup(kill)
	if _, err := fmt.Fscan(stdout, &dsn, &pid); err != nil {
		rest, _ := io.ReadAll(stdout)
		t.Fatalf("child: %v: %s %s", err, dsn, rest)
	}
	return dsn, pid, kill
}

func copyFile(to, from string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(to, b, 0o755), os.Chmod(to, 0o755))
}
