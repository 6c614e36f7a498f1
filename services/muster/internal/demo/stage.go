package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// stage is the surroundings of the scenes and what they found so far.
type stage struct {
	where    Where
	person   Person
	postgres *pgx.Conn
	team     *team
	seen     map[string]state
	result   Result
	oktaSeen int

	hrisID, oktaID, payrollID, lmsID, email, number string
	now                                             time.Time // of all services, once the scenes moved it
}

// state is what a fake shows under /_sandbox/{vendor}/state.
type state struct {
	People map[string]map[string]any `json:"people"`
	Writes []write                   `json:"writes"`
}

type write struct {
	At          time.Time `json:"at"`
	Key         string    `json:"key"`
	Op          string    `json:"op"`
	Body        any       `json:"body"`
	Traceparent string    `json:"traceparent"`
}

func open(ctx context.Context, w Where, p Person) (*stage, error) {
	s := &stage{where: w, person: p, seen: map[string]state{}}
	var err error
	if s.postgres, err = pgx.Connect(ctx, w.Postgres); err != nil {
		return nil, fmt.Errorf("look into the audit: %w", err)
	}
	if s.team, err = follow(w.NATS, w.TeamSeed); err != nil {
		return nil, errors.Join(fmt.Errorf("read as team bi: %w", err), s.postgres.Close(ctx))
	}
	return s, nil
}

func (s *stage) close() {
	s.team.close()
	_ = s.postgres.Close(context.Background()) // only read from
}

// await looks at a vendor's state until it is as wanted and adds a row.
func (s *stage) await(ctx context.Context, change, target string, at time.Time, look func(state) (write, string, bool)) bool {
	row := Row{Change: change, Target: target}
	var seen write
	err := s.until(ctx, func() (bool, error) {
		st, err := s.state(ctx, target)
		if err != nil {
			return false, err
		}
		s.seen[target] = st
		seen, row.Outcome, row.OK = look(st)
		return row.OK, nil
	})
	if err != nil {
		row.OK = false
		if row.Outcome == "" {
			row.Outcome = err.Error()
		}
	}
	row.Took, row.Fields = time.Since(at), fields(seen.Body)
	s.result.Rows = append(s.result.Rows, row)
	return row.OK
}

// awaitTeam waits for the person's next event in the team's own stream.
func (s *stage) awaitTeam(ctx context.Context, change string, at time.Time, verb, department string) {
	row := Row{Change: change, Target: "team-bi"}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for !row.OK {
		e, err := s.team.next(ctx)
		if err != nil {
			row.Outcome = "no event: " + err.Error()
			break
		}
		if !s.team.isOurs(e) {
			continue
		}
		row.OK = e.verb == verb && (department == "" || strings.Contains(string(e.employee), department))
		row.Outcome = fmt.Sprintf("event %q, sequence %d", e.verb, e.sequence)
		row.Fields = fields(e.data["employee"])
		if !row.OK {
			row.Outcome += ", wanted " + verb
			if e.verb == "updated" && verb != "updated" {
				continue
			}
			break
		}
	}
	row.Took = time.Since(at)
	s.result.Rows = append(s.result.Rows, row)
}

// until asks again and again until done, an error or the end of patience.
func (s *stage) until(ctx context.Context, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(15 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("not seen within %s", patience)
		}
	}
}

// settle waits until no vendor got a call for a while: what was going to be
// written has been.
func (s *stage) settle(ctx context.Context) error {
	const quiet = 700 * time.Millisecond
	last, since := -1, time.Now()
	return s.until(ctx, func() (bool, error) {
		all, err := s.requests(ctx)
		if err != nil {
			return false, err
		}
		n := 0
		for _, c := range all {
			n += c
		}
		if n != last {
			last, since = n, time.Now()
		}
		s.oktaSeen = all["okta"]
		return time.Since(since) > quiet, nil
	})
}

// sources are the vendors that only tell; targets those that must follow.
var (
	sources = []string{"greenhouse", "elections", "typeform"}
	targets = []string{"bamboohr", "okta", "payroll", "lms", "carrier"}
)

// count is the number of writes at each target.
func (s *stage) count(ctx context.Context) map[string]int {
	out := map[string]int{"team-bi": s.team.received()}
	for _, v := range targets {
		if st, err := s.state(ctx, v); err == nil {
			out[v] = len(st.Writes)
		}
	}
	return out
}

func (s *stage) requests(ctx context.Context) (map[string]int, error) {
	out := map[string]int{}
	for _, v := range append(slices.Clone(sources), targets...) {
		n, err := s.requestCount(ctx, v)
		if err != nil {
			return nil, err
		}
		out[v] = n
	}
	return out, nil
}

func (s *stage) requestCount(ctx context.Context, vendor string) (int, error) {
	var all struct {
		Requests []struct{} `json:"requests"`
	}
	err := s.call(ctx, http.MethodGet, "/_sandbox/"+vendor+"/requests", nil, &all)
	return len(all.Requests), err
}

func (s *stage) state(ctx context.Context, vendor string) (state, error) {
	var st state
	err := s.call(ctx, http.MethodGet, "/_sandbox/"+vendor+"/state", nil, &st)
	return st, err
}

func (s *stage) do(ctx context.Context, vendor, verb string, args map[string]any) (map[string]any, error) {
	var out map[string]any
	err := s.post(ctx, "/_sandbox/"+vendor+"/do/"+verb, args, &out)
	return out, err
}

func (s *stage) post(ctx context.Context, path string, in, out any) error {
	return s.call(ctx, http.MethodPost, path, in, out)
}

func (s *stage) deleteFaults(ctx context.Context, vendor string) error {
	return s.call(ctx, http.MethodDelete, "/_sandbox/"+vendor+"/faults", nil, nil)
}

func (s *stage) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.where.Sandbox+path, body)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s answered %d: %s", method, path, resp.StatusCode, bytes.TrimSpace(b))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(b, out)
}

// moveClock sets the time of all services.
func (s *stage) moveClock(ctx context.Context, to time.Time) error {
	s.now = to
	return s.post(ctx, "/_sandbox/clock", map[string]any{"now": to}, nil)
}

// nextDay passes the hour at which files are sent.
func (s *stage) nextDay(ctx context.Context) error { return s.moveClock(ctx, s.now.AddDate(0, 0, 1)) }

// deliveries counts what the audit has of the person at a target: confirmed,
// and staged for a file.
func (s *stage) deliveries(ctx context.Context, target string) (applied, staged int, err error) {
	err = s.postgres.QueryRow(ctx, `
		select count(*) filter (where outcome = 'applied'), count(*) filter (where outcome = 'accepted')
		from audit_records where kind = 'delivery' and target = $1 and employee = $2`, target, s.team.employee()).Scan(&applied, &staged)
	return applied, staged, err
}

// audited counts the person's applied deliveries in the audit, by target.
func (s *stage) audited(ctx context.Context) (map[string]int, error) {
	rows, err := s.postgres.Query(ctx, `
		select target, count(*) from audit_records
		where kind = 'delivery' and outcome = 'applied' and employee = $1
		  and cardinality(fields) > 0 and purpose <> '' and legal_basis <> ''
		group by target`, s.team.employee())
	if err != nil {
		return nil, err
	}
	out := map[string]int{}
	var target string
	var n int
	_, err = pgx.ForEachRow(rows, []any{&target, &n}, func() error { out[target] = n; return nil })
	return out, err
}

// last is the newest write of a kind about a person.
func (st state) last(op, key string) write {
	for _, w := range slices.Backward(st.Writes) {
		if w.Op == op && w.Key == key {
			return w
		}
	}
	return write{}
}

// latest is the newest write about a person.
func (st state) latest(key string) write {
	for _, w := range slices.Backward(st.Writes) {
		if w.Key == key {
			return w
		}
	}
	return write{}
}

// person finds somebody by a work e-mail anywhere in what was written.
func (st state) person(email string) (string, write) {
	for id, p := range st.People {
		if email != "" && strings.Contains(flat(p), email) {
			return id, st.latest(id)
		}
	}
	return "", write{}
}

func flat(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}

// text finds a named text at the top of a person or one level below, where
// some vendors keep the profile.
func text(p map[string]any, name string) string {
	if s, ok := p[name].(string); ok {
		return s
	}
	for _, v := range p {
		if inner, ok := v.(map[string]any); ok {
			if s, ok := inner[name].(string); ok {
				return s
			}
		}
	}
	return ""
}

// fields names the leaves of a body, never their values.
func fields(v any) string {
	var names []string
	var walk func(prefix string, v any)
	walk = func(prefix string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, inner := range v {
				name := k
				if _, nested := inner.(map[string]any); !nested {
					names = append(names, name)
				}
				walk(name, inner)
			}
		case []any:
			for _, inner := range v {
				walk(prefix, inner)
			}
		}
	}
	walk("", v)
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) == 0 {
		return "–"
	}
	if len(names) > 6 {
		return fmt.Sprintf("%s +%d", strings.Join(names[:5], " "), len(names)-5)
	}
	return strings.Join(names, " ")
}

func traceID(traceparent string) string {
	parts := strings.Split(traceparent, "-")
	if len(parts) != 4 {
		return ""
	}
	return parts[1]
}

func list(counts map[string]int) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		out = append(out, fmt.Sprintf("%s %d", name, counts[name]))
	}
	return strings.Join(out, ", ")
}
