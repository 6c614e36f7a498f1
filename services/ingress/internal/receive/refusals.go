package receive

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// refusals counts calls that were not authentic, per source, reason and minute,
// and tells when a source gets too many. They may come from anybody, so a flood
// costs a counter, not a message or a log line each.
type refusals struct {
	mu      sync.Mutex
	counts  map[refusal]int
	buckets map[string]*rate.Limiter
}

type refusal struct {
	Source string    `json:"source"`
	Reason string    `json:"reason"`
	Minute time.Time `json:"minute"`
}

// A source may get 200 forged calls at once and 20 a second; beyond that they
// are told to stay away.
const (
	forgedBurst = 200
	forgedRate  = 20
)

func newRefusals() *refusals {
	return &refusals{counts: map[refusal]int{}, buckets: map[string]*rate.Limiter{}}
}

// add counts one call. False: it is one too many.
func (r *refusals) add(source, reason string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[refusal{source, reason, now.UTC().Truncate(time.Minute)}]++
	b := r.buckets[source]
	if b == nil {
		b = rate.NewLimiter(forgedRate, forgedBurst)
		r.buckets[source] = b
	}
	return b.AllowN(now, 1)
}

// take gives the counts of minutes before now and forgets them.
func (r *refusals) take(now time.Time) map[refusal]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[refusal]int{}
	for k, n := range r.counts {
		if k.Minute.Before(now.UTC().Truncate(time.Minute)) {
			out[k] = n
			delete(r.counts, k)
		}
	}
	return out
}

func (r *refusals) putBack(k refusal, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[k] += n
}

// Run writes the counts of refused calls to the audit stream each minute, and
// what is left when ctx ends.
func (r *Receiver) Run(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.report(ctx, r.Clock.Now())
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			r.report(last, r.Clock.Now().Add(time.Minute))
			return nil
		}
	}
}

func (r *Receiver) report(ctx context.Context, now time.Time) {
	if ctx.Err() != nil {
		return // they are kept: what is handed over now may be stored all the same
	}
	for k, n := range r.refused.take(now) {
		if err := r.publish(ctx, k, n); err != nil {
			r.refused.putBack(k, n)
			r.Log.WarnContext(ctx, "a count of refused webhooks could not be stored", "source", k.Source, "err", err)
		}
	}
}

func (r *Receiver) publish(ctx context.Context, k refusal, n int) error {
	head, err := json.Marshal(struct {
		refusal
		Count int `json:"count"`
	}{k, n})
	if err != nil {
		return err
	}
	data, err := r.Codec.Sealer.Seal(ctx, "", "", seal.Envelope{Head: head}) // nothing to seal: no key is fetched
	if err != nil {
		return err
	}
	// Another copy of this service, or this one after a start within the minute,
	// has counts of its own for the same minute.
	id := r.Codec.Sealer.Token("refused", r.copy, k.Source, k.Reason, k.Minute.Format(time.RFC3339))
	_, err = r.Bus.Publish(ctx, topology.Audit, bus.Out{
		Subject: topology.AuditOf("ingress", "refused"), Event: event.New(id, "/muster/"+r.Company+"/ingress", event.RequestsRefused, data),
	})
	return err
}
