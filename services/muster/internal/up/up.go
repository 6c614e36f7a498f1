// Package up starts a whole Muster: broker, database, every service and, for
// the sandbox, every vendor as a fake; in one process, or each in a process of
// its own that is started again when it ends. The services are the same as in
// programs of their own; they meet in the streams here too.
package up

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/clock"
	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/service"
)

// Options say what to start. Getenv wins over what is chosen here.
type Options struct {
	Company       *config.Company
	Data          string // folder for keys, streams and the database
	Sandbox       bool
	Program       string // with it each service and the broker are a process of their own: this program with the hidden verbs; "": all in this one
	AddressesFile string // a second place to write addresses.json to; "" for none
	Getenv        func(string) string
	Log           io.Writer // every service's log lines
}

// System is a running Muster.
type System struct {
	Options
	Addresses Addresses

	log      *slog.Logger
	clock    *clock.Movable
	server   *bus.Server
	database *database
	lock     *os.File
	store    *os.File // lock of the broker's files
	env      map[string]string
	seeds    map[string]string
	services []*running
	urls     urls
	failed   chan error

	children // with Options.Program

	writing   sync.Mutex // of addresses.json
	published bool
}

// running is one service with the means to end it.
type running struct {
	name string
	last bool                        // the others lean on it
	stop func(context.Context) error // waits until it has ended, or ctx has
}

// readyTimeout bounds the start. A first start makes a database.
const readyTimeout = 60 * time.Second

// Start brings everything up and returns when every service is ready. On an
// error nothing is left running. It is [service.ErrCalledOff] if ctx ends first.
func Start(ctx context.Context, o Options) (_ *System, err error) {
	s := newSystem(o, "muster")
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	for _, step := range []func(context.Context) error{s.folder, s.keys, s.places, s.broker, s.postgres, s.serve, s.ready, s.publishAddresses} {
		if err := step(ctx); err != nil {
			if ctx.Err() != nil && !errors.Is(err, service.ErrConfig) {
				err = fmt.Errorf("%w: %w", service.ErrCalledOff, err)
			}
			return nil, err
		}
	}
	return s, nil
}

func newSystem(o Options, name string) *System {
	s := &System{Options: o, clock: &clock.Movable{}, env: map[string]string{}, failed: make(chan error, 32)}
	s.log = slog.New(slog.NewJSONHandler(o.Log, nil)).With("service", name)
	return s
}

// Failed gives the error of a service that ended by itself.
func (s *System) Failed() <-chan error { return s.failed }

// folder makes the data folder and keeps a second Muster out of it.
func (s *System) folder(context.Context) error {
	mode := os.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode = 0o711 // Postgres refuses to run as root; as nobody it must get through to its own folder
	}
	err := os.MkdirAll(s.Data, mode)
	if err == nil {
		err = os.Chmod(s.Data, mode)
	}
	if err != nil {
		return fmt.Errorf("%w: data folder: %w", service.ErrEnvironment, err)
	}
	s.Data, err = filepath.Abs(s.Data)
	if err != nil {
		return err
	}
	s.lock, err = lock(filepath.Join(s.Data, "lock"))
	return err
}

// stopWithin bounds Stop but for the database, which has its own limits: with
// them a Muster is gone 20 s after SIGTERM.
const stopWithin = 16 * time.Second

// Stop ends everything so that what is under way can finish: the services
// first, the broker and the database last.
func (s *System) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	s.removeAddresses()
	errs := []error{s.stopServices(ctx)}
	if s.database != nil {
		errs = append(errs, s.database.stop())
		s.database = nil
	}
	if s.server != nil {
		s.server.Shutdown()
	}
	ours := s.store != nil || s.nats != nil
	errs = append(errs, s.stopBroker(ctx))
	if ours {
		errs = append(errs, bus.Unstage(s.streamFiles()))
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
		s.store = nil
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
		s.lock = nil
	}
	return errors.Join(errs...)
}

// stopServices ends the services at once, then those that they lean on. Each
// leaves what it has not done in the streams, and one that waits for a vendor
// that does not answer may take its whole drain: one after another they would
// add up.
func (s *System) stopServices(ctx context.Context) error {
	errs := make([]error, len(s.services))
	for _, last := range []bool{false, true} {
		var wg sync.WaitGroup
		for i, r := range s.services {
			if r.last == last {
				wg.Go(func() { errs[i] = r.stop(ctx) })
			}
		}
		wg.Wait()
	}
	s.services = nil
	return errors.Join(errs...)
}

// urls are the addresses that services told.
type urls struct {
	mu   sync.Mutex
	byID map[string]string
}

func (u *urls) set(name, url string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.byID == nil {
		u.byID = map[string]string{}
	}
	u.byID[name] = url
}

func (u *urls) all() map[string]string {
	u.mu.Lock()
	defer u.mu.Unlock()
	out := make(map[string]string, len(u.byID))
	for k, v := range u.byID {
		out[k] = v
	}
	return out
}
