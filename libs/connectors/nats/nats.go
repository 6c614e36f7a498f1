// Package natsconn is the connector for teams inside the company: each change
// of a person becomes one event on the team's own stream, in clear, with the
// allowed fields only.
//
// It is the one connector that calls nobody: the account hands it the team's
// log, so that it stays free of the bus. What it appends is
//
//	{"id", "version", "effective", "changed": [paths], "employee": {allowed fields}}
package natsconn

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

// Type is the connector's line in the table. It ships no mapping: without one,
// the body of a delivery is the minimised canonical person itself, and that is
// what a team gets as "employee".
var Type = connector.Type{
	Sink: newSink,
	Settings: map[string]connector.Setting{
		"team": {Kind: connector.SettingText, Doc: "Name of the team; unset: the target's name without a leading team-."},
	},
}

// sink appends to one team's log.
type sink struct {
	team string
	log  connector.TeamLog
	now  func() time.Time
}

// teamName is a single token of a subject and part of a stream's name.
var teamName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

func newSink(a connector.Account) (connector.Sink, error) {
	s := &sink{team: Team(a), log: a.Team, now: a.Now}
	if !teamName.MatchString(s.team) {
		return nil, fmt.Errorf("team: a name of small letters, digits and dashes, at most 63")
	}
	if s.log == nil {
		return nil, fmt.Errorf("no team log was handed in")
	}
	if s.now == nil {
		s.now = time.Now
	}
	return s, nil
}

// Team is the team that an account writes to, as the setup of streams and
// users must know it too: target team-bi is team bi.
func Team(a connector.Account) string {
	if t := a.Text("team"); t != "" {
		return t
	}
	if len(a.Name) > len("team-") && a.Name[:len("team-")] == "team-" {
		return a.Name[len("team-"):]
	}
	return a.Name
}

// Effects: the log's own sequence per employee makes repeats harmless, and a
// team gets every change in order.
func (s *sink) Effects() connector.Effects { return connector.Effects{Idempotent: true} }

// data is the event's content as teams read it.
type data struct {
	ID        string         `json:"id"`
	Version   uint64         `json:"version"`
	Effective string         `json:"effective"` // day
	Changed   []string       `json:"changed"`
	Employee  map[string]any `json:"employee"`
}

// Apply appends the change, unless it or a later one is there. If another
// writer is between the look and the append, the log refuses with a Transient
// fault, and the next attempt looks again.
func (s *sink) Apply(ctx context.Context, d connector.Delivery, _ connector.Progress) (connector.Receipt, error) {
	last, at, err := s.log.LastSequence(ctx, s.team, d.ID)
	if err != nil {
		return connector.Receipt{}, fmt.Errorf("look for the last event of %s for team %s: %w", d.ID, s.team, err)
	}
	receipt := connector.Receipt{Refs: connector.Refs{"sequence": strconv.FormatUint(d.Version, 10)}}
	if last >= d.Version {
		receipt.Refs["sequence"] = strconv.FormatUint(last, 10)
		receipt.Outcome, receipt.Sent = "unchanged", []string{}
		return receipt, nil
	}
	now := s.now().UTC()
	content := data{ID: d.ID, Version: d.Version, Effective: d.Effective, Changed: d.Changed, Employee: d.Body}
	if content.Effective == "" {
		content.Effective = now.Format(time.DateOnly) // what is published holds from now on
	}
	if content.Changed == nil {
		content.Changed = []string{}
	}
	if content.Employee == nil {
		content.Employee = map[string]any{}
	}
	raw, err := json.Marshal(content)
	if err != nil {
		return connector.Receipt{}, fault.New(fault.Record, "encode", "the body cannot be written as JSON")
	}
	err = s.log.Append(ctx, s.team, connector.TeamEvent{
		ID: d.Event, Type: d.Type, Employee: d.ID, Sequence: d.Version, Time: now, Data: raw,
	}, at)
	if err != nil {
		return connector.Receipt{}, fmt.Errorf("append version %d of %s for team %s: %w", d.Version, d.ID, s.team, err)
	}
	return receipt, nil
}

// Find tells how far the team's log is. Our own id is the key, so a find is sure.
func (s *sink) Find(ctx context.Context, d connector.Delivery) ([]connector.Found, error) {
	last, _, err := s.log.LastSequence(ctx, s.team, d.ID)
	if err != nil {
		return nil, fmt.Errorf("look for the last event of %s for team %s: %w", d.ID, s.team, err)
	}
	if last == 0 {
		return nil, nil
	}
	return []connector.Found{{Refs: connector.Refs{"sequence": strconv.FormatUint(last, 10)}, Sure: true}}, nil
}
