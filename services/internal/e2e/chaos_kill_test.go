package e2e

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/muster-hr/muster/libs/topology"
)

// plan says how a run is disturbed.
type plan struct {
	kills   int      // of a process that a seed chooses
	victims []string // of which it chooses; nil: all of them
	windows int      // per target: between the call and its receipt
	targets []string // that are hit there; nil: all of them
	freezes int      // of a transform that goes on after another took over
}

// kill is one that happened.
type kill struct {
	name string
	at   time.Time
}

// killer disturbs a run.
type killer struct {
	s     *system
	l     *load
	d     *sender
	r     *rand.Rand
	nc    *nats.Conn // the admin's
	js    jetstream.JetStream
	mu    sync.Mutex
	kills []kill
	deck  []string
	plan  plan
	trace []string     // what could not be done
	said  bytes.Buffer // all that the team's stream held
}

const (
	slack   = 40  // calls that may be sent beyond the next disturbance
	backlog = 330 // calls while a transform is frozen: more than the 256 that it has asked for
)

// everyone is who may be killed: all processes but the sandbox, which is the
// vendors, and the parent, which starts them again.
func (k *killer) everyone() []string {
	names := []string{"postgres"}
	for name := range k.s.pids() {
		if name != "sandbox" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (k *killer) pid(name string) int {
	if name == "postgres" {
		return findChild(k.s.PID, "postgres")
	}
	return k.s.pids()[name]
}

// run makes every disturbance at its place in the load, then lets the rest go.
func (k *killer) run(ctx context.Context) {
	type act struct {
		at  int
		do  func(context.Context)
		ext int // how far calls may go on meanwhile
	}
	var acts []act
	n := len(k.l.calls)
	for i := range k.plan.freezes {
		at := int(float64(n) * (float64(i) + 0.5 + 0.05*k.r.Float64()) / float64(k.plan.freezes))
		acts = append(acts, act{at, k.freeze, 0}) // it comes to rest first
	}
	frozen := slices.Clone(acts)
	add := func(from, to float64, ext int, do func(context.Context)) {
		for { // while one is frozen nothing else happens
			at := int(float64(n) * (from + (to-from)*k.r.Float64()))
			if !slices.ContainsFunc(frozen, func(f act) bool { return at >= f.at && at < f.at+lanes+backlog+slack }) {
				acts = append(acts, act{at, do, ext})
				return
			}
		}
	}
	for range k.plan.kills {
		add(0.02, 0.98, slack, k.one)
	}
	targets := k.plan.targets
	if targets == nil {
		targets = targetsOf(k.l.all)
	}
	for _, target := range targets {
		n := k.plan.windows
		if _, fake := fakes[target]; !fake && n > 0 {
			n += 4 // not every kill there strikes home
		}
		for i := range n {
			create := i%2 == 0
			to := 0.85
			if create {
				to = 0.55 // later there are few
			}
			add(0.05, to, slack, func(ctx context.Context) { k.window(ctx, target, create) })
		}
	}
	slices.SortStableFunc(acts, func(a, b act) int { return a.at - b.at })
	for _, a := range acts {
		k.d.allow(a.at + a.ext)
		k.await(ctx, time.Minute, func() bool { return k.d.accepted.Load() >= int64(a.at) })
		if ctx.Err() != nil {
			break
		}
		pause(ctx, time.Duration(k.r.IntN(120))*time.Millisecond)
		a.do(ctx)
	}
	k.d.allow(len(k.l.calls))
}

// await waits until something is so; false after a while.
func (k *killer) await(ctx context.Context, limit time.Duration, ok func() bool) bool {
	for end := time.Now().Add(limit); !ok(); pause(ctx, 5*time.Millisecond) {
		if ctx.Err() != nil || time.Now().After(end) {
			return false
		}
	}
	return true
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// one kills the next of the deck, which holds everybody once, shuffled.
func (k *killer) one(ctx context.Context) {
	if len(k.deck) == 0 {
		if k.deck = slices.Clone(k.plan.victims); k.deck == nil {
			k.deck = k.everyone()
		}
		k.r.Shuffle(len(k.deck), func(i, j int) { k.deck[i], k.deck[j] = k.deck[j], k.deck[i] })
	}
	name := k.deck[0]
	k.deck = k.deck[1:]
	if !k.await(ctx, 20*time.Second, func() bool { return alive(k.pid(name)) }) {
		k.trace = append(k.trace, name+" was not there to be killed")
		return
	}
	k.kill(name, k.pid(name))
}

func (k *killer) kill(name string, pid int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if syscall.Kill(pid, syscall.SIGKILL) == nil {
		k.kills = append(k.kills, kill{name, time.Now()})
	}
}

// window kills a delivery while the fake, which has done what was asked, holds
// the answer. The fake counts the call as cut off.
func (k *killer) window(ctx context.Context, target string, create bool) {
	name := "delivery-" + target
	if !k.await(ctx, 20*time.Second, func() bool { return alive(k.pid(name)) }) {
		k.trace = append(k.trace, name+" was not there to be killed")
		return
	}
	at, fake := fakes[target]
	if !fake {
		k.appended(ctx, target)
		return
	}
	if create && k.strike(ctx, target, at.create) {
		return
	}
	if !k.strike(ctx, target, at.change) { // of whoever is new, nobody may be left
		k.trace = append(k.trace, name+" was not caught in a call")
	}
}

// strike is a kill in the window of a call that matches. It is false if none came.
func (k *killer) strike(ctx context.Context, target string, match match) bool {
	name, faults := "delivery-"+target, k.s.Sandbox+"/_sandbox/"+target+"/faults"
	defer k.s.call(http.MethodDelete, faults, nil, nil, nil)
	held := func() (h struct{ Held struct{ Now, Cut int } }) {
		k.s.call(http.MethodGet, faults, nil, nil, &h)
		return h
	}
	var since time.Time
	hold := func() {
		k.s.call(http.MethodPost, faults, nil, map[string]any{"when": "after_effect", "hold": true, "times": 1, "match": match}, nil)
		since = time.Now()
	}
	before := held().Held.Cut
	hold()
	for _, more := range []int{slack, 2 * slack, 4 * slack} { // if no such call comes, more is to be said
		if k.await(ctx, 5*time.Second, func() bool {
			if held().Held.Now == 0 {
				return false
			}
			if k.effect(target, since) {
				return true
			}
			k.s.call(http.MethodDelete, faults, nil, nil, nil) // a question: it gets its answer
			hold()
			return false
		}) {
			k.kill(name, k.pid(name))
			return k.await(ctx, 5*time.Second, func() bool { return held().Held.Cut > before })
		}
		k.d.allow(int(k.d.allowed.Load()) + more)
	}
	return false
}

// effect tells whether the call that is held changed something. Only Moodle's
// calls do not show by method and path what they are; one is made at a time.
func (k *killer) effect(target string, since time.Time) bool {
	if target != "moodle" {
		return true
	}
	w := k.chaosVendor(target).Writes
	return len(w) > 0 && w[len(w)-1].At.After(since)
}

// appended kills the delivery of a team when its next event is on the way to
// the team's stream. The team has no fake: that the receipt was cut off shows
// in the outcome, which says that the event was there already.
func (k *killer) appended(ctx context.Context, target string) {
	came := make(chan *nats.Msg, 256)
	sub, err := k.nc.ChanSubscribe("hr.team."+strings.TrimPrefix(target, "team-")+".>", came)
	if err != nil {
		k.trace = append(k.trace, err.Error())
		return
	}
	defer func() { _ = sub.Unsubscribe() }()
	delay := time.Duration(k.r.IntN(3000)) * time.Microsecond
	for _, more := range []int{slack, 2 * slack, 4 * slack} { // what was said before may have come already
		select {
		case <-came:
			pause(ctx, delay)
			k.kill("delivery-"+target, k.pid("delivery-"+target))
			return
		case <-ctx.Done():
			return
		case <-time.After(3 * time.Second):
			k.d.allow(int(k.d.allowed.Load()) + more)
		}
	}
	k.trace = append(k.trace, "no event for "+target)
}

// freeze stops a transform with records in its hands, lets another take over,
// and wakes the first when all it knows is past. Then both are killed.
func (k *killer) freeze(ctx context.Context) {
	if !k.await(ctx, 90*time.Second, func() bool { return alive(k.pid("transform")) && k.idle(ctx, topology.Raw) }) {
		k.trace = append(k.trace, "transform did not come to rest")
		return
	}
	first := k.pid("transform")
	_ = syscall.Kill(first, syscall.SIGSTOP)
	defer func() { _ = syscall.Kill(first, syscall.SIGCONT) }() // it may be killed by then
	from := k.d.accepted.Load()
	k.d.allow(int(from) + lanes + backlog + slack)
	k.await(ctx, 30*time.Second, func() bool { return k.d.accepted.Load() >= min(from+backlog, int64(len(k.l.calls)-lanes)) })
	second, err := k.another(first)
	if err != nil {
		k.trace = append(k.trace, err.Error())
		return
	}
	end := sync.OnceFunc(func() {
		_ = second.Process.Kill()
		_ = second.Wait()
	})
	defer end()
	if !k.await(ctx, 90*time.Second, func() bool { return k.idle(ctx, topology.Raw) }) {
		k.trace = append(k.trace, "the second transform did not take over")
	}
	_ = syscall.Kill(first, syscall.SIGCONT)
	pause(ctx, 1500*time.Millisecond)
	end() // before the one that is started again, which they would keep from its records
	k.kill("transform", first)
	k.await(ctx, 20*time.Second, func() bool { return k.pid("transform") != first && k.idle(ctx, topology.Raw) })
}

// another starts a second transform with what the first was started with.
func (k *killer) another(pid int) (*exec.Cmd, error) {
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return nil, err
	}
	program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "service", "transform")
	for v := range strings.SplitSeq(strings.TrimRight(string(env), "\x00"), "\x00") {
		if name, _, _ := strings.Cut(v, "="); name != "MUSTER_LIFELINE" && name != "MUSTER_TRANSFORM_ADDR" {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "MUSTER_TRANSFORM_ADDR=127.0.0.1:0")
	cmd.Stdout, cmd.Stderr = k.s.log, k.s.log
	return cmd, cmd.Start()
}

// idle tells whether every consumer of a stream but a team's own has done all
// its work.
func (k *killer) idle(ctx context.Context, streams ...string) bool {
	for _, name := range streams {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		stream, err := k.js.Stream(ctx, name)
		if err != nil {
			return false
		}
		list := stream.ListConsumers(ctx)
		for c := range list.Info() {
			mine := c.Name != topology.AuditAll || len(streams) > 1
			team := strings.HasPrefix(name, topology.TeamStream("")) && c.Name != topology.AuditAll
			if mine && !team && (c.NumPending > 0 || c.NumAckPending > 0) {
				return false
			}
		}
		if list.Err() != nil {
			return false
		}
	}
	return true
}

// open lists the consumers that have something to do yet.
func (k *killer) open(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var out []string
	for _, name := range everyStream {
		stream, err := k.js.Stream(ctx, name)
		if err != nil {
			return err.Error()
		}
		for c := range stream.ListConsumers(ctx).Info() {
			if c.NumPending > 0 || c.NumAckPending > 0 {
				out = append(out, fmt.Sprintf("%s of %s: %d wait, %d are open from %d on", c.Name, name, c.NumPending, c.NumAckPending, c.AckFloor.Stream+1))
			}
		}
	}
	return strings.Join(append(out, fmt.Sprintf("%d parked", k.parked(ctx))), ", ")
}

// everyStream that somebody follows.
var everyStream = []string{topology.Raw, topology.Hints, topology.People, topology.Parked, topology.Delivered, topology.Dead, topology.Audit, topology.TeamStream("bi")}

// quiet waits until nothing is under way any more, twice in a row.
func (k *killer) quiet(ctx context.Context, limit time.Duration) bool {
	calm := 0
	return k.await(ctx, limit, func() bool {
		pause(ctx, 250*time.Millisecond)
		if !k.idle(ctx, everyStream...) || k.parked(ctx) > 0 || k.l.all && k.unanswered(ctx) > 0 {
			calm = 0
			return false
		}
		calm++
		return calm > 2
	})
}

// parked counts who waits at a target.
func (k *killer) parked(ctx context.Context) int {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	stream, err := k.js.Stream(ctx, topology.Parked)
	if err != nil {
		return 1
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(topology.ParkedAt("*", "*")))
	if err != nil {
		return 1
	}
	return len(info.State.Subjects)
}

// findChild is childOf for a child that may be between two lives; 0 then.
func findChild(parent int, program string) int {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		var pid int
		if _, err := fmt.Sscanf(e.Name(), "%d", &pid); err != nil {
			continue
		}
		if _, p := stat(pid); p != parent {
			continue
		}
		b, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if name, _, _ := strings.Cut(string(b), "\x00"); filepath.Base(name) == program {
			return pid
		}
	}
	return 0
}
