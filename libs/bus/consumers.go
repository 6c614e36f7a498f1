package bus

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Follower is one consumer of a stream, planned or not, and how far it is.
type Follower struct {
	Name     string
	Filters  []string // empty: all subjects
	AckFloor uint64   // stream sequence up to which everything it wants is acknowledged
}

// Followers lists every consumer of a stream. Needs the right to list them.
func (b *Bus) Followers(ctx context.Context, stream string) ([]Follower, error) {
	var all []Follower
	for {
		var resp struct {
			Total     int                       `json:"total"`
			Consumers []*jetstream.ConsumerInfo `json:"consumers"`
		}
		if err := b.api(ctx, "CONSUMER.LIST."+stream, map[string]any{"offset": len(all)}, &resp); err != nil {
			return nil, fmt.Errorf("consumers of %s: %w", stream, err)
		}
		for _, c := range resp.Consumers {
			f := Follower{Name: c.Name, Filters: c.Config.FilterSubjects, AckFloor: c.AckFloor.Stream}
			if c.Config.FilterSubject != "" {
				f.Filters = []string{c.Config.FilterSubject}
			}
			all = append(all, f)
		}
		if len(all) >= resp.Total || len(resp.Consumers) == 0 {
			return all, nil
		}
	}
}
