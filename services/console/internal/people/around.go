package people

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// around reads what the sources said about a person and what came of the
// deliveries to the targets.
//
// The state names the statements that changed it. One that only confirmed it
// is not among them: of an account that is a target too it is found by the
// target's own id, which is the source's key.
func (d *Directory) around(ctx context.Context, st *employee.State) ([]Source, []Target, error) {
	statements := make(map[string]bool, len(st.Contains)) // by `<source>.<token>`
	for s := range st.Contains {
		statements[s] = true
	}
	targets := []Target{}
	for _, account := range d.Targets {
		t, err := d.target(ctx, account.Name, st.ID)
		if err != nil {
			return nil, nil, err
		}
		if t == nil {
			continue
		}
		targets = append(targets, *t)
		if account.Source != "" {
			for _, key := range t.Refs {
				statements[account.Source+"."+d.codec().Token(account.Source, key)] = true
			}
		}
	}
	sources := []Source{}
	for _, statement := range slices.Sorted(maps.Keys(statements)) {
		source, token, _ := strings.Cut(statement, ".")
		s, err := d.source(ctx, source, token, st.ID)
		if err != nil {
			return nil, nil, err
		}
		if s != nil {
			sources = append(sources, *s)
		}
	}
	slices.SortFunc(sources, func(a, b Source) int {
		return strings.Compare(a.Source+"\x00"+a.Key, b.Source+"\x00"+b.Key)
	})
	return sources, targets, nil
}

// source reads one statement; nil if there is none or it is about another person.
func (d *Directory) source(ctx context.Context, source, token, id string) (*Source, error) {
	in, err := d.last(ctx, topology.People, topology.Said(source, token))
	if err != nil || in.Subject == "" {
		return nil, err
	}
	said, err := d.codec().OpenStatement(ctx, token, in.Event)
	if errors.Is(err, seal.ErrNoKey) { // erased, or about to be
		said, err = record.StatementHead(in.Event)
	}
	if err != nil {
		return nil, fmt.Errorf("statement of %s: %w", source, err)
	}
	if said.Employee != id {
		return nil, nil
	}
	s := &Source{Source: source, Key: said.Key, Status: said.Status, At: said.AcceptedAt}
	if said.Version != (connector.Version{}) {
		s.Version = &said.Version
	}
	return s, nil
}

// target reads the memory of one target about the person; nil if it has none.
func (d *Directory) target(ctx context.Context, name, id string) (*Target, error) {
	in, err := d.last(ctx, topology.Delivered, topology.DeliveredTo(name, id))
	if err != nil || in.Subject == "" {
		return nil, err
	}
	memory, err := d.codec().OpenDelivery(ctx, id, in.Event, false)
	if errors.Is(err, seal.ErrNoKey) {
		return nil, ErrErased
	}
	if err != nil {
		return nil, fmt.Errorf("memory of %s: %w", name, err)
	}
	t := &Target{Target: name, State: memory.Outcome, Version: memory.Version, At: memory.At, Refs: maps.Clone(memory.Refs)}
	if t.Refs == nil {
		t.Refs = map[string]string{}
	}
	return t, nil
}

// maskRefs hides a target's ids that are values of the person: some vendors
// take the e-mail address as their key.
func maskRefs(refs map[string]string, f employee.Flat) {
	for name, ref := range refs {
		if strings.Contains(ref, "@") {
			refs[name] = Masked
		}
		for leaf, v := range f {
			if s, ok := v.(string); ok && !open(leaf) && strings.EqualFold(s, ref) {
				refs[name] = Masked
			}
		}
	}
}
