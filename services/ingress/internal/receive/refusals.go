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
// costs a counter, not a message each.
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

// A source may get 200 forged calls at once and 20 a second; beyond that
// nothing is verified for it until the flood ends.
const (
	forgedBurst = 200
	forgedRate  = 20
)

func newRefusals() *refusals {
	return &refusals{counts: map[refusal]int{}, buckets: map[string]*rate.Limiter{}}
}

func (r *refusals) add(source, reason string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[refusal{source, reason, now.Truncate(time.Minute)}]++
	r.bucket(source).Allow()
}

func (r *refusals) tooMany(source string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bucket(source).Tokens() < 1
}

func (r *refusals) bucket(source string) *rate.Limiter {
	b := r.buckets[source]
	if b == nil {
		b = rate.NewLimiter(forgedRate, forgedBurst)
		r.buckets[source] = b
	}
	return b
}

// take gives the counts of minutes before now and forgets them.
func (r *refusals) take(now time.Time) map[refusal]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[refusal]int{}
	for k, n := range r.counts {
		if k.Minute.Before(now.Truncate(time.Minute)) {
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
	for k, n := range r.refused.take(now) {
		if err := r.publish(ctx, k, n); err != nil {
			r.refused.putBack(k, n)
			r.Log.WarnContext(ctx, "counts of refused webhooks could not be stored", "err", err)
			return
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
	id := r.Codec.Sealer.Token("refused", k.Source, k.Reason, k.Minute.String())
	_, err = r.Bus.Publish(ctx, topology.Audit, bus.Out{
		Subject: topology.AuditOf("ingress", "refused"), Event: event.New(id, "/muster/"+r.Company+"/ingress", event.RequestsRefused, data),
	})
	return err
}
