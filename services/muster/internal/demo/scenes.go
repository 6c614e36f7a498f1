package demo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// hire: a candidate is hired in the ATS, starting in a week. The person appears
// in the HRIS, whose own webhook must be recognised as the echo; the directory
// gets an account that is not active yet; payroll and the team hear of it.
func (s *stage) hire(ctx context.Context) error {
	change := "hired in Greenhouse"
	start := time.Now().UTC().AddDate(0, 0, 7).Format(time.DateOnly)
	at := time.Now()
	if _, err := s.do(ctx, "greenhouse", "hire", map[string]any{
		"given": s.person.Given, "family": s.person.Family, "start": start,
		"title": "Platform Engineer", "department": "Engineering", "salary": s.person.Salary, "currency": "USD",
	}); err != nil {
		return err
	}
	hris := s.await(ctx, change, "bamboohr", at, func(st state) (write, string, bool) {
		for id, p := range st.People {
			if text(p, "firstName") == s.person.Given && text(p, "lastName") == s.person.Family && text(p, "hireDate") == start && strings.Contains(text(p, "workEmail"), "@") {
				s.hrisID = id
				return st.last("create", id), "created as " + id, true
			}
		}
		return write{}, "no such person", false
	})
	if hris {
		p := s.seen["bamboohr"].People[s.hrisID]
		s.email, s.number = text(p, "workEmail"), text(p, "employeeNumber")
	}
	okta := s.await(ctx, change, "okta", at, func(st state) (write, string, bool) {
		for id, p := range st.People {
			if text(p, "login") == s.email && s.email != "" {
				s.oktaID = id
				w := st.last("create", id)
				s.result.TraceID = traceID(w.Traceparent)
				return w, "account " + text(p, "status"), text(p, "status") == "STAGED"
			}
		}
		return write{}, "no account", false
	})
	if okta {
		s.await(ctx, "its number comes back from BambooHR", "okta", at, func(st state) (write, string, bool) {
			got := text(st.People[s.oktaID], "employeeNumber")
			return st.last("update", s.oktaID), "employee number set", got == s.number && got != ""
		})
	}
	s.await(ctx, change, "payroll", at, func(st state) (write, string, bool) {
		id, w := st.person(s.email)
		s.payrollID = id
		return w, "received", id != ""
	})
	s.awaitTeam(ctx, change, at, "preboarded", "")
	s.echo(ctx, change)
	return nil
}

// echo: every webhook of BambooHR about our own create changed nothing.
func (s *stage) echo(ctx context.Context, change string) {
	_ = s.settle(ctx)
	st, err := s.state(ctx, "bamboohr")
	row := Row{Change: change, Target: "bamboohr", Fields: "–"}
	if err != nil {
		row.Outcome = err.Error()
	} else {
		row.OK = len(st.Writes) == 1 && len(st.People) == 1
		row.Outcome = fmt.Sprintf("%d person, %d write, 0 echoes", len(st.People), len(st.Writes))
		if !row.OK {
			row.Outcome = fmt.Sprintf("%d people, %d writes: the echo was not recognised", len(st.People), len(st.Writes))
		}
	}
	s.result.Rows = append(s.result.Rows, row)
}

// begin: the first day of work has come, in another team than was planned.
func (s *stage) begin(ctx context.Context) error {
	change := "first day at work"
	if err := s.moveClock(ctx, time.Now().UTC().AddDate(0, 0, 8)); err != nil {
		return err
	}
	at := time.Now()
	if _, err := s.do(ctx, "bamboohr", "move", map[string]any{"id": s.hrisID, "department": "Platform"}); err != nil {
		return err
	}
	s.await(ctx, change, "okta", at, func(st state) (write, string, bool) {
		status := text(st.People[s.oktaID], "status")
		return st.latest(s.oktaID), "account " + status, status == "ACTIVE"
	})
	s.await(ctx, change, "lms", at, func(st state) (write, string, bool) {
		id, w := st.person(s.email)
		s.lmsID = id
		return w, "may learn", strings.Contains(flat(st.People[id]), "Platform")
	})
	s.awaitTeam(ctx, change, at, "hired", "Platform")
	return nil
}

// raise: only payroll may see pay.
func (s *stage) raise(ctx context.Context) error {
	change := "raise in BambooHR"
	if err := s.settle(ctx); err != nil {
		return err
	}
	others := s.count(ctx)
	at := time.Now()
	amount := "98000.00"
	if _, err := s.do(ctx, "bamboohr", "raise", map[string]any{"id": s.hrisID, "amount": amount, "effective": s.now.Format(time.DateOnly)}); err != nil {
		return err
	}
	s.await(ctx, change, "payroll", at, func(st state) (write, string, bool) {
		w := st.latest(s.payrollID)
		return w, "new pay received", s.payrollID != "" && strings.Contains(flat(st.People[s.payrollID]), amount)
	})
	if err := s.settle(ctx); err != nil {
		return err
	}
	now := s.count(ctx)
	for _, target := range []string{"bamboohr", "okta", "lms", "carrier", "team-bi"} { // all but payroll
		row := Row{Change: change, Target: target, Fields: "none", Outcome: "nothing written", OK: now[target] == others[target]}
		if !row.OK {
			row.Outcome, row.Fields = "was written to", "?"
		}
		s.result.Rows = append(s.result.Rows, row)
	}
	return nil
}

// move: another department.
func (s *stage) move(ctx context.Context) error {
	change := "moved to Finance"
	at := time.Now()
	if _, err := s.do(ctx, "bamboohr", "move", map[string]any{"id": s.hrisID, "department": "Finance"}); err != nil {
		return err
	}
	s.await(ctx, change, "okta", at, func(st state) (write, string, bool) {
		return st.last("update", s.oktaID), "department updated", text(st.People[s.oktaID], "department") == "Finance"
	})
	s.await(ctx, change, "lms", at, func(st state) (write, string, bool) {
		return st.latest(s.lmsID), "department updated", strings.Contains(flat(st.People[s.lmsID]), "Finance")
	})
	s.awaitTeam(ctx, change, at, "updated", "Finance")
	return nil
}

// enroll: a file of elections names the person by number. The carrier is told
// in the evening, by a file that it confirms.
func (s *stage) enroll(ctx context.Context) error {
	change := "chose a health plan"
	at := time.Now()
	plan := map[string]any{
		"employee_number": s.number, "plan_code": "med-ppo", "plan_kind": "medical", "coverage": "employee", "effective_date": s.now.Format(time.DateOnly),
		"birth_date": "1988-05-14", "gender": "female", "ssn": "900123499", "street": "88 SW Salmon St", "city": "Portland", "state": "OR", "zip": "97204", "country": "US",
	}
	columns := slices.Sorted(maps.Keys(plan))
	if _, err := s.do(ctx, "elections", "drop", map[string]any{"columns": columns, "rows": []any{plan}}); err != nil {
		return err
	}
	if !s.staged(ctx, change, 1) {
		return nil
	}
	if err := s.nextDay(ctx); err != nil {
		return err
	}
	s.await(ctx, change, "carrier", at, func(st state) (write, string, bool) {
		return st.last("create", s.number), "enrolled by file 834", strings.Contains(flat(st.People[s.number]), "PPO-500")
	})
	row := Row{Change: change, Target: "carrier", Fields: "–", Outcome: "its 999 came back: accepted", OK: true}
	if err := s.until(ctx, func() (bool, error) {
		confirmed, _, err := s.deliveries(ctx, "carrier")
		return confirmed > 0, err
	}); err != nil {
		row.OK, row.Outcome = false, "no answer: "+err.Error()
	}
	row.Took = time.Since(at)
	s.result.Rows = append(s.result.Rows, row)
	return nil
}

// staged waits until so many changes have found their place in a file to the
// carrier, sent or not.
func (s *stage) staged(ctx context.Context, change string, n int) bool {
	err := s.until(ctx, func() (bool, error) {
		_, staged, err := s.deliveries(ctx, "carrier")
		return staged >= n, err
	})
	if err != nil {
		s.result.Rows = append(s.result.Rows, Row{Change: change, Target: "carrier", Fields: "–", Outcome: "no place in a file: " + err.Error()})
	}
	return err == nil
}

// answer: a pulse survey. The score is kept as a fact about the person; the
// name by which they want to be called reaches the HRIS.
func (s *stage) answer(ctx context.Context) error {
	change := "answered in Typeform"
	at := time.Now()
	const preferred = "Kit"
	if _, err := s.do(ctx, "typeform", "answer", map[string]any{"email": s.email, "answers": map[string]any{"enps": 9, "preferred": preferred}}); err != nil {
		return err
	}
	s.await(ctx, change, "bamboohr", at, func(st state) (write, string, bool) {
		return st.last("update", s.hrisID), "preferred name updated", text(st.People[s.hrisID], "preferredName") == preferred
	})
	row := Row{Change: change, Target: "postgres", Fields: "enps"}
	err := s.until(ctx, func() (bool, error) {
		var n int
		err := s.postgres.QueryRow(ctx, `
			select count(*) from survey_facts f join survey_responses r on r.id = f.response
			where r.employee = $1 and f.question = 'enps'`, s.team.employee()).Scan(&n)
		row.Outcome = fmt.Sprintf("%d fact linked to the person", n)
		return n == 1, err
	})
	row.OK, row.Took = err == nil, time.Since(at)
	s.result.Rows = append(s.result.Rows, row)
	return nil
}

// terminate: the person leaves while Okta has a backlog of new hires. The
// leaver is served before them.
func (s *stage) terminate(ctx context.Context) error {
	change := "terminated in BambooHR"
	later := time.Now().UTC().AddDate(0, 0, 30)
	if err := s.moveClock(ctx, later); err != nil {
		return err
	}
	if err := s.post(ctx, "/_sandbox/okta/faults", map[string]any{"latency_ms": 400, "for_s": 60}, nil); err != nil {
		return err
	}
	const joiners = 24
	before, err := s.state(ctx, "okta")
	if err != nil {
		return err
	}
	for i := range joiners {
		if _, err := s.do(ctx, "greenhouse", "hire", map[string]any{
			"given": "Backlog", "family": fmt.Sprintf("Number%c", 'A'+i), "start": later.AddDate(0, 0, 7).Format(time.DateOnly),
			"title": "Analyst", "department": "Sales", "salary": "50000", "currency": "USD",
		}); err != nil {
			return err
		}
	}
	if err := s.until(ctx, func() (bool, error) { // the backlog has reached Okta's door
		n, err := s.requestCount(ctx, "okta")
		return n > s.oktaSeen+4, err
	}); err != nil {
		return err
	}
	at := time.Now()
	if _, err := s.do(ctx, "bamboohr", "terminate", map[string]any{"id": s.hrisID, "last_day": later.AddDate(0, 0, -1).Format(time.DateOnly)}); err != nil {
		return err
	}
	waiting := 0
	s.await(ctx, change, "okta", at, func(st state) (write, string, bool) {
		w := st.last("disable", s.oktaID)
		waiting = joiners - (len(st.People) - len(before.People))
		return w, fmt.Sprintf("account %s, ahead of %d joiners", text(st.People[s.oktaID], "status"), waiting),
			text(st.People[s.oktaID], "status") == "DEPROVISIONED" && waiting > 0
	})
	s.await(ctx, change, "payroll", at, func(st state) (write, string, bool) {
		return st.latest(s.payrollID), "last day received", strings.Contains(flat(st.People[s.payrollID]), later.AddDate(0, 0, -1).Format(time.DateOnly))
	})
	s.await(ctx, change, "lms", at, func(st state) (write, string, bool) {
		return st.last("disable", s.lmsID), "account suspended", st.last("disable", s.lmsID).Op != ""
	})
	s.awaitTeam(ctx, change, at, "terminated", "")
	if err := s.deleteFaults(ctx, "okta"); err != nil {
		return err
	}
	if !s.staged(ctx, change, 2) {
		return nil
	}
	if err := s.nextDay(ctx); err != nil {
		return err
	}
	s.await(ctx, change, "carrier", at, func(st state) (write, string, bool) {
		return st.last("disable", s.number), "cover ended by file 834", st.last("disable", s.number).Op != ""
	})
	return nil
}

// evidence: every effect has its row in the audit, and the chain of rows about
// the person names the fields and the legal basis.
func (s *stage) evidence(ctx context.Context) error {
	row := Row{Change: "evidence of all of it", Target: "postgres", Fields: "–"}
	all := append(slices.Clone(targets), "team-bi")
	missing := all
	err := s.until(ctx, func() (bool, error) {
		seen, err := s.audited(ctx)
		if err != nil {
			return false, err
		}
		missing = slices.DeleteFunc(slices.Clone(all), func(t string) bool { return seen[t] > 0 })
		total := 0
		for _, n := range seen {
			total += n
		}
		row.Outcome = fmt.Sprintf("%d deliveries with fields, purpose and outcome", total)
		return len(missing) == 0, nil
	})
	row.OK = err == nil && len(missing) == 0
	if !row.OK {
		row.Outcome = "no record of " + strings.Join(missing, ", ")
	}
	s.result.Rows = append(s.result.Rows, row)
	return nil
}
