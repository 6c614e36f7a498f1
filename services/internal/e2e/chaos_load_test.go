package e2e

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// call is one webhook: a version of one person's record.
type call struct {
	person int
	seq    int // the vendor's version, from 1
	again  bool
	at     float64 // place in the run, 0 to 1
}

// load is what a vendor says in one run.
type load struct {
	seed   uint64
	calls  []call
	leaves []int    // by person: the version that says they left; 0: they stay
	mails  [][]int  // by person and version: how often the e-mail changed until then
	news   [][]int  // by person: the versions that are newer than all before them, in order
	order  [][]call // by person: their calls as they are sent
	all    bool     // the webhooks say what payrolls and carriers need, too
}

// newLoad makes n calls about so many people: joiners all through the run,
// versions that come late, the vendor's repeats, leavers, changed e-mails.
func newLoad(seed uint64, n, people int) *load {
	r := rand.New(rand.NewPCG(seed, 0xC4A05))
	l := &load{seed: seed, leaves: make([]int, people), mails: make([][]int, people), news: make([][]int, people), order: make([][]call, people)}
	share := make([]int, people)
	for i := range n {
		share[i%people]++ // everybody has some
	}
	for range n / 4 { // and some have more
		if from, to := r.IntN(people), r.IntN(people); share[from] > 2 {
			share[from]--
			share[to]++
		}
	}
	for p := range people {
		calls := history(r, p, share[p])
		newest := 0
		for _, c := range calls {
			if c.seq > newest {
				newest = c.seq
				l.news[p] = append(l.news[p], newest)
			}
		}
		if len(l.news[p]) > 1 && r.Float64() < 0.15 {
			l.leaves[p] = newest
		}
		l.mails[p] = make([]int, newest+1)
		for v := 1; v <= newest; v++ {
			l.mails[p][v] = l.mails[p][v-1]
			if v > 1 && r.Float64() < 0.08 {
				l.mails[p][v]++
			}
		}
		joins := 0.85 * r.Float64()
		times := make([]float64, len(calls))
		for i := range times {
			times[i] = joins + (1-joins)*r.Float64()
		}
		slices.Sort(times)
		for i := range calls {
			calls[i].at = times[i]
		}
		l.order[p] = calls
		l.calls = append(l.calls, calls...)
	}
	slices.SortStableFunc(l.calls, func(a, b call) int { return cmp.Compare(a.at, b.at) })
	return l
}

// history is what is said about one person, as it arrives.
func history(r *rand.Rand, person, n int) []call {
	var out []call
	var late []int
	for next := 1; len(out) < n; {
		switch x := r.Float64(); {
		case len(late) > 0 && len(out) > 0 && x < 0.35:
			out = append(out, call{person: person, seq: late[0]})
			late = late[1:]
		case len(out) > 0 && x < 0.45:
			out = append(out, call{person: person, seq: out[r.IntN(len(out))].seq, again: true})
		case x < 0.6:
			late = append(late, next)
			next++
		default:
			out = append(out, call{person: person, seq: next})
			next++
		}
	}
	return out
}

// distinct counts the records that are not repeats.
func (l *load) distinct() int {
	seen := map[[2]int]bool{}
	for _, c := range l.calls {
		seen[[2]int{c.person, c.seq}] = true
	}
	return len(seen)
}

func number(person int) string { return fmt.Sprintf("C%05d", person) }

func (l *load) mail(person, seq int) string {
	return fmt.Sprintf("c%05d.%d@chaos.example", person, l.mails[person][seq])
}

// body is the webhook. Equal calls are equal to the byte.
func (l *load) body(c call) []byte {
	status, left := "active", any(nil)
	if l.leaves[c.person] == c.seq {
		status, left = "gone", "2026-01-31"
	}
	said := map[string]any{
		"id": number(c.person), "seq": c.seq, "given": "Given", "family": "Family" + number(c.person), "email": l.mail(c.person, c.seq),
		"title": fmt.Sprintf("r%d", c.seq), "department": []string{"Legal", "Sales", "Support"}[(c.person+c.seq)%3],
		"status": status, "hired": "2020-01-01", "left": left,
	}
	if l.all {
		x := plantedOf(c.person)
		said["born"], said["ssn"], said["pay"] = x.birth, x.ssn, x.pay
		said["plans"] = []any{map[string]any{"plan": "med-ppo", "kind": "medical", "coverage": "employee", "start": "2026-01-01"}}
	}
	b, err := json.Marshal(said)
	if err != nil {
		panic(err)
	}
	return b
}

// sender sends a load as a vendor does: calls about one person one after the
// other, each again and again until it is answered with 2xx.
type sender struct {
	s        *system
	l        *load
	allowed  atomic.Int64 // calls before this place may be sent
	more     *sync.Cond   // allowed has grown
	accepted atomic.Int64
	refused  atomic.Int64 // tries that were not answered with 2xx
}

func newSender(s *system, l *load) *sender {
	return &sender{s: s, l: l, more: sync.NewCond(&sync.Mutex{})}
}

// allow lets calls be sent up to a place in the load.
func (d *sender) allow(n int) {
	d.more.L.Lock()
	defer d.more.L.Unlock()
	d.allowed.Store(max(d.allowed.Load(), int64(n)))
	d.more.Broadcast()
}

const lanes = 24

// run sends everything, or stops with ctx.
func (d *sender) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { d.allow(0) }) // wakes who waits
	defer stop()
	var wg sync.WaitGroup
	for lane := range lanes {
		wg.Go(func() {
			client := &http.Client{Timeout: 10 * time.Second}
			for i, c := range d.l.calls {
				if laneOf(c.person) != lane {
					continue
				}
				d.more.L.Lock()
				for int64(i) >= d.allowed.Load() && ctx.Err() == nil {
					d.more.Wait()
				}
				d.more.L.Unlock()
				if !d.send(ctx, client, c) {
					return
				}
			}
		})
	}
	wg.Wait()
}

func laneOf(person int) int {
	h := fnv.New32a()
	fmt.Fprint(h, person)
	return int(h.Sum32() % lanes)
}

func (d *sender) send(ctx context.Context, client *http.Client, c call) bool {
	body := d.l.body(c)
	for wait := 20 * time.Millisecond; ctx.Err() == nil; wait = min(2*wait, 500*time.Millisecond) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.s.Sources["hr"].Webhook, bytes.NewReader(body))
		if err != nil {
			return false
		}
		req.Header = d.s.sign(body)
		if resp, err := client.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode/100 == 2 {
				d.accepted.Add(1)
				return true
			}
		}
		d.refused.Add(1)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return false
}

// TestALoad: the same seed says the same, and every kind of call is in it.
func TestALoad(t *testing.T) {
	a, b := newLoad(7, 1000, 100), newLoad(7, 1000, 100)
	if len(a.calls) != 1000 || !slices.Equal(a.calls, b.calls) {
		t.Fatalf("%d and %d calls of one seed differ", len(a.calls), len(b.calls))
	}
	if slices.Equal(a.calls, newLoad(8, 1000, 100).calls) {
		t.Error("another seed says the same")
	}
	late, again, moved, left := 0, 0, 0, 0
	newest := make([]int, 100)
	for _, c := range a.calls {
		switch {
		case c.again:
			again++
		case c.seq < newest[c.person]:
			late++
		}
		newest[c.person] = max(newest[c.person], c.seq)
	}
	for p, news := range a.news {
		if news[len(news)-1] != newest[p] || !slices.IsSorted(news) {
			t.Errorf("person %d: newest %d, news %v", p, newest[p], news)
		}
		if a.leaves[p] != 0 {
			left++
		}
		moved += a.mails[p][newest[p]]
	}
	if late < 50 || again < 50 || moved < 10 || left < 5 {
		t.Errorf("%d late, %d again, %d changed e-mails, %d leavers", late, again, moved, left)
	}
}
