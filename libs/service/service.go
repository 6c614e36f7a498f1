// Package service is what all programs share: settings, log, telemetry,
// metrics, health, the bus, the seal, and a start and stop without surprises.
//
//	func Run(ctx context.Context, host service.Host) error {
//		svc, err := service.Open(ctx, host, "ingress")
//		if err != nil {
//			return err
//		}
//		defer svc.Close()
//		svc.Check("store", store.Ready)
//		return svc.Run(ctx, "MUSTER_INGRESS_ADDR", handler, committer.Run)
//	}
//
// The same Run serves a process of its own ([Main]) and `muster up`, which
// runs all services in one process: nothing here is global.
package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/clock"
	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connectors"
	"github.com/muster-hr/muster/libs/mapping"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/secret"
	"github.com/muster-hr/muster/libs/telemetry"
)

// Host is the surroundings of a service: a process of its own, or `muster up`.
// The zero value of each field but Getenv works.
type Host struct {
	Getenv      func(string) string
	Stdout      io.Writer                 // log lines; nil: nowhere
	Clock       clock.Clock               // nil: the machine's, or with MUSTER_SANDBOX the one in the file MUSTER_CLOCK
	Server      *bus.Server               // broker in this process; nil: MUSTER_NATS_URL
	Seeds       map[string]string         // NKey seed by bus user, which is the service's name; else MUSTER_NATS_NKEY names a file
	Company     *config.Company           // nil: read from MUSTER_CONFIG
	ConsoleOTLP string                    // where traces go when no OTEL_EXPORTER_OTLP_ENDPOINT is set; "": MUSTER_CONSOLE_OTLP
	Listening   func(service, url string) // told each bound address
	Services    func() map[string]string  // name → base URL of every configured service, for the console; nil: MUSTER_SERVICES
	Spans       []sdktrace.SpanProcessor  // tests record spans with them
}

// Service is an opened service. Its fields are set by [Open] and not changed.
type Service struct {
	Name      string
	Log       *slog.Logger
	Tracer    trace.Tracer
	Telemetry *telemetry.Telemetry
	Metrics   *prometheus.Registry
	Clock     clock.Clock
	Getenv    func(string) string

	Company *config.Company // nil if opened with OpenBare
	Bus     *bus.Bus        // nil if opened with OpenBare
	Sealer  *seal.Sealer    // nil if opened with OpenBare

	host   Host
	ready  readiness
	closed []func(context.Context) // in the order of opening
}

// busTimeout is how long a service waits for its broker and the stream of the
// keys before it gives up and lets whoever started it decide; keysPause is the
// time between two looks.
const (
	busTimeout = time.Minute
	keysPause  = 250 * time.Millisecond
)

// closeTimeout bounds Close: what remains of the 20 s after the drain.
const closeTimeout = 3 * time.Second

// OpenBare opens what needs nothing around it: log, telemetry, metrics, clock.
// The sandbox has no more. The error is an [ErrConfig].
func OpenBare(ctx context.Context, host Host, name string) (*Service, error) {
	if host.Getenv == nil {
		host.Getenv = func(string) string { return "" }
	}
	if host.Stdout == nil {
		host.Stdout = io.Discard
	}
	if host.Clock == nil {
		host.Clock = clock.System{}
		if file := host.Getenv("MUSTER_CLOCK"); file != "" {
			if host.Getenv("MUSTER_SANDBOX") == "" {
				return nil, fmt.Errorf("%w: MUSTER_CLOCK is for the sandbox alone: set MUSTER_SANDBOX too, or neither", ErrConfig)
			}
			host.Clock = clock.Follow(file)
		}
	}
	level, err := telemetry.Level(host.Getenv("MUSTER_LOG_LEVEL"))
	if err != nil {
		return nil, fmt.Errorf("%w: MUSTER_LOG_LEVEL: %w", ErrConfig, err)
	}
	s := &Service{Name: name, Clock: host.Clock, Getenv: host.Getenv, Metrics: newRegistry(), host: host}
	s.Log = telemetry.NewLog(host.Stdout, name, level)
	otlp := host.ConsoleOTLP
	if otlp == "" {
		otlp = host.Getenv("MUSTER_CONSOLE_OTLP")
	}
	s.Telemetry, err = telemetry.Open(ctx, telemetry.Options{
		Service: name, Getenv: host.Getenv, ConsoleOTLP: otlp, Log: s.Log, Processors: host.Spans,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	s.Tracer = s.Telemetry.Tracer()
	s.closed = append(s.closed, func(ctx context.Context) {
		if err := s.Telemetry.Shutdown(ctx); err != nil {
			s.Log.WarnContext(ctx, "the last traces were not exported", "err", err)
		}
	})
	return s, nil
}

// Open opens a service with the company's folder, the bus and the seal. Errors
// are of the kind [ErrConfig] or [ErrEnvironment], or [ErrCalledOff] if ctx
// ends first.
func Open(ctx context.Context, host Host, name string) (*Service, error) {
	s, err := OpenBare(ctx, host, name)
	if err != nil {
		return nil, err
	}
	if err := s.open(ctx); err != nil {
		s.Close()
		if ctx.Err() != nil && !errors.Is(err, ErrConfig) {
			return nil, fmt.Errorf("%w: %w", ErrCalledOff, err)
		}
		return nil, err
	}
	return s, nil
}

func (s *Service) open(ctx context.Context) error {
	set, err := loadSettings(s.host, s.Name)
	if err != nil {
		return err
	}
	if s.Company = s.host.Company; s.Company == nil {
		company, problems := config.Load(set.folder, connectors.All)
		if len(problems) > 0 {
			return fmt.Errorf("%w: %s", ErrConfig, listed(problems))
		}
		if set.sandbox != "" {
			if err := company.UseSandbox(set.sandbox, set.doors); err != nil {
				return fmt.Errorf("%w: MUSTER_SANDBOX: %w", ErrConfig, err)
			}
		}
		s.Company = company
	}
	if set.sealingOff && s.Company.Environment == config.Production {
		return fmt.Errorf("%w: MUSTER_SEALING=off is refused for the environment production", ErrConfig)
	}
	master, err := seal.ParseMaster(set.masterKey)
	if err != nil {
		return fmt.Errorf("%w: MUSTER_MASTER_KEY: %w", ErrConfig, err)
	}
	waiting, cancel := context.WithTimeout(ctx, busTimeout)
	defer cancel()
	s.Bus, err = bus.Connect(waiting, bus.Options{
		URL: set.natsURL, Server: s.host.Server, Name: s.Name, NKeySeed: set.seed.Reveal(),
		Durability: bus.Durability(set.durability), Staged: set.staged, Log: s.Log,
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrEnvironment, err)
	}
	s.closed = append(s.closed, func(ctx context.Context) {
		if err := s.Bus.Close(); err != nil {
			s.Log.WarnContext(ctx, "leaving the bus", "err", err)
		}
	})
	s.Check("nats", s.Bus.Ping)
	s.Sealer, err = sealer(waiting, s.Bus, s.Company.Name, master, seal.Options{Off: set.sealingOff})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrEnvironment, err)
	}
	return nil
}

// sealer waits for the stream of the keys, which another program may be about
// to make.
func sealer(ctx context.Context, b *bus.Bus, company string, master seal.Master, o seal.Options) (*seal.Sealer, error) {
	for {
		s, err := seal.New(ctx, KeysOn(b, company), master, o)
		if err == nil || !errors.Is(err, bus.ErrUnavailable) && !errors.Is(err, bus.ErrNotFound) {
			return s, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(keysPause):
		}
	}
}

// Services gives the base URL of every configured service by name, as far as
// they are known; only the console asks.
func (s *Service) Services() map[string]string {
	if s.host.Services == nil {
		return nil
	}
	return s.host.Services()
}

// Close flushes traces and leaves the bus, the last opened first. Safe twice.
func (s *Service) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	for len(s.closed) > 0 {
		last := len(s.closed) - 1
		s.closed[last](ctx)
		s.closed = s.closed[:last]
	}
}

type settings struct {
	folder     string
	sandbox    string            // base URL of the fakes that stand for the vendors; "" for the vendors
	doors      map[string]string // addresses of the fakes that do not speak HTTP, as far as they were chosen
	natsURL    string
	seed       secret.Value
	masterKey  secret.Value
	durability string
	sealingOff bool
	staged     bool // the broker stages batches in memory
}

// loadSettings reads what every service takes.
func loadSettings(host Host, name string) (settings, error) {
	getenv := host.Getenv
	e := NewEnv(getenv)
	set := settings{
		sandbox:    e.String("MUSTER_SANDBOX", ""),
		natsURL:    e.String("MUSTER_NATS_URL", ""),
		masterKey:  e.Secret("MUSTER_MASTER_KEY"),
		durability: e.String("MUSTER_DURABILITY", "fsync", "fsync", "replicated", "os"),
		sealingOff: !e.Bool("MUSTER_SEALING", true),
		staged:     e.Bool("MUSTER_NATS_STAGED", false),
	}
	doors, err := config.ParseDoors(e.String("MUSTER_SANDBOX_DOORS", ""))
	if err != nil {
		e.problem("MUSTER_SANDBOX_DOORS", err.Error())
	}
	set.doors = doors
	if host.Company == nil {
		set.folder = e.Required("MUSTER_CONFIG", "name the company's folder")
	}
	if getenv("MUSTER_MASTER_KEY") == "" {
		e.problem("MUSTER_MASTER_KEY", "is not set: name the master key by reference, file:PATH or env:NAME")
	}
	if host.Server == nil && set.natsURL == "" {
		e.problem("MUSTER_NATS_URL", "is not set: name the broker, nats://host:4222")
	}
	if seed, ok := host.Seeds[name]; ok {
		set.seed = secret.New(seed)
	} else if file := getenv("MUSTER_NATS_NKEY"); file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			e.problem("MUSTER_NATS_NKEY", err.Error())
		}
		set.seed = secret.New(strings.TrimSpace(string(b)))
	}
	return set, e.Err()
}

// listed prints the problems of a folder, one a line with its fix.
func listed(problems []mapping.Problem) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d problems in the company's folder", len(problems))
	for _, p := range problems {
		fmt.Fprintf(&b, "\n%s:%d:%d: %s (%s)", p.File, p.Line, p.Column, p.Message, p.Code)
		if p.Fix != "" {
			fmt.Fprintf(&b, "\n    %s", p.Fix)
		}
	}
	return b.String()
}
