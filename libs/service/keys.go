package service

import (
	"context"
	"errors"
	"fmt"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// keys keeps wrapped data keys as messages of the stream KEYS, one subject
// each. They are wrapped, so the message is of no use without the master key.
type keys struct {
	bus    *bus.Bus
	source string
}

// KeysOn is the store of wrapped keys on a company's bus.
func KeysOn(b *bus.Bus, company string) seal.Store {
	return keys{bus: b, source: "/muster/" + company + "/keys"}
}

// Get reads a wrapped key by direct get.
func (k keys) Get(ctx context.Context, subject string) ([]byte, error) {
	in, err := k.bus.Last(ctx, topology.Keys, subject)
	if errors.Is(err, bus.ErrNotFound) {
		return nil, seal.ErrNoKey
	}
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	return in.Event.Data(), nil
}

// Create stores a wrapped key if the subject is still empty.
func (k keys) Create(ctx context.Context, subject string, wrapped []byte) error {
	empty := uint64(0)
	_, err := k.bus.Publish(ctx, topology.Keys, bus.Out{
		Subject: subject,
		Event:   event.New(subject, k.source, event.KeyWrappedV1, wrapped),
		Expect:  &empty,
	})
	if errors.Is(err, bus.ErrConflict) {
		return seal.ErrKeyExists
	}
	if err != nil {
		return fmt.Errorf("store key: %w", err)
	}
	return nil
}
