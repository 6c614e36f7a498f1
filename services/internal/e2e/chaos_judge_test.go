package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/muster-hr/muster/libs/ledger"
)

// verdict is what a run did. An effect is a write that changed what is there.
type verdict struct {
	seed      uint64
	accepted  int
	distinct  int
	kills     map[string]int
	delivered int // versions of people that arrived, over all targets
	parked    int // people who still wait
	dead      int
	lost      int            // newest version not there, change missing, outcome missing in the evidence
	reordered int            // an older version after a newer one
	doubled   int            // a change that had a second effect, or was written again after its receipt was noted
	blind     int            // of these: of what the target never shows, by who could not know what a predecessor wrote
	again     int            // writes of what was there already, whose receipt a crash cut off: no effects
	window    map[string]int // calls whose receipt was cut off by a kill, by target
	targets   []string
	files     map[string]int // that came, by target
	leaked    int            // values at a target whose integration does not list their class
	planted   int            // values where they may be
	each      map[string]*counts
	rows      int64 // of the chain, which holds
	took      time.Duration
	notes     []string // the first of what is wrong
}

// counts are those of one target.
type counts struct{ delivered, lost, reordered, doubled, again int }

// per runs the judge of one target and keeps what it adds.
func (v *verdict) per(target string, judge func()) {
	before := *v
	judge()
	v.each[target] = &counts{v.delivered - before.delivered, v.lost - before.lost, v.reordered - before.reordered, v.doubled - before.doubled, v.again - before.again}
}

// table has a line for each target.
func (v *verdict) table() string {
	var b strings.Builder
	fmt.Fprintln(&b, "target     delivered  lost  reordered  doubled  rewritten  kills-in-window  files")
	for _, target := range v.targets {
		if c := v.each[target]; c != nil {
			fmt.Fprintf(&b, "%-9s  %-9d  %-4d  %-9d  %-7d  %-9d  %-15d  %d\n", target, c.delivered, c.lost, c.reordered, c.doubled, c.again, v.window[target], v.files[target])
		}
	}
	return b.String()
}

func (v *verdict) note(format string, args ...any) {
	if len(v.notes) < 40 {
		v.notes = append(v.notes, fmt.Sprintf(format, args...))
	}
}

// wrong is the sum of what must not be.
func (v *verdict) wrong() int { return v.lost + v.reordered + v.doubled + v.parked + v.dead + v.leaked }

const tableHead = "seed  accepted  distinct  kills  delivered  parked  dead  lost  reordered  doubled  leaked  rewritten  audit rows  took   kills-in-window"

func (v *verdict) String() string {
	kills := 0
	for _, n := range v.kills {
		kills += n
	}
	var windows []string
	for _, name := range v.targets {
		windows = append(windows, fmt.Sprintf("%s %d", name, v.window[name]))
	}
	return fmt.Sprintf("%-4d  %-8d  %-8d  %-5d  %-9d  %-6d  %-4d  %-4d  %-9d  %-7d  %-6d  %-9d  %-10d  %-5s  %s", v.seed, v.accepted, v.distinct,
		kills, v.delivered, v.parked, v.dead, v.lost, v.reordered, v.doubled, v.leaked, v.again, v.rows, v.took.Round(time.Second), strings.Join(windows, ", "))
}

// sight is one write about a person at one target, as far as it is judged.
type sight struct {
	at     time.Time
	rev    int            // the version that its title names; 0: it names none
	state  map[string]any // what is there after it
	create bool
	left   bool     // access is closed after it
	said   []string // names of what was sent
}

// judge looks at the fakes, the team's stream and Postgres.
func (k *killer) judge(ctx context.Context) *verdict {
	v := &verdict{seed: k.l.seed, accepted: int(k.d.accepted.Load()), distinct: k.l.distinct(), kills: map[string]int{}, window: map[string]int{}, targets: targetsOf(k.l.all), files: map[string]int{}, each: map[string]*counts{}}
	for _, x := range k.kills {
		v.kills[x.name]++
	}
	for _, line := range k.trace {
		v.note("%s", line)
	}
	if v.accepted != len(k.l.calls) {
		v.lost++
		v.note("only %d of %d webhooks were accepted", v.accepted, len(k.l.calls))
	}
	v.parked = k.parked(ctx)
	v.per("journal", func() { k.stream(v, "journal", k.journal(v)) })
	var ids map[int]string
	v.per("team-bi", func() { ids = k.team(ctx, v) })
	noted := k.evidence(ctx, v, ids)
	v.per("okta", func() { k.state(v, "okta", k.okta(), ids, noted) })
	v.per("directory", func() { k.state(v, "directory", k.directory(), ids, noted) })
	if k.l.all {
		k.further(v, ids, noted)
		k.minimised(v)
	}
	for _, target := range v.targets {
		if _, fake := fakes[target]; !fake {
			continue
		}
		var h struct{ Held struct{ Cut int } }
		k.s.call("GET", k.s.Sandbox+"/_sandbox/"+target+"/faults", nil, nil, &h)
		v.window[target] = h.Held.Cut
	}
	return v
}

func rev(title any) int {
	s, _ := title.(string)
	n, _ := strconv.Atoi(strings.TrimPrefix(s, "r"))
	return n
}

func person(number any) (int, bool) {
	s, _ := number.(string)
	n, err := strconv.Atoi(strings.TrimPrefix(s, "C"))
	return n, err == nil
}

// okta is its log of writes by person.
func (k *killer) okta() map[int][]sight {
	profile := func(x map[string]any) map[string]any {
		p, _ := x["profile"].(map[string]any)
		return p
	}
	return k.sights("okta", "title", func(shown map[string]any) any { return profile(shown)["employeeNumber"] }, profile)
}

func (k *killer) directory() map[int][]sight {
	seen := map[int][]sight{}
	for _, w := range k.chaosVendor("directory").Writes {
		body, _ := w.Body.(map[string]any)
		p, ok := person(body["number"])
		if !ok {
			continue
		}
		seen[p] = append(seen[p], sight{at: w.At, rev: rev(body["title"]), state: body, create: w.Op == "create", left: body["status"] == "terminated"})
	}
	return seen
}

// state judges a target that wants the newest state.
func (k *killer) state(v *verdict, target string, seen map[int][]sight, ids map[int]string, noted map[place][]receipt) {
	for p, news := range k.l.news {
		newest := news[len(news)-1]
		top, made := 0, 0
		for i, s := range seen[p] {
			if s.rev > top {
				v.delivered++
			}
			if s.rev != 0 && s.rev < top || i > 0 && seen[p][i-1].left && !s.left && !s.create {
				v.reordered++
				v.note("%s: person %d: version %d after %d", target, p, s.rev, top)
			}
			top = max(top, s.rev)
			if s.create {
				made++
			}
			if i == 0 || s.create || !reflect.DeepEqual(s.state, seen[p][i-1].state) {
				continue
			}
			if slices.Contains(filed, target) {
				v.doubled++
				v.note("%s: person %d: version %d was told twice", target, p, top)
				continue
			}
			v.again++
			version := int64(slices.Index(news, top) + 1) // ours, of what was written twice
			switch before := seen[p][i-1].at; {
			case len(s.said) > 0 && slices.Equal(s.said, unreadable[target]) && k.restarted(target, before, s.at):
				v.blind++ // what was in its predecessor's hands is not known, and the target does not show it
			case slices.ContainsFunc(noted[place{ids[p], target}], func(r receipt) bool {
				return done[r.outcome] && r.version >= version && r.at.After(before) && r.at.Before(s.at)
			}):
				v.doubled++
				v.note("%s: person %d: version %d was written again after its receipt was noted: %v", target, p, top, s.said)
			case !k.crashed(target, before, s.at):
				v.note("%s: person %d: version %d was written again, its receipt was not noted though nothing was killed (%s later)", target, p, top, s.at.Sub(before))
			}
		}
		if made > 1 {
			v.doubled += made - 1
			v.note("%s: person %d was created %d times", target, p, made)
			for _, s := range seen[p] {
				v.note("  %s version %d, create %t", s.at.Format(clockTime), s.rev, s.create)
			}
			for _, r := range noted[place{ids[p], target}] {
				v.note("  %s noted %s of our version %d, attempt %d", r.at.Format(clockTime), r.outcome, r.version, r.attempt)
			}
			for _, x := range k.kills {
				if x.name == "delivery-"+target || x.name == "broker" {
					v.note("  %s %s was killed", x.at.UTC().Format(clockTime), x.name)
				}
			}
		}
		var last sight
		if n := len(seen[p]); n > 0 {
			last = seen[p][n-1]
		}
		if k.l.leaves[p] != 0 && len(seen[p]) == 0 {
			continue // came and went before the target heard of them
		}
		if gone := k.l.leaves[p] != 0; last.left != gone || !gone && last.rev != newest && top != newest || target == "directory" && top != newest {
			v.lost++
			v.note("%s: person %d: ends at version %d (%d), left %t; said was %d, left %t", target, p, last.rev, top, last.left, newest, gone)
		}
	}
}

// place is one person at one target.
type place struct{ employee, target string }

// receipt is what was noted about an attempt.
type receipt struct {
	version, attempt int64
	outcome          string
	at               time.Time
}

// done are the outcomes after which nothing is to be done any more.
var done = map[string]bool{"applied": true, "unchanged": true, "accepted": true}

const clockTime = "15:04:05.000"

// restarted tells whether what calls a target was killed between two moments.
func (k *killer) restarted(target string, from, to time.Time) bool {
	return slices.ContainsFunc(k.kills, func(x kill) bool {
		return x.name == "delivery-"+target && x.at.After(from) && x.at.Before(to)
	})
}

// crashed tells whether what calls a target was killed, or may have been unable
// to note an outcome because the broker was, between two moments.
func (k *killer) crashed(target string, from, to time.Time) bool {
	return slices.ContainsFunc(k.kills, func(x kill) bool {
		before := time.Second
		if x.name == "broker" {
			before = 20 * time.Second // it comes back, finds its streams, everybody connects anew
		}
		return (x.name == "delivery-"+target || x.name == "broker") && x.at.After(from.Add(-before)) && x.at.Before(to)
	})
}

// entry is one change at a target that wants all of them.
type entry struct {
	event string
	rev   int
}

func (k *killer) journal(v *verdict) map[int][]entry {
	seen := map[int][]entry{}
	for _, w := range k.chaosVendor("journal").Writes {
		envelope, _ := w.Body.(map[string]any)
		body, _ := envelope["body"].(map[string]any)
		p, ok := person(body["number"])
		if !ok {
			v.lost++
			v.note("journal: an entry without a person")
			continue
		}
		event, _ := envelope["id"].(string)
		seen[p] = append(seen[p], entry{event, rev(body["title"])})
	}
	return seen
}

// stream judges a target that wants every change, in order, once.
func (k *killer) stream(v *verdict, target string, seen map[int][]entry) {
	for p, news := range k.l.news {
		events, revs, top := map[string]bool{}, map[int]bool{}, 0
		for _, e := range seen[p] {
			switch {
			case events[e.event] || revs[e.rev]:
				v.doubled++
				v.note("%s: person %d: version %d came twice", target, p, e.rev)
			case e.rev < top:
				v.reordered++
				v.note("%s: person %d: version %d after %d", target, p, e.rev, top)
			}
			events[e.event], revs[e.rev], top = true, true, max(top, e.rev)
		}
		for _, n := range news {
			if revs[n] {
				v.delivered++
			} else {
				v.lost++
				v.note("%s: person %d: version %d never came", target, p, n)
			}
		}
	}
}

// team reads the team's stream with the team's consumer, and judges it. It gives
// our id of each person.
func (k *killer) team(ctx context.Context, v *verdict) map[int]string {
	ids, seen, versions := map[int]string{}, map[int][]entry{}, map[int]uint64{}
	consumer, err := k.js.Consumer(ctx, "TEAM_bi", "bi")
	if err != nil {
		v.lost++
		v.note("the team's stream: %v", err)
		return ids
	}
	for {
		batch, err := consumer.Fetch(500, jetstream.FetchMaxWait(time.Second))
		if err != nil {
			v.note("the team's stream: %v", err)
			return ids
		}
		n := 0
		for m := range batch.Messages() {
			n++
			_ = m.Ack()
			k.said.Write(m.Data())
			fmt.Fprint(&k.said, m.Subject(), m.Headers())
			var data struct {
				ID       string
				Version  uint64
				Employee struct {
					Number    string `json:"employee_number"`
					Positions []struct{ Title string }
				}
			}
			p, ok := 0, json.Unmarshal(m.Data(), &data) == nil && len(data.Employee.Positions) == 1
			if ok {
				p, ok = person(data.Employee.Number)
			}
			if !ok {
				v.lost++
				v.note("team-bi: an event without a person")
				continue
			}
			ids[p] = data.ID
			if data.Version <= versions[p] {
				v.reordered++
				v.note("team-bi: person %d: sequence %d after %d", p, data.Version, versions[p])
			}
			versions[p] = max(versions[p], data.Version)
			seen[p] = append(seen[p], entry{strings.Join(m.Headers()["ce-id"], ""), rev(data.Employee.Positions[0].Title)})
		}
		if n == 0 {
			break
		}
	}
	k.stream(v, "team-bi", seen)
	return ids
}

// evidence asks Postgres: the chain holds, and every change has an outcome at
// every target, as itself or as one that a newer one stands for. It gives what
// was noted about attempts, by person and target.
func (k *killer) evidence(ctx context.Context, v *verdict, ids map[int]string) (noted map[place][]receipt) {
	noted = map[place][]receipt{}
	wrong := func(format string, args ...any) {
		v.lost++
		v.note("evidence: "+format, args...)
	}
	l, err := ledger.Open(ctx, k.s.Postgres)
	if err != nil {
		wrong("%v", err)
		return noted
	}
	defer l.Close()
	if v.rows, err = l.VerifyChain(ctx); err != nil {
		wrong("%v", err)
	}
	letters, _, err := l.Dead(ctx, 1000, "")
	if err != nil {
		wrong("%v", err)
	}
	v.dead = len(letters)
	for _, d := range letters {
		v.note("dead: %s %s %s %s %s", d.Target, d.Class, d.Reason, d.Path, d.Rule)
	}
	db, err := pgx.Connect(ctx, k.s.Postgres)
	if err != nil {
		wrong("%v", err)
		return noted
	}
	defer func() { _ = db.Close(ctx) }()
	type key struct {
		employee, target string
		version          int64
	}
	settled := map[key]bool{}
	var employee, target, outcome string
	var version, attempt int64
	var superseded []int64
	var at time.Time
	rows, _ := db.Query(ctx, `SELECT employee, target, version, attempt, outcome, at,
			ARRAY(SELECT e::bigint FROM json_array_elements_text(coalesce(detail->'superseded', '[]'::json)) e)
		FROM audit_records WHERE kind = 'delivery' ORDER BY seq`)
	_, err = pgx.ForEachRow(rows, []any{&employee, &target, &version, &attempt, &outcome, &at, &superseded}, func() error {
		noted[place{employee, target}] = append(noted[place{employee, target}], receipt{version, attempt, outcome, at})
		if !done[outcome] {
			return nil
		}
		settled[key{employee, target, version}] = true
		for _, s := range superseded {
			settled[key{employee, target, s}] = true
		}
		if target == "team-bi" && outcome == "unchanged" {
			v.window[target]++
		}
		return nil
	})
	if err != nil {
		wrong("%v", err)
	}
	changes := map[string]int{}
	rows, _ = db.Query(ctx, `SELECT employee, version FROM audit_records WHERE kind = 'change'`)
	_, err = pgx.ForEachRow(rows, []any{&employee, &version}, func() error {
		changes[employee]++
		for _, target := range v.targets {
			if !settled[key{employee, target, version}] {
				wrong("change %d of %s has no outcome at %s", version, employee, target)
			}
		}
		return nil
	})
	if err != nil {
		wrong("%v", err)
	}
	for p, news := range k.l.news {
		if n := changes[ids[p]]; n != len(news) {
			wrong("person %d has %d changes, not %d", p, n, len(news))
		}
	}
	return noted
}

// admin is a connection with every right.
func admin(s *system) (*nats.Conn, error) {
	key, err := nats.NkeyOptionFromSeed(s.NATS.NKeys["admin"])
	if err != nil {
		return nil, err
	}
	return nats.Connect(s.NATS.URL, key, nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(), nats.ReconnectWait(200*time.Millisecond))
}
