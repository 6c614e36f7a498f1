package up

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/service"
)

// Prepare writes what programs that are started by somebody else share: keys
// and tokens as for `muster up`, the password of a Postgres, and the
// configuration of a NATS server that keeps its streams in storeDir. What is
// there already stays, but for the server's configuration, which follows the
// company. With an owner everything in the folder becomes that user's.
func Prepare(ctx context.Context, o Options, storeDir string, owner int) error {
	s := newSystem(o, "prepare")
	if err := os.MkdirAll(s.Data, 0o700); err != nil {
		return fmt.Errorf("%w: data folder: %w", service.ErrEnvironment, err)
	}
	if err := s.keys(ctx); err != nil {
		return err
	}
	password, err := kept(filepath.Join(s.Data, "postgres.password"), randomToken)
	if err != nil {
		return err
	}
	// libpq, "The Password File": hostname:port:database:username:password.
	if err := writeAtomic(filepath.Join(s.Data, "pgpass"), []byte("*:*:*:*:"+password+"\n")); err != nil {
		return err
	}
	users, err := s.allowed()
	if err != nil {
		return err
	}
	if err := writeAtomic(filepath.Join(s.Data, "nats.conf"), bus.ServerConfig(users, storeDir, 4222)); err != nil {
		return err
	}
	if owner < 0 {
		return nil
	}
	err = filepath.WalkDir(s.Data, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, owner, owner)
	})
	if err != nil {
		return fmt.Errorf("%w: give the data folder away: %w", service.ErrEnvironment, err)
	}
	return nil
}

// Streams makes the streams and the secret behind all tokens on the broker
// named by MUSTER_NATS_URL, with the keys that Prepare made.
func Streams(ctx context.Context, o Options) error {
	s := newSystem(o, "prepare")
	url := s.Getenv("MUSTER_NATS_URL")
	if url == "" {
		return fmt.Errorf("%w: MUSTER_NATS_URL is not set: name the broker, nats://host:4222", service.ErrConfig)
	}
	if err := s.keys(ctx); err != nil {
		return err
	}
	return s.streams(ctx, bus.Options{Name: bus.UserAdmin, NKeySeed: s.seeds[bus.UserAdmin], URL: url, Log: s.log})
}
