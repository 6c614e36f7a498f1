// Package audit writes down what happened.
//
// In: every stream but HINTS, KEYS and CONFIG, of which it reads the clear
// heads only; responses to surveys alone it opens, for what was chosen or
// counted in them. Out: Postgres (libs/ledger), where the console reads
// timelines, dead letters and facts of surveys, and the trimming of what all
// consumers have done with.
package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/ledger"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/secret"
	"github.com/muster-hr/muster/libs/service"
	"github.com/muster-hr/muster/libs/topology"
	"github.com/muster-hr/muster/services/audit/internal/keep"
)

// Name is the service's name on the bus, in traces and in logs.
const Name = "audit"

type settings struct {
	database  secret.Value
	trimEvery time.Duration
}

func loadConfig(getenv func(string) string) (settings, error) {
	e := service.NewEnv(getenv)
	c := settings{
		database:  secret.New(e.Required("MUSTER_DATABASE_URL", "name the Postgres database, postgres://user:password@host:5432/name")),
		trimEvery: e.Duration("MUSTER_TRIM_EVERY", time.Minute), // 0: never
	}
	return c, e.Err()
}

// Run works until ctx ends.
func Run(ctx context.Context, host service.Host) error {
	cfg, err := loadConfig(host.Getenv)
	if err != nil {
		return err
	}
	svc, err := service.Open(ctx, host, Name)
	if err != nil {
		return err
	}
	defer svc.Close()
	book, err := ledger.Open(ctx, cfg.database.Reveal())
	if err != nil {
		return fmt.Errorf("%w: MUSTER_DATABASE_URL: %w", service.ErrConfig, err)
	}
	defer book.Close()
	k := keep.New(svc.Bus, book, keep.Options{
		Codec:  &record.Codec{Sealer: svc.Sealer, Company: svc.Company.Name},
		Newest: newest(svc.Company), Streams: streams(svc), Trim: keep.Trimmed, TrimEvery: cfg.trimEvery,
		Log: svc.Log, Metrics: metrics(svc),
	})
	svc.Check("postgres", book.Ping)
	svc.Check("ledger", func(context.Context) error {
		if state := k.State(); state != "" {
			return service.NotReady(state)
		}
		return nil
	})
	return svc.Run(ctx, "MUSTER_AUDIT_ADDR", nil, k.Run)
}

// streams are those that the plan gives the audit a consumer on.
func streams(svc *service.Service) (names []string) {
	c := svc.Company
	for _, s := range bus.PlanFor(bus.Names{Sources: c.SourceNames(), Targets: c.TargetNames(), Teams: teams(svc)}).Streams {
		for _, consumer := range s.Consumers {
			if consumer.Name == topology.AuditAll {
				names = append(names, s.Name)
			}
		}
	}
	return names
}

// newest are the targets that take a person's newest state. Without a kind of
// their own it is the connector that says so (its Effects): of all of them only
// files, the stream of a team, and http if told so take every change.
func newest(c *config.Company) map[string]bool {
	out := map[string]bool{}
	for name, t := range c.Targets {
		states, told := t.Settings["state_like"].(bool)
		out[name] = t.Kind == config.KindState ||
			t.Kind == "" && t.Type.Files == nil && t.Connector != "nats" && (states || !told)
	}
	return out
}

// teams are named by the targets that publish to them.
func teams(svc *service.Service) (names []string) {
	for _, t := range svc.Company.Targets {
		if team, _ := t.Settings["team"].(string); t.Connector == "nats" && team != "" {
			names = append(names, team)
		}
	}
	return names
}

func metrics(svc *service.Service) keep.Metrics {
	rows := svc.Counter("muster_audit_rows_total", "Records written down, by stream.", "stream")
	lag := svc.Gauge("muster_lag_messages", "Messages that wait at a consumer.", "consumer")
	lost := svc.Counter("muster_audit_lost_rows_total", "Rows that the database lost and that could not be written again, by stream.", "stream")
	trimmed := svc.Counter("muster_audit_trims_total", "Subjects trimmed, by stream.", "stream")
	return keep.Metrics{
		Rows:    func(stream string, n int) { rows.WithLabelValues(stream).Add(float64(n)) },
		Lag:     func(stream string, n uint64) { lag.WithLabelValues(topology.AuditAll + "-" + stream).Set(float64(n)) },
		Lost:    func(stream string, n uint64) { lost.WithLabelValues(stream).Add(float64(n)) },
		Trimmed: func(stream string, n int) { trimmed.WithLabelValues(stream).Add(float64(n)) },
	}
}
