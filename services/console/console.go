// Package console is where people look: who somebody is and where they were
// sent, what happened to them, one trace from the webhook to the last target,
// and what was given up.
//
//	bus (newest states) ──┐
//	Postgres (ledger) ────┼──► API under /api/v1, pages
//	OTLP from services ───┘
//
// It keeps nothing but traces, in memory.
package console

import (
	"context"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/service"
	"github.com/muster-hr/muster/services/console/internal/fleet"
	"github.com/muster-hr/muster/services/console/internal/people"
	"github.com/muster-hr/muster/services/console/internal/traces"
	"github.com/muster-hr/muster/services/console/internal/web"
)

// Name is the service's name: its bus user, its service.name.
const Name = "console"

// Run serves the console until ctx ends. It is ready when every configured
// service is.
func Run(ctx context.Context, host service.Host) error {
	svc, err := service.Open(ctx, host, Name)
	if err != nil {
		return err
	}
	defer svc.Close()
	cfg, err := loadSettings(svc.Getenv)
	if err != nil {
		return err
	}
	if len(cfg.tokens) == 0 {
		svc.Log.WarnContext(ctx, "neither MUSTER_API_TOKEN nor MUSTER_APPROVER_TOKEN is set: the API refuses everybody")
	}
	evidence, err := openLedger(ctx, cfg.databaseURL)
	if err != nil {
		return err
	}
	defer evidence.Close()
	svc.Check("postgres", evidence.Ping)

	others := &fleet.Fleet{Self: Name, Services: svc.Services}
	if len(cfg.services) > 0 {
		others.Services = func() map[string]string { return cfg.services }
	}
	svc.CheckAll(others.Ready)

	kept := traces.NewStore(traces.Limits{Traces: cfg.keepTraces, Spans: cfg.keepSpans})
	svc.GaugeOf("muster_console_spans", "Spans kept in memory.", nil, func() float64 {
		_, spans := kept.Len()
		return float64(spans)
	})
	server := &web.Server{
		People: &people.Directory{Log: svc.Bus, Sealer: svc.Sealer, Company: svc.Company.Name, Targets: accounts(svc.Company)},
		Ledger: evidence, Traces: kept, Tokens: cfg.tokens, Now: svc.Clock.Now, Log: svc.Log,
	}
	return svc.Run(ctx, "MUSTER_CONSOLE_ADDR", server.Handler())
}

func accounts(c *config.Company) []people.Account {
	var out []people.Account
	for _, name := range c.TargetNames() {
		out = append(out, people.Account{Name: name, Source: c.Targets[name].Source})
	}
	return out
}
