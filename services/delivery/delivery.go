// Package delivery brings one target to what every employee's newest state
// asks for: only the fields the integration allows, in order per employee, with
// one effect.
//
// In: PEOPLE, wake-ups. Out: the target's API, DELIVERED, PARKED, DEAD, and
// RAW for accounts that are also sources. One runs per target and holds that
// target's credentials alone.
package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/service"
	"github.com/muster-hr/muster/libs/topology"
	"github.com/muster-hr/muster/services/delivery/internal/deliver"
)

// addr is the setting with the address of health and metrics.
const addr = "MUSTER_DELIVERY_ADDR"

// Name is the service's name for one target on the bus, in traces and in logs.
func Name(target string) string { return "delivery-" + target }

// Run serves the target named by MUSTER_TARGET.
func Run(ctx context.Context, host service.Host) error {
	target := host.Getenv("MUSTER_TARGET")
	if target == "" {
		return fmt.Errorf("%w: MUSTER_TARGET is not set: name the target to deliver to", service.ErrConfig)
	}
	return RunTarget(target)(ctx, host)
}

// RunTarget serves one target.
func RunTarget(target string) func(context.Context, service.Host) error {
	return func(ctx context.Context, host service.Host) error {
		svc, err := service.Open(ctx, host, Name(target))
		if err != nil {
			return err
		}
		defer svc.Close()
		to := svc.Company.Targets[target]
		if to == nil {
			return fmt.Errorf("%w: there is no targets/%s.yaml", service.ErrConfig, target)
		}
		if to.Paused { // as somebody wanted it, so ready; the changes wait in PEOPLE
			svc.Log.WarnContext(ctx, "the target is paused: nothing is delivered", "target", target)
			return svc.Run(ctx, addr, nil)
		}
		sink, files, err := open(svc, to)
		if err != nil {
			return fmt.Errorf("%w: target %s: %w", service.ErrConfig, target, err)
		}
		d, err := deliver.New(deliver.Deps{
			Bus: svc.Bus, Codec: record.Codec{Sealer: svc.Sealer, Company: svc.Company.Name}, Company: svc.Company, Target: to, Sink: sink, Files: files,
			Clock: svc.Clock, Log: svc.Log, Tracer: svc.Tracer, Metrics: counters(svc, target),
		})
		if err != nil {
			return err
		}
		svc.Lag(topology.People, topology.DeliveryPeople(target))
		return svc.Run(ctx, addr, nil, d.Run)
	}
}

func counters(svc *service.Service, target string) deliver.Metrics {
	attempts := svc.Counter("muster_delivery_attempts_total", "Delivery attempts by outcome.", "target", "outcome")
	latency := svc.Histogram("muster_delivery_latency_seconds", "From accepted to applied.", "target").WithLabelValues(target)
	parked := svc.Gauge("muster_parked", "Employees parked at the target.", "target").WithLabelValues(target)
	dead := svc.Counter("muster_dead", "Dead letters by stage.", "stage").WithLabelValues("deliver")
	open := svc.Gauge("muster_breaker_state", "1 while the target is stopped.", "target").WithLabelValues(target)
	return deliver.Metrics{
		Attempt: func(outcome string) { attempts.WithLabelValues(target, outcome).Inc() },
		Latency: func(d time.Duration) { latency.Observe(d.Seconds()) },
		Parked:  func(n int) { parked.Set(float64(n)) },
		Dead:    dead.Inc,
		Breaker: func(on bool) {
			if on {
				open.Set(1)
			} else {
				open.Set(0)
			}
		},
	}
}
