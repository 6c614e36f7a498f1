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
	r := receive.New(receive.Deps{
		Bus: svc.Bus, Codec: record.Codec{Sealer: svc.Sealer, Company: svc.Company.Name}, Company: svc.Company.Name, Config: svc.Company.Version,
		Clock: svc.Clock, Log: svc.Log, Tracer: svc.Tracer,
		Count: func(source, code string) { requests.WithLabelValues(source, code).Inc() },
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
