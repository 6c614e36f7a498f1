// Package ingress takes what vendors push.
//
// In: webhooks. Out: RAW for records, HINTS for "look at this key", DEAD for
// authentic calls that cannot be read, AUDIT for counts of refused ones. It
// holds the webhook secrets and calls nobody. 2xx is said only after what was
// sent is durable.
package ingress

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/service"
	"github.com/muster-hr/muster/services/ingress/internal/receive"
)

// Name is the service's name on the bus, in traces and in logs.
const Name = "ingress"

// Run works until ctx ends.
func Run(ctx context.Context, host service.Host) error {
	svc, err := service.Open(ctx, host, Name)
	if err != nil {
		return err
	}
	defer svc.Close()
	requests := svc.Counter("muster_ingress_requests_total", "Webhook calls by source and answer.", "source", "code")
	heard := lastHeard(svc)
	r := receive.New(receive.Deps{
		Bus: svc.Bus, Codec: record.Codec{Sealer: svc.Sealer, Company: svc.Company.Name}, Company: svc.Company.Name, Config: svc.Company.Version,
		Clock: svc.Clock, Log: svc.Log, Tracer: svc.Tracer,
		Count: func(source, code string) {
			requests.WithLabelValues(source, code).Inc()
			if at := heard[source]; at != nil && code < "300" {
				at.Store(time.Now().UnixNano())
			}
		},
	})
	for _, name := range svc.Company.SourceNames() {
		src := svc.Company.Sources[name]
		if src.Type.Webhook == nil || !src.Webhook {
			continue
		}
		account, err := svc.Company.Account(&src.Account, config.ForWebhook, svc.Getenv)
		if err != nil {
			return fmt.Errorf("%w: source %s: %w", service.ErrConfig, name, err)
		}
		account.Now, account.Log = svc.Clock.Now, svc.Log
		hook, err := src.Type.Webhook(account)
		if err != nil {
			return fmt.Errorf("%w: source %s: %w", service.ErrConfig, name, err)
		}
		r.Add(name, hook, src.Paused)
	}
	return svc.Run(ctx, "MUSTER_INGRESS_ADDR", r, r.Run)
}

// lastHeard keeps when each source was last heard of and shows how long ago that
// is; a source that was never heard of counts from our start.
func lastHeard(svc *service.Service) map[string]*atomic.Int64 {
	heard := map[string]*atomic.Int64{}
	for _, name := range svc.Company.SourceNames() {
		if !svc.Company.Sources[name].Webhook {
			continue
		}
		at := &atomic.Int64{}
		at.Store(time.Now().UnixNano())
		heard[name] = at
		svc.GaugeOf("muster_source_quiet_seconds", "Since the source was last heard of.", prometheus.Labels{"source": name},
			func() float64 { return time.Since(time.Unix(0, at.Load())).Seconds() })
	}
	return heard
}
