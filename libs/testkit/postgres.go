package testkit

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/muster-hr/muster/libs/postgres"
)

// Postgres gives a fresh database on the one server of this test process, which
// the first call starts from what the machine has. The database is dropped when
// the test ends; the server ends with the process.
func Postgres(t testing.TB) (dsn string) {
	t.Helper()
	return clone(t, "template1")
}

// PostgresWith is Postgres with tables in it: migrate runs once per process and
// name, in a template of which every test gets a copy.
func PostgresWith(t testing.TB, name string, migrate func(ctx context.Context, dsn string) error) (dsn string) {
	t.Helper()
	s := server(t)
	s.mu.Lock()
	template, done := s.templates[name]
	if !done {
		template = fmt.Sprintf("template_%d", len(s.templates))
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		err := s.exec(ctx, "CREATE DATABASE "+template)
		if err == nil {
			err = migrate(ctx, s.dsn(template))
		}
		if err != nil {
			s.mu.Unlock()
			t.Fatalf("make the template %s: %v", name, err)
		}
		s.templates[name] = template
	}
	s.mu.Unlock()
	return clone(t, template)
}

// StopPostgres ends the server of this process, if one was started. Only a
// TestMain that looks for leaked goroutines needs it.
func StopPostgres() {
	if !shared.started {
		return
	}
	if err := shared.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

type testServer struct {
	*postgres.Server
	once      sync.Once
	started   bool
	err       error
	mu        sync.Mutex // serialises copies: a template must have no other user
	templates map[string]string
	databases int
}

var shared testServer

func server(t testing.TB) *testServer {
	t.Helper()
	shared.once.Do(func() {
		shared.templates = make(map[string]string)
		shared.Server, shared.err = startServer()
		shared.started = shared.err == nil
	})
	if shared.err != nil {
		t.Fatalf("this test needs Postgres: %v", shared.err)
	}
	return &shared
}

// startServer takes the first folder that no other test process uses. Folders
// stay, so that the next run need not make one, and there are never more than
// ran at the same time. Nothing in them matters: one that does not start is
// made anew.
func startServer() (*postgres.Server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	o := postgres.Options{Settings: map[string]string{
		"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
		"shared_buffers": "32MB", "max_connections": "60",
	}}
	base := filepath.Join(os.TempDir(), fmt.Sprintf("muster-testkit-%d", os.Geteuid()))
	const most = 16
	var last error
	for i := range most {
		o.Dir = filepath.Join(base, fmt.Sprint(i))
		s, err := postgres.Start(ctx, o)
		if err == nil {
			return s, dropOld(ctx, s.DSN)
		}
		last = err
		if errors.Is(err, postgres.ErrInUse) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(o.Dir, "data")); err != nil {
			return nil, err
		}
		if s, err = postgres.Start(ctx, o); err == nil {
			return s, nil
		}
		return nil, err
	}
	return nil, last
}

// dropOld removes what an earlier process left.
func dropOld(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // the work is done or has failed already
	rows, err := conn.Query(ctx, `SELECT datname FROM pg_database WHERE datname ~ '^(test|template)_\d+$'`)
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := conn.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			return err
		}
	}
	return nil
}

func clone(t testing.TB, template string) string {
	t.Helper()
	s := server(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s.mu.Lock()
	s.databases++
	name := fmt.Sprintf("test_%d", s.databases)
	err := s.exec(ctx, "CREATE DATABASE "+name+" TEMPLATE "+template)
	s.mu.Unlock()
	if err != nil {
		t.Fatalf("make a database: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the database: %v", err)
		}
	})
	return s.dsn(name)
}

func (s *testServer) exec(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, s.DSN)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // the work is done or has failed already
	_, err = conn.Exec(ctx, sql)
	return err
}

// dsn is the server's with another database.
func (s *testServer) dsn(database string) string {
	u, err := url.Parse(s.DSN)
	if err != nil {
		panic(err) // made by libs/postgres
	}
	u.Path = "/" + database
	return u.String()
}
