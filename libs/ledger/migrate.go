package ledger

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed migrations/*.sql
var migrations embed.FS

// monthsAhead is how many partitions stand ready after that of today.
const monthsAhead = 2

// lockMigrations is the advisory lock of whoever migrates; any number that
// nobody else in this database uses.
const lockMigrations = 0x6d757374 // "must"

// Migrate brings the tables to the form that this program wants, file by file
// in the order of their names, each once and in a transaction of its own.
// Several programs may call it at the same time. A migration must be safe for
// the program before it, which may still be running.
//
// Libraries for this (goose, tern) add down migrations, Go migrations, several
// databases and a command; we need none of these, and this is shorter than
// their configuration.
func (l *Ledger) Migrate(ctx context.Context) error {
	conn, err := l.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, lockMigrations); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer func() {
		short, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWithin)
		defer cancel()
		_, _ = conn.Exec(short, `SELECT pg_advisory_unlock($1)`, lockMigrations) // the lock ends with the connection at the latest
	}()
	if _, err := conn.Exec(ctx, `CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())`); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	files, err := fs.Glob(migrations, "migrations/*.sql") // sorted
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := apply(ctx, conn.Conn(), file); err != nil {
			return fmt.Errorf("migrate %s: %w", file, err)
		}
	}
	return nil
}

func apply(ctx context.Context, conn *pgx.Conn, file string) error {
	sql, err := migrations.ReadFile(file)
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `INSERT INTO migrations (name) VALUES ($1) ON CONFLICT DO NOTHING`, file)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		_, err = tx.Exec(ctx, string(sql))
		return err
	})
}

// Ahead makes the partitions of the month of now and the next ones. Cheap when
// they are there.
func (l *Ledger) Ahead(ctx context.Context, now time.Time) error {
	first := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	for i := range monthsAhead + 1 {
		if _, err := l.pool.Exec(ctx, `SELECT audit_month($1)`, first.AddDate(0, i, 0)); err != nil {
			return fmt.Errorf("make a partition ahead: %w", err)
		}
	}
	return nil
}
