package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

func clone(s *employee.State) *employee.State {
	c := *s
	c.Fields, c.Provenance, c.Pending = maps.Clone(s.Fields), maps.Clone(s.Provenance), slices.Clone(s.Pending)
	if c.Fields == nil {
		c.Fields = employee.Flat{}
	}
	if c.Provenance == nil {
		c.Provenance = map[string]employee.Origin{}
	}
	return &c
}

// errBehind: what was read is not what the index stands on. Somebody else
// writes, or a replica answered that has not heard the latest yet.
var errBehind = errors.New("PEOPLE and the index differ")

// newest reads the last message of a subject, which must be the one that the
// index knows.
func (p *Pipeline) newest(ctx context.Context, subject string, rev *revision) (bus.In, error) {
	in, err := p.Bus.Last(ctx, topology.People, subject)
	if err != nil {
		return in, err
	}
	if in.Seq != rev.seq {
		return in, fmt.Errorf("message %d, not %d: %w", in.Seq, rev.seq, errBehind)
	}
	return in, in.Err
}

// load gives the newest state of an employee, staged or stored.
func (p *Pipeline) load(ctx context.Context, id string) (*employee.State, error) {
	if s, ok := p.states.Get(id); ok {
		return s, nil
	}
	s, err := p.read(ctx, id)
	if err == nil && s.Version > 0 {
		p.states.Add(id, s)
	}
	return s, err
}

// read gives the newest state of an employee as it is stored; an empty one if
// there is none.
func (p *Pipeline) read(ctx context.Context, id string) (*employee.State, error) {
	person := p.ix.employees[id]
	if person == nil || person.version == 0 {
		return &employee.State{}, nil
	}
	in, err := p.newest(ctx, topology.Employee(id), &person.rev)
	if err != nil {
		return nil, err
	}
	env, err := p.Codec.Sealer.Open(ctx, id, in.Event.ID()+"|"+in.Event.Type(), in.Event.Data(), seal.Basic, seal.Restricted)
	if err != nil {
		return nil, err
	}
	h, err := employee.ReadHead(env.Head)
	if err != nil {
		return nil, err
	}
	return employee.DecodeState(h, env.Basic, env.Restricted)
}

func (p *Pipeline) encodeState(ctx context.Context, id, typ string, s *employee.State) (bus.Out, error) {
	head, basic, restricted, err := s.Encode(p.Company.Custom)
	if err != nil {
		return bus.Out{}, err
	}
	eventID := p.Codec.Sealer.Token("change", id, s.Event, typ)
	data, err := p.Codec.Sealer.Seal(ctx, id, eventID+"|"+typ, seal.Envelope{Head: head, Basic: basic, Restricted: restricted})
	if err != nil {
		return bus.Out{}, err
	}
	return bus.Out{Subject: topology.Employee(id), Event: event.New(eventID, "/muster/"+p.Company.Name+"/transform", typ, data)}, nil
}
