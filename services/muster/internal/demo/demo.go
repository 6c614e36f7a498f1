// Package demo plays one person's way through a running Muster and looks at
// what came of it where it counts: in the vendors' own state, in the audit's
// Postgres, and in the team's stream, read with the team's own key. It never
// asks Muster itself, so a green table cannot be Muster's opinion.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Where is what the demo needs of a running system.
type Where struct {
	Sandbox  string // base URL
	Console  string
	Postgres string
	NATS     string
	TeamSeed string // seed file of the user team-bi
}

// Person is the one who is hired. Tests plant their own values.
type Person struct {
	Given, Family, Salary string
}

// Row is one expected effect and whether it was seen.
type Row struct {
	Change  string        // what happened at the source
	Target  string        // who must follow
	Fields  string        // what was written there
	Outcome string        // what was seen
	Took    time.Duration // from the change to the effect
	OK      bool
}

// flow names the way that the row is part of.
func (r Row) flow() string {
	switch {
	case strings.Contains(r.Change, "Typeform"):
		return "survey → HRIS"
	case r.Target == "bamboohr" && strings.Contains(r.Change, "Greenhouse"):
		return "ATS → HRIS"
	case r.Target == "postgres" || r.Target == "bamboohr":
		return ""
	}
	to := map[string]string{"okta": "IT/IAM", "payroll": "payroll", "lms": "LMS", "carrier": "benefits", "team-bi": "team"}[r.Target]
	return "HRIS → " + to
}

// Result is what a run saw.
type Result struct {
	Rows     []Row
	TraceID  string         // of the hire
	Requests map[string]int // calls at each vendor
	Took     time.Duration
}

// OK tells whether every expected effect was seen.
func (r Result) OK() bool {
	for _, row := range r.Rows {
		if !row.OK {
			return false
		}
	}
	return len(r.Rows) > 0
}

// patience is how long an effect may take to be seen.
const patience = 15 * time.Second

// Play runs the whole scenario. An error means that it could not be played; an
// effect that was not seen is a row that is not OK.
func Play(ctx context.Context, w Where, p Person) (Result, error) {
	begun := time.Now()
	s, err := open(ctx, w, p)
	if err != nil {
		return Result{}, err
	}
	defer s.close()
	for _, scene := range []func(context.Context) error{s.hire, s.begin, s.raise, s.move, s.enroll, s.answer, s.terminate, s.evidence} {
		if err := scene(ctx); err != nil {
			return s.result, err
		}
	}
	s.result.Took = time.Since(begun)
	s.result.Requests, err = s.requests(ctx)
	return s.result, err
}

// Print writes the table people read.
func Print(out io.Writer, w Where, r Result) error {
	width := [5]int{len("flow"), len("change"), len("target"), len("fields sent"), len("outcome")}
	for _, row := range r.Rows {
		for i, text := range []string{row.flow(), row.Change, row.Target, row.Fields, row.Outcome} {
			width[i] = max(width[i], len([]rune(text)))
		}
	}
	line := fmt.Sprintf("%%-2s %%-%ds  %%-%ds  %%-%ds  %%-%ds  %%-%ds  %%s\n", width[0], width[1], width[2], width[3], width[4])
	_, err := fmt.Fprintf(out, line, "", "flow", "change", "target", "fields sent", "outcome", "time")
	for _, row := range r.Rows {
		mark, took := "✓", ""
		if !row.OK {
			mark = "✗"
		}
		if row.Took > 0 {
			took = fmt.Sprintf("%.0f ms", float64(row.Took.Microseconds())/1000)
		}
		_, werr := fmt.Fprintf(out, line, mark, row.flow(), row.Change, row.Target, row.Fields, row.Outcome, took)
		err = errors.Join(err, werr)
	}
	_, werr := fmt.Fprintf(out, "\nrequests at each vendor: %s\n", list(r.Requests))
	err = errors.Join(err, werr)
	if r.TraceID != "" {
		_, werr = fmt.Fprintf(out, "the hire as one trace:   %s/traces/%s\n", w.Console, r.TraceID)
		err = errors.Join(err, werr)
	}
	return err
}
