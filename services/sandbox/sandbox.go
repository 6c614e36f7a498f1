// Package sandbox is every vendor of a company as a fake with memory, behind
// one address: what the demo plays with and what end-to-end tests look at.
//
// In: calls to `/<account>/…`, and at doors of their own to the fakes that do
// not speak HTTP; orders under `/_sandbox/…`. Out: webhooks to
// ingress, signed as the vendor would. It is refused for a company of
// environment production.
package sandbox

import (
	"context"
	"fmt"
	"time"

	"github.com/muster-hr/muster/libs/clock"
	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connectors"
	"github.com/muster-hr/muster/libs/service"
	"github.com/muster-hr/muster/services/sandbox/internal/play"
)

// Name is the service's name in traces and in logs.
const Name = "sandbox"

// Options are for `muster up`, which shares a clock with all services.
type Options struct {
	SetClock func(time.Time) bool // moves all services; nil: the clock in the file MUSTER_CLOCK, else it cannot be moved
	Ingress  func() string        // base URL of ingress; nil: MUSTER_INGRESS_URL
}

// Run works until ctx ends.
func Run(ctx context.Context, host service.Host) error { return RunWith(Options{})(ctx, host) }

// RunWith is Run with what only `muster up` has.
func RunWith(o Options) func(context.Context, service.Host) error {
	return func(ctx context.Context, host service.Host) error {
		svc, err := service.OpenBare(ctx, host, Name)
		if err != nil {
			return err
		}
		defer svc.Close()
		company := host.Company
		if company == nil {
			loaded, problems := config.Load(host.Getenv("MUSTER_CONFIG"), connectors.All)
			if len(problems) > 0 {
				return fmt.Errorf("%w: %d problems in the company's folder; `muster validate` lists them", service.ErrConfig, len(problems))
			}
			company = loaded
		}
		if company.Environment == config.Production {
			return fmt.Errorf("%w: company %s is of environment production: it has no sandbox", service.ErrConfig, company.Name)
		}
		ingress := o.Ingress
		if ingress == nil {
			ingress = func() string { return host.Getenv("MUSTER_INGRESS_URL") }
		}
		set := o.SetClock
		if shared, ok := svc.Clock.(*clock.File); set == nil && ok {
			set = shared.Set
		}
		doors, err := places(company, host.Getenv)
		if err != nil {
			return fmt.Errorf("%w: MUSTER_SANDBOX_DOORS: %w", service.ErrConfig, err)
		}
		stage := play.New(company, play.Options{Now: svc.Clock.Now, SetClock: set, Ingress: ingress, Settings: host.Getenv("MUSTER_SANDBOX_SETTINGS"), Log: svc.Log})
		if err := stage.Listen(ctx, doors); err != nil {
			return fmt.Errorf("%w: %w", service.ErrEnvironment, err)
		}
		return svc.Run(ctx, "MUSTER_SANDBOX_ADDR", stage, stage.Run)
	}
}

// places says where the fakes listen that do not speak HTTP, as every other
// service reckons it.
func places(company *config.Company, getenv func(string) string) (map[string]string, error) {
	named, err := config.ParseDoors(getenv("MUSTER_SANDBOX_DOORS"))
	if err != nil {
		return nil, err
	}
	return company.PlaceDoors(getenv("MUSTER_SANDBOX_ADDR"), named)
}
