package deliver

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/record"
)

// TestStorm: a vendor that fails in every way it can, and processes that die in
// the middle of it. When both have calmed down, everybody is as their newest
// state asks for, and nobody ever went back to an older one.
func TestStorm(t *testing.T) {
	for _, kind := range []string{config.KindState, config.KindEvent} {
		t.Run(kind, func(t *testing.T) {
			const people, versions, crashes = 12, 6, 4
			w := newWorld(t)
			w.to.Kind, w.vendor.effects.Idempotent = kind, true
			w.to.Retry.First, w.to.Retry.Max = time.Millisecond, 10*time.Millisecond
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			var mu sync.Mutex
			rng := rand.New(rand.NewPCG(seed, 1))
			stormy := true
			var victim *running // dies at the next call
			w.vendor.fail = func(d connector.Delivery, _ int) error {
				mu.Lock()
				defer mu.Unlock()
				if !stormy {
					return nil
				}
				switch rng.IntN(12) {
				case 0, 1, 2:
					return badGateway
				case 3:
					return fault.New(fault.Target, "auth", "refused")
				case 4:
					if d.Version == 3 {
						return fault.New(fault.Record, "status_422", "refused")
					}
				}
				return nil
			}
			w.vendor.after = func(_ context.Context, _ connector.Delivery, _ int) error {
				mu.Lock()
				dies := victim
				victim = nil
				lost := stormy && rng.IntN(10) == 0
				mu.Unlock()
				if dies != nil {
					_ = dies.bus.Close()
				}
				if lost {
					return badGateway // it happened, and we do not hear of it
				}
				return nil
			}
			r := w.start()
			for v := uint64(1); v <= versions; v++ {
				for p := range people {
					w.named(fmt.Sprintf("emp%d", p), v, fmt.Sprintf("v%d", v))
				}
				if v <= crashes {
					mu.Lock()
					victim = r
					mu.Unlock()
					for len(w.vendor.seen) > 0 {
						<-w.vendor.seen
					}
					select {
					case <-w.vendor.seen:
					case <-time.After(2 * time.Second): // all are parked or paused: it dies at rest
					}
					r.stop()
					r = w.start()
				}
			}
			mu.Lock()
			stormy, victim = false, nil
			mu.Unlock()
			for p := range people {
				id := fmt.Sprintf("emp%d", p)
				w.until(id, fmt.Sprintf("%d applied", versions))
				calls := w.vendor.versions(id)
				if !slices.IsSorted(calls) {
					t.Errorf("%s went back: %v", id, calls)
				}
				ended := map[uint64]bool{}
				for _, r := range w.records(id) {
					if r.Outcome == record.OutcomeApplied || r.Outcome == record.OutcomeUnchanged || r.Outcome == record.OutcomeDead {
						ended[r.Version] = true
						for _, s := range r.Superseded {
							ended[s] = true
						}
					}
				}
				for v := uint64(1); v <= versions; v++ {
					if !ended[v] {
						t.Errorf("nothing is told of version %d of %s: %q", v, id, w.outcomes(id))
					}
				}
				last := w.vendor.of(id)
				if name := last[len(last)-1].Body["name"].(employee.Tree)["given"]; name != fmt.Sprintf("v%d", versions) {
					t.Errorf("%s is called %v at last", id, name)
				}
			}
			w.eventually(func() string {
				for p := range people {
					if n := w.parked(fmt.Sprintf("emp%d", p)); n > 0 {
						return fmt.Sprintf("emp%d is still parked", p)
					}
				}
				return ""
			})
			for _, l := range w.letters() {
				if l.Version != 3 {
					t.Errorf("letter %+v", l)
				}
			}
		})
	}
}
