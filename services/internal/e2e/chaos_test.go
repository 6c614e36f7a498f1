package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/muster-hr/muster/libs/protection"
)

// writes is vendor with the time of each write.
type writes struct {
	People map[string]map[string]any
	Writes []struct {
		At   time.Time
		Key  string
		Op   string
		Body any
	}
}

func (k *killer) chaosVendor(name string) (v writes) {
	k.s.call(http.MethodGet, k.s.Sandbox+"/_sandbox/"+name+"/state", nil, nil, &v)
	return v
}

// size reads a size of the run from the environment.
func size(t *testing.T, name string, short int) int {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return short
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		t.Fatalf("%s: want a number", name)
	}
	return n
}

// seeds are those of CHAOS_SEEDS ("1 2 3"), else one.
func seeds(t *testing.T) (out []uint64) {
	t.Helper()
	for _, v := range strings.Fields(os.Getenv("CHAOS_SEEDS")) {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatalf("CHAOS_SEEDS: %q is not a number", v)
		}
		out = append(out, n)
	}
	if out == nil {
		return []uint64{1}
	}
	return out
}

// TestChaos is the kill run: everything in processes, each killed at moments
// that a seed chooses, while a vendor sends; nothing may be lost, doubled or
// come in another order. Here it is short; `make chaos` makes it long.
// CHAOS_TARGETS, "all" or seeds, adds targets of all further connectors, and
// values that only some of them may get.
func TestChaos(t *testing.T) {
	calls, kills := size(t, "CHAOS_WEBHOOKS", 400), size(t, "CHAOS_KILLS", 8)
	people, windows := size(t, "CHAOS_PEOPLE", calls/10), size(t, "CHAOS_WINDOWS", 1)
	further := os.Getenv("CHAOS_TARGETS")
	for _, seed := range seeds(t) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			l := newLoad(seed, calls, people)
			l.all = further == "all" || slices.Contains(strings.Fields(further), fmt.Sprint(seed))
			v := chaos(t, bin, l, plan{kills: kills, windows: windows, freezes: 1 + calls/5000}, "", 2*time.Minute)
			t.Logf("\n%s\n%s\nkills: %v\n%s", tableHead, v, v.kills, v.table())
			for _, note := range v.notes {
				t.Log(note)
			}
			if v.wrong() > 0 {
				t.Error("something was lost, doubled, reordered, given up, or went where it may not")
			}
			done := 0
			for _, n := range v.kills {
				done += n
			}
			if done < kills {
				t.Errorf("%d kills, want %d", done, kills)
			}
			if l.all {
				t.Logf("planted values where they may be: %d, where they may not: %d; sent again because they are never shown: %d", v.planted, v.leaked, v.blind)
			}
			for _, target := range v.targets {
				if v.window[target] < windows {
					t.Errorf("%d kills in the window of %s, want %d", v.window[target], target, windows)
				}
			}
		})
	}
}

// chaos makes one run with the programs of a folder.
func chaos(t *testing.T, programs string, l *load, p plan, off protection.Protection, limit time.Duration) *verdict {
	t.Helper()
	began := time.Now()
	env := []string{"MUSTER_SANDBOX_SETTINGS=okta.stale_for=2s directory.stale_for=2s journal.stale_for=2s scim.stale_for=2s gusto.stale_for=2s", "OTEL_TRACES_SAMPLER_ARG=0.01"}
	if off != "" {
		env = append(env, "MUSTER_PROTECTION_OFF="+string(off))
	}
	s := startWith(t, programs, t.TempDir(), env, "up", "--sandbox", "--processes", "--config", company(t, l.all))
	nc, err := admin(s)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	k := &killer{s: s, l: l, d: newSender(s, l), r: rand.New(rand.NewPCG(l.seed, 0xDEAD)), nc: nc, js: js, plan: p}
	var wg sync.WaitGroup
	wg.Go(func() { k.run(ctx) })
	k.d.run(ctx)
	wg.Wait()
	rest := k.quiet(ctx, limit)
	open := k.open(ctx)
	v := k.judge(ctx)
	if !rest {
		v.lost++
		v.notes = append([]string{"it did not come to rest: " + open}, v.notes...)
	}
	v.took = time.Since(began)
	s.stop()
	return v
}

// mutants are the runs that must fail: one protection is left out, and the
// disturbance that it is for comes for sure.
var mutants = map[protection.Protection]struct {
	calls, people int
	plan          plan
	fails         func(*verdict) int
}{
	protection.StatementOrder: {200, 20, plan{}, func(v *verdict) int { return min(v.reordered, v.lost) }},
	protection.Intent:         {240, 40, plan{windows: 3, targets: []string{"directory", "journal"}}, func(v *verdict) int { return v.doubled }},
	protection.LaneReset:      {400, 40, plan{kills: 8, victims: []string{"transform", "delivery-journal"}}, func(v *verdict) int { return v.lost + v.reordered }},
	protection.CompareAndSet:  {1000, 40, plan{freezes: 1, kills: 2, victims: []string{"transform"}}, func(v *verdict) int { return v.lost + v.reordered }},
}

// TestEachProtectionIsNeeded switches one protection off at a time, in programs
// that are built so that they have the switch: the run that the whole passes
// must fail, and passes again with it. `make mutants` runs all of them.
func TestEachProtectionIsNeeded(t *testing.T) {
	names := []protection.Protection{protection.StatementOrder, protection.Intent}
	if os.Getenv("CHAOS_MUTANTS") == "all" {
		names = append(names, protection.LaneReset, protection.CompareAndSet)
	}
	programs := t.TempDir()
	build := exec.Command("go", "build", "-tags", "chaos", "-o", programs, "github.com/muster-hr/muster/services/muster/cmd/muster")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for _, off := range names {
		t.Run(string(off), func(t *testing.T) {
			m := mutants[off]
			l := newLoad(11, m.calls, m.people)
			v := chaos(t, programs, l, m.plan, off, 15*time.Second)
			t.Logf("without %s\n%s\n%s", off, tableHead, v)
			if m.fails(v) == 0 {
				t.Errorf("the run does not notice that %s is missing", off)
			}
			if os.Getenv("CHAOS_MUTANTS") != "all" {
				return
			}
			if v := chaos(t, programs, l, m.plan, "", time.Minute); v.wrong() > 0 {
				t.Errorf("with it the run fails as well:\n%s\n%s\n%s", tableHead, v, strings.Join(v.notes, "\n"))
			} else {
				t.Logf("with it\n%s\n%s", tableHead, v)
			}
		})
	}
}
