// Package poller reads what vendors only hint at, and sweeps for what they
// never hinted.
//
// In: HINTS of accounts that are sources, schedules. Out: RAW. It holds the
// sources' credentials. Reads of one key never overlap; hints of one key that
// wait are one read.
package poller

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector/httpx"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/service"
	"github.com/muster-hr/muster/libs/topology"
	"github.com/muster-hr/muster/services/poller/internal/poll"
)

// Name is the service's name on the bus, in traces and in logs.
const Name = "poller"

// inFlight is how many reads of one account run at once.
const inFlight = 8

// Run works until ctx ends.
func Run(ctx context.Context, host service.Host) error {
	svc, err := service.Open(ctx, host, Name)
	if err != nil {
		return err
	}
	defer svc.Close()
	var pollers []*poll.Poller
	dead := svc.Counter("muster_dead", "Dead letters by stage.", "stage").WithLabelValues("map")
	for _, name := range svc.Company.SourceNames() {
		src := svc.Company.Sources[name]
		reads, asks := src.Type.Reader != nil && src.Read, src.Type.Source != nil && src.Schedule > 0
		if src.Paused || !reads && !asks {
			continue
		}
		account, err := svc.Company.Account(&src.Account, config.ForAPI, svc.Getenv)
		if err != nil {
			return fmt.Errorf("%w: source %s: %w", service.ErrConfig, name, err)
		}
		account.Now, account.Log = svc.Clock.Now, svc.Log
		account.Transport = httpx.Transport(httpx.TransportOptions{BaseURL: src.BaseURL, InFlight: inFlight, AllowPrivate: src.AllowPrivate, Sandbox: src.SandboxHost, Tracer: svc.Telemetry.TracerProvider})
		account.Dial = httpx.Dial(src.BaseURL, src.AllowPrivate)
		d := poll.Deps{
			Bus: svc.Bus, Codec: record.Codec{Sealer: svc.Sealer, Company: svc.Company.Name}, Company: svc.Company.Name, Config: svc.Company.Version,
			Source: name, Schedule: src.Schedule, Bulk: src.Bulk, InFlight: inFlight, Clock: svc.Clock, Log: svc.Log, Tracer: svc.Tracer, Dead: dead.Inc,
		}
		if reads {
			if d.Reader, err = src.Type.Reader(account); err != nil {
				return fmt.Errorf("%w: source %s: %w", service.ErrConfig, name, err)
			}
			svc.Lag(topology.Hints, topology.PollerHints(name))
		}
		if asks {
			if d.Changes, err = src.Type.Source(account); err != nil {
				return fmt.Errorf("%w: source %s: %w", service.ErrConfig, name, err)
			}
		}
		pollers = append(pollers, poll.New(d))
	}
	return svc.Run(ctx, "MUSTER_POLLER_ADDR", nil, func(ctx context.Context) error {
		g, ctx := errgroup.WithContext(ctx)
		for _, p := range pollers {
			g.Go(func() error { return p.Run(ctx) })
		}
		g.Go(func() error { <-ctx.Done(); return nil })
		return g.Wait()
	})
}
