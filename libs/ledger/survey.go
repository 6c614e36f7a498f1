package ledger

import (
	"context"
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/muster-hr/muster/libs/survey"
)

// Answers is a response to a survey with what stands in it, rows of their own
// beside the record.
type Answers struct {
	Status, LinkedBy string
	AcceptedAt       time.Time
	Response         survey.Response // Employee: our id, "" unless linked
}

// Response is one entry of the list of responses.
type Response struct {
	ID          string    `json:"id"`
	Source      string    `json:"source"`
	Survey      string    `json:"survey"`
	Cycle       string    `json:"cycle"`
	Status      string    `json:"status"`
	Employee    *string   `json:"employee"` // null unless linked
	LinkedBy    string    `json:"linked_by"`
	SubmittedAt time.Time `json:"submitted_at"`
	ReceivedAt  time.Time `json:"received_at"`
	Event       string    `json:"event"`
	TraceID     string    `json:"trace_id"`
	Answers     []Fact    `json:"answers"`
}

// Fact is one answer. Value is null where somebody used their own words.
type Fact struct {
	Question string `json:"question"`
	Kind     string `json:"kind"`
	Value    any    `json:"value"`
	Min      *int   `json:"min"`
	Max      *int   `json:"max"`
}

// Which narrows the list of responses; empty fields do not.
type Which struct{ Survey, Status, Employee string }

const responseColumns = `id, source, survey, cycle, status, employee, linked_by, submitted_at, received_at, event, trace_id,
	coalesce((SELECT json_agg(json_build_object('question', question, 'kind', kind, 'value', value, 'min', low, 'max', high) ORDER BY part)
		FROM survey_facts f WHERE f.response = r.id), '[]')`

// Surveys lists responses, the newest first. next is "" at the end.
func (l *Ledger) Surveys(ctx context.Context, w Which, limit int, after string) (responses []Response, next string, err error) {
	limit = bounded(limit)
	c, err := parseCursor(after)
	if err != nil {
		return nil, "", err
	}
	responses, err = collect[Response](ctx, l, "responses", `SELECT `+responseColumns+` FROM survey_responses r
		WHERE ($1 = '' OR survey = $1) AND ($2 = '' OR status = $2) AND ($3 = '' OR employee = $3)
			AND ($4::timestamptz IS NULL OR (submitted_at, id) < ($4, $5))
		ORDER BY submitted_at DESC, id DESC LIMIT $6`, w.Survey, w.Status, w.Employee, c.at(), c.ID, limit+1)
	if err != nil || len(responses) <= limit {
		return responses, "", err
	}
	responses = responses[:limit]
	last := responses[limit-1]
	return responses, cursor{At: last.SubmittedAt, ID: last.ID}.String(), nil
}

// Survey reads one response by its id.
func (l *Ledger) Survey(ctx context.Context, id string) (Response, error) {
	some, err := collect[Response](ctx, l, "a response", `SELECT `+responseColumns+` FROM survey_responses r WHERE id = $1`, id)
	if err != nil {
		return Response{}, err
	}
	if len(some) == 0 {
		return Response{}, ErrNotFound
	}
	return some[0], nil
}

// lockAnswers has whoever erases a person and whoever brings their answers wait
// for each other until the end of their transactions.
const lockAnswers = `SELECT pg_advisory_xact_lock(hashtext($1))`

// addAnswers keeps responses and their facts: one that comes again is linked at
// most, and whoever is erased takes theirs along.
func addAnswers(ctx context.Context, tx pgx.Tx, rs []Record) error {
	var b pgx.Batch
	for i := range rs {
		r := &rs[i]
		switch {
		case r.Kind == KindErased && r.Employee != "":
			b.Queue(lockAnswers, r.Employee)
			b.Queue(`DELETE FROM survey_responses WHERE employee = $1`, r.Employee)
		case r.Answers != nil:
			a, id := r.Answers, text(r.KeyToken)
			whose := nullable(text(a.Response.Employee))
			at := a.Response.SubmittedAt.UTC().Truncate(time.Microsecond)
			if whose != nil {
				b.Queue(lockAnswers, *whose)
			}
			b.Queue(`INSERT INTO survey_responses (id, source, survey, cycle, status, employee, linked_by, submitted_at, received_at, event, trace_id)
					VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
				ON CONFLICT (id) DO UPDATE SET status = excluded.status, employee = excluded.employee, linked_by = excluded.linked_by`,
				id, r.Source, text(a.Response.Survey), text(a.Response.Cycle), text(a.Status), whose, text(a.LinkedBy), at, a.AcceptedAt, r.Event, r.TraceID)
			b.Queue(`DELETE FROM survey_facts WHERE response = $1`, id)
			for n, one := range a.Response.Answers {
				value, number := closed(one)
				b.Queue(`INSERT INTO survey_facts (response, part, survey, question, kind, submitted_at, employee, value, number, low, high)
						VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::numeric, $10, $11)`,
					id, n+1, text(a.Response.Survey), text(one.Question), text(string(one.Kind)), at, whose, value, number, end(one.Min), end(one.Max))
			}
			if whose != nil { // streams are not read in step: the erasure may stand in the ledger already
				b.Queue(`DELETE FROM survey_responses WHERE id = $1 AND EXISTS (SELECT FROM audit_records WHERE employee = $2 AND kind = 'erased')`, id, *whose)
			}
		}
	}
	if b.Len() == 0 {
		return nil
	}
	return tx.SendBatch(ctx, &b).Close()
}

// closed is what an answer says in words or numbers that were given to choose
// from, as JSON, and as decimal text where it is a number; nil where it is
// somebody's own words, or nothing that a table holds.
func closed(a survey.Answer) (value []byte, number *string) {
	var v any
	switch a.Kind {
	case survey.Scale, survey.ENPS, survey.Number:
		n, _ := a.Value.(json.Number)
		f, err := n.Float64()
		if err != nil || math.Abs(f) > 1e30 || f != 0 && math.Abs(f) < 1e-30 {
			return nil, nil // no number that anybody gave, or that a column holds
		}
		plain := strconv.FormatFloat(f, 'f', -1, 64)
		v, number = json.Number(plain), &plain
	case survey.YesNo:
		v, _ = a.Value.(bool)
		if _, ok := a.Value.(bool); !ok {
			return nil, nil
		}
	case survey.Date:
		day, _ := a.Value.(string)
		if _, err := time.Parse(time.DateOnly, day); err != nil {
			return nil, nil
		}
		v = day
	case survey.Choice:
		label, ok := a.Value.(string)
		if !ok || a.Own {
			return nil, nil
		}
		v = text(label)
	case survey.Choices:
		labels, ok := a.Value.([]any)
		if !ok || a.Own {
			return nil, nil
		}
		chosen := make([]string, 0, len(labels))
		for _, label := range labels {
			if s, ok := label.(string); ok {
				chosen = append(chosen, text(s))
			}
		}
		v = chosen
	default:
		return nil, nil
	}
	value, err := json.Marshal(v)
	if err != nil {
		return nil, nil
	}
	return value, number
}

// end is an end of a scale that a column holds.
func end(n *int) *int {
	if n == nil || *n > math.MaxInt32 || *n < math.MinInt32 {
		return nil
	}
	return n
}

func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
