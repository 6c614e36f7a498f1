package keep

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/muster-hr/muster/libs/bus"
)

// trim removes from every trimmed stream what nobody needs any more.
func (k *Keeper) trim(ctx context.Context) error {
	var errs []error
	for _, stream := range k.o.Trim {
		n, err := Trim(ctx, k.bus, stream)
		if err != nil {
			errs = append(errs, err)
		}
		if k.o.Metrics.Trimmed != nil {
			k.o.Metrics.Trimmed(stream, n)
		}
	}
	return errors.Join(errs...)
}

// Trim removes, subject by subject, the messages up to
//
//	min(lowest acknowledgement floor + 1, last sequence of the subject)
//
// that one not included, and gives the number of subjects looked into. So no
// message goes that a consumer of its subject has not acknowledged, and never
// the newest, which is a state: an employee, a statement, a target's memory.
func Trim(ctx context.Context, b *bus.Bus, stream string) (subjects int, err error) {
	followers, err := b.Followers(ctx, stream)
	if err != nil {
		return 0, fmt.Errorf("trim: %w", err)
	}
	counts, err := b.Subjects(ctx, stream, ">")
	if err != nil {
		return 0, fmt.Errorf("trim: %w", err)
	}
	for subject, n := range counts {
		if n < 2 {
			continue
		}
		upTo := floor(followers, subject) + 1
		if upTo == 1 {
			continue
		}
		newest, err := b.Last(ctx, stream, subject)
		if errors.Is(err, bus.ErrNotFound) {
			continue // removed by somebody meanwhile
		}
		if err != nil {
			return subjects, fmt.Errorf("trim: %w", err)
		}
		if err := b.Purge(ctx, stream, subject, min(upTo, newest.Seq)); err != nil {
			return subjects, fmt.Errorf("trim: %w", err)
		}
		subjects++
	}
	return subjects, nil
}

// floor is the sequence up to which every consumer of a subject is done. With
// no consumer at all nothing is.
//
// A consumer with nothing pending may look done with everything, and is not:
// the server counts a new message as pending some time after it was stored.
// Its acknowledgement floor is always true, and high enough: what it had of
// this subject, it has acknowledged below it.
func floor(followers []bus.Follower, subject string) uint64 {
	lowest := uint64(math.MaxUint64)
	for _, f := range followers {
		if wants(f.Filters, subject) {
			lowest = min(lowest, f.AckFloor)
		}
	}
	if lowest == math.MaxUint64 {
		return 0
	}
	return lowest
}

func wants(filters []string, subject string) bool {
	if len(filters) == 0 {
		return true
	}
	for _, f := range filters {
		if matches(f, subject) {
			return true
		}
	}
	return false
}

// matches tells whether a subject falls under a filter with `*` and `>`.
func matches(filter, subject string) bool {
	for {
		f, restF, moreF := strings.Cut(filter, ".")
		s, restS, moreS := strings.Cut(subject, ".")
		switch {
		case f == ">":
			return true
		case f != "*" && f != s:
			return false
		case !moreF || !moreS:
			return moreF == moreS
		}
		filter, subject = restF, restS
	}
}
