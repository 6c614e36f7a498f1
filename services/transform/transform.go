// Package transform turns what sources say into what is true about employees.
//
// In: RAW, the clock. Out: PEOPLE (statements, employees, match keys, leaver
// pointers), SURVEYS, DEAD, AUDIT. It calls nobody and holds no credentials; one active
// copy runs per company.
package transform

import (
	"context"

	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/service"
	"github.com/muster-hr/muster/libs/topology"
	"github.com/muster-hr/muster/services/transform/internal/pipeline"
)

// Name is the service's name on the bus, in traces and in logs.
const Name = "transform"

// Run works until ctx ends.
func Run(ctx context.Context, host service.Host) error {
	svc, err := service.Open(ctx, host, Name)
	if err != nil {
		return err
	}
	defer svc.Close()
	p, err := pipeline.New(pipeline.Deps{
		Bus: svc.Bus, Codec: record.Codec{Sealer: svc.Sealer, Company: svc.Company.Name}, Company: svc.Company,
		Clock: svc.Clock, Log: svc.Log, Tracer: svc.Tracer, Metrics: counters(svc),
	})
	if err != nil {
		return err
	}
	svc.Lag(topology.Raw, topology.TransformRaw)
	return svc.Run(ctx, "MUSTER_TRANSFORM_ADDR", nil, p.Run)
}

func counters(svc *service.Service) pipeline.Metrics {
	records := svc.Counter("muster_records_total", "Records by source and what came of them.", "source", "outcome")
	changes := svc.Counter("muster_changes_total", "Changes of employees by event type.", "type")
	dead := svc.Counter("muster_dead", "Dead letters by stage.", "stage")
	return pipeline.Metrics{
		Record: func(source, outcome string) { records.WithLabelValues(source, outcome).Inc() },
		Change: func(typ string) { changes.WithLabelValues(typ).Inc() },
		Dead:   func(stage string) { dead.WithLabelValues(stage).Inc() },
	}
}
