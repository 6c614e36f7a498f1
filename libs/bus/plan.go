package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/muster-hr/muster/libs/topology"
	"github.com/nats-io/nats.go/jetstream"
)

// Names are the names in a company's configuration that shape the streams.
type Names struct {
	Sources  []string
	Targets  []string
	Teams    []string // `bi` for the target `team-bi`
	Replicas int      // servers that keep each message; default 1
}

// Plan is all streams and durable consumers of a company.
type Plan struct {
	Replicas int
	Streams  []StreamPlan
}

// StreamPlan is one stream. None has a limit of age, number or size: what the
// server drops by itself is lost without anybody knowing. The audit trims what
// all consumers have acknowledged.
type StreamPlan struct {
	Name     string
	What     string
	Subjects []string

	WorkQueue     bool // a message is gone when it is acknowledged
	OnePerSubject bool // a new message replaces the one before it
	Batch         bool // takes atomic batches
	Rollup        bool // a message may replace all of its subject
	Schedules     bool // takes messages that fire later
	Deletable     bool // single messages may be deleted

	Consumers []ConsumerPlan
}

// ConsumerPlan is one durable pull consumer.
type ConsumerPlan struct {
	Name    string
	Filters []string
	// AckAll: an acknowledgement includes all messages before it. Only where no
	// message goes before it was acknowledged: one that is replaced on its
	// subject while it is under way counts as acknowledged, and with AckAll so
	// would all before it, which nobody has seen.
	AckAll bool
}

// AckWait is how long a delivered message may stay unacknowledged before it
// comes again. Long, because feeds start again from the acknowledgement floor
// by themselves.
const AckWait = 5 * time.Minute

// MaxAckPending is how many messages a consumer has under way at most.
const MaxAckPending = 4096

// PlanFor lists the streams of a company in the order a change meets them.
func PlanFor(n Names) Plan {
	all := func(prefix string) []string { return []string{prefix + ".>"} }
	plan := Plan{
		Replicas: max(1, n.Replicas),
		Streams: []StreamPlan{
			{Name: topology.Hints, What: "look at this key", Subjects: all("hr.hint"), WorkQueue: true, OnePerSubject: true},
			{Name: topology.Raw, What: "records as received", Subjects: all("hr.raw"), Batch: true},
			{Name: topology.People, What: "statements, match keys, employees, leavers", Batch: true, Rollup: true,
				Subjects: []string{"hr.said.>", "hr.match.>", "hr.employee.>", "hr.leaver.>"}},
			{Name: topology.Delivered, What: "intents and outcomes", Subjects: all("hr.delivered"), Batch: true},
			{Name: topology.Parked, What: "what waits, and its wake-ups", Rollup: true, Schedules: true,
				Subjects: []string{"hr.parked.>", "hr.wake.>", "hr.due.>", "hr.waits.>", "hr.moved.>"}},
			{Name: topology.Dead, What: "given up", Subjects: all("hr.dead")},
			{Name: topology.Decisions, What: "what people decided", Subjects: all("hr.decide")},
			{Name: topology.Audit, What: "what is in no other stream", Subjects: all("hr.audit")},
			{Name: topology.Keys, What: "wrapped data keys", Subjects: all("hr.key"), OnePerSubject: true, Batch: true, Rollup: true, Deletable: true},
			{Name: topology.Config, What: "the running configuration", Subjects: all("hr.config")},
			{Name: topology.Surveys, What: "answers", Subjects: all("hr.survey")},
		},
	}
	for _, team := range n.Teams {
		plan.Streams = append(plan.Streams, StreamPlan{
			Name: topology.TeamStream(team), What: "events for a team", Subjects: all("hr.team." + team),
			Consumers: []ConsumerPlan{{Name: team, Filters: all("hr.team." + team)}},
		})
	}

	consume := func(stream string, c ConsumerPlan) {
		for i := range plan.Streams {
			if plan.Streams[i].Name == stream {
				plan.Streams[i].Consumers = append(plan.Streams[i].Consumers, c)
			}
		}
	}
	isSource := make(map[string]bool)
	for _, s := range n.Sources {
		isSource[s] = true
		consume(topology.Hints, ConsumerPlan{Name: topology.PollerHints(s), Filters: all("hr.hint." + s)})
	}
	consume(topology.Raw, ConsumerPlan{Name: topology.TransformRaw, Filters: all("hr.raw")})
	consume(topology.Decisions, ConsumerPlan{Name: topology.TransformRaw, Filters: all("hr.decide.transform")})
	for _, t := range n.Targets {
		if !isSource[t] { // hints of an account that is only a target
			consume(topology.Hints, ConsumerPlan{Name: topology.DeliveryHints(t), Filters: all("hr.hint." + t)})
		}
		consume(topology.People, ConsumerPlan{Name: topology.DeliveryPeople(t), Filters: all("hr.employee")})
		consume(topology.People, ConsumerPlan{Name: topology.DeliveryLeavers(t), Filters: all("hr.leaver")})
		consume(topology.Parked, ConsumerPlan{Name: topology.DeliveryDue(t), Filters: all("hr.due." + t)})
		consume(topology.Decisions, ConsumerPlan{Name: topology.DeliveryPeople(t), Filters: all("hr.decide." + topology.DeliveryPeople(t))})
	}
	for i := range plan.Streams {
		switch s := &plan.Streams[i]; s.Name {
		case topology.Hints, topology.Keys, topology.Config:
		default:
			s.Consumers = append(s.Consumers, ConsumerPlan{Name: topology.AuditAll, Filters: s.Subjects, AckAll: !s.replaces()})
		}
	}
	return plan
}

// Ensure makes the streams and consumers of a plan, or brings existing ones in
// line with it. What is no longer planned stays: a person removes it. A pause
// of a consumer stays too. Needs the rights of the admin.
func Ensure(ctx context.Context, admin *Bus, p Plan) error {
	for _, s := range p.Streams {
		if _, err := admin.js.CreateOrUpdateStream(ctx, s.config(p.Replicas)); err != nil {
			return fmt.Errorf("make stream %s: %w", s.Name, classify(ctx, err))
		}
		for _, c := range s.Consumers {
			config := c.config()
			info, err := admin.consumerInfo(ctx, s.Name, c.Name)
			switch {
			case err == nil && info.Paused:
				config.PauseUntil = info.Config.PauseUntil
			case err != nil && !errors.Is(err, ErrNotFound):
				return fmt.Errorf("make consumer %s on %s: %w", c.Name, s.Name, err)
			}
			if _, err := admin.js.CreateOrUpdateConsumer(ctx, s.Name, config); err != nil {
				return fmt.Errorf("make consumer %s on %s: %w", c.Name, s.Name, classify(ctx, err))
			}
		}
	}
	return nil
}

// replaces tells whether a message may go before its consumers have
// acknowledged it, because a newer one takes its place or somebody purges.
func (s StreamPlan) replaces() bool { return s.Rollup || s.OnePerSubject || s.Schedules || s.Deletable }

func (s StreamPlan) config(replicas int) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name:               s.Name,
		Description:        s.What,
		Subjects:           s.Subjects,
		Storage:            jetstream.FileStorage,
		Replicas:           max(1, replicas),
		Discard:            jetstream.DiscardNew, // a full disk refuses, it does not forget
		MaxMsgsPerSubject:  -1,
		AllowDirect:        true,
		AllowAtomicPublish: s.Batch,
		AllowRollup:        s.Rollup,
		AllowMsgSchedules:  s.Schedules,
		DenyDelete:         !s.Deletable && !s.WorkQueue,
	}
	if s.WorkQueue {
		c.Retention = jetstream.WorkQueuePolicy
	}
	if s.OnePerSubject {
		c.MaxMsgsPerSubject = 1
		c.Discard = jetstream.DiscardOld
	}
	if s.Schedules {
		c.Discard = jetstream.DiscardOld // the server wants it so; without limits nothing is discarded
	}
	return c
}

func (c ConsumerPlan) config() jetstream.ConsumerConfig {
	config := jetstream.ConsumerConfig{
		Durable:       c.Name,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       AckWait,
		MaxDeliver:    -1, // never skipped by the server
		MaxAckPending: MaxAckPending,
	}
	if c.AckAll {
		config.AckPolicy = jetstream.AckAllPolicy
	}
	if len(c.Filters) == 1 {
		config.FilterSubject = c.Filters[0]
	} else {
		config.FilterSubjects = c.Filters
	}
	return config
}
