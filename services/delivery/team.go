package delivery

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/telemetry"
	"github.com/muster-hr/muster/libs/topology"
)

// team writes a downstream team's own stream: minimised events in clear, with
// the attributes that outsiders need.
type team struct{ bus *bus.Bus }

// LastSequence reads the newest event of an employee, whatever its verb.
func (t team) LastSequence(ctx context.Context, name, id string) (sequence, at uint64, err error) {
	in, err := t.bus.Last(ctx, topology.TeamStream(name), topology.TeamEvent(name, "*", id))
	if errors.Is(err, bus.ErrNotFound) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	s, _ := in.Event.Extensions()["sequence"].(string)
	sequence, err = strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, 0, fault.New(fault.Target, "sequence", "the stream of team %s holds an event without a sequence", name)
	}
	return sequence, in.Seq, nil
}

// Append publishes one event unless another came first.
func (t team) Append(ctx context.Context, name string, e connector.TeamEvent, at uint64) error {
	ev := event.New(e.ID, "/muster/"+topology.TeamStream(name), e.Type, e.Data)
	ev.SetSubject(e.Employee)
	ev.SetTime(e.Time)
	ev.SetDataContentType("application/json")
	ev.SetDataSchema("https://muster-hr.github.io/schemas/" + e.Type + ".json")
	ev.SetExtension("sequence", fmt.Sprintf("%020d", e.Sequence))
	ev.SetExtension("partitionkey", e.Employee)
	if parent := telemetry.Traceparent(ctx); parent != "" {
		ev.SetExtension("traceparent", parent)
	}
	_, err := t.bus.Publish(ctx, topology.TeamStream(name), bus.Out{
		Subject: topology.TeamEvent(name, event.Verb(e.Type), e.Employee), Event: ev,
		Expect: &at, ExpectOn: topology.TeamEvent(name, "*", e.Employee),
	})
	if errors.Is(err, bus.ErrConflict) {
		return fault.New(fault.Transient, "conflict", "another event of this employee came first")
	}
	return err
}
