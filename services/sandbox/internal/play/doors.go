package play

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/muster-hr/muster/libs/connector/fake"
)

// Listen opens the doors of the fakes that do not speak HTTP, by their names;
// Run serves them. On an error none is left open.
func (s *Stage) Listen(ctx context.Context, doors map[string]string) error {
	s.doors = map[string]net.Listener{}
	for _, name := range slices.Sorted(maps.Keys(s.actors)) {
		if _, ok := s.actors[name].Vendor.(fake.Listener); !ok {
			continue
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", doors[name])
		if err != nil {
			err = fmt.Errorf("open the door of the fake %s: %w", name, err)
			for _, l := range s.doors {
				err = errors.Join(err, l.Close())
			}
			return err
		}
		s.doors[name] = l
	}
	return nil
}

// serve takes calls at the doors until ctx ends.
func (s *Stage) serve(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for name, l := range s.doors {
		a := s.actors[name]
		if vendor, ok := a.Vendor.(fake.Listener); ok {
			g.Go(func() error { return vendor.Serve(ctx, l, &a.faults) })
		}
	}
	return g.Wait()
}
