package up

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/muster-hr/muster/libs/postgres"
	"github.com/muster-hr/muster/libs/service"
)

// databasePause is the time between two tries to start the database again.
const databasePause = 500 * time.Millisecond

// database is the local Postgres. One that ends by itself is started again on
// the same port, so that what the services know of it stays true.
type database struct {
	end  context.CancelFunc
	done chan error // gives how the last server stopped
}

// postgres starts a local database unless one is named.
func (s *System) postgres(ctx context.Context) error {
	if url := s.Getenv("MUSTER_DATABASE_URL"); url != "" {
		s.env["MUSTER_DATABASE_URL"] = url
		return nil
	}
	port, err := anyPort(ctx)
	if err != nil {
		return err
	}
	options := postgres.Options{Dir: filepath.Join(s.Data, "postgres"), Port: port, Log: s.log}
	server, err := postgres.Start(ctx, options)
	if err != nil {
		return fmt.Errorf("%w: %w", service.ErrEnvironment, err)
	}
	s.env["MUSTER_DATABASE_URL"] = server.DSN
	running, end := context.WithCancel(context.WithoutCancel(ctx)) // ended by Stop, after all services
	s.database = &database{end: end, done: make(chan error, 1)}
	go func() { s.database.done <- s.keepDatabase(running, server, options) }()
	return nil
}

func (s *System) keepDatabase(ctx context.Context, server *postgres.Server, o postgres.Options) error {
	for {
		select {
		case <-ctx.Done():
			return server.Stop()
		case <-server.Done():
		}
		s.log.WarnContext(ctx, "the database ended and is started again")
		_ = server.Stop() // gives the folder free
		for {
			again, err := postgres.Start(ctx, o)
			if err == nil {
				server = again
				break
			}
			s.log.ErrorContext(ctx, "the database could not be started again", "err", err)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(databasePause):
			}
		}
	}
}

func (d *database) stop() error {
	d.end()
	return <-d.done
}
