package gusto

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/muster-hr/muster/libs/employee"
)

// w4Fields are those that Gusto takes; others of the form stay here.
var w4Fields = []string{"filing_status", "two_jobs", "dependents_amount", "other_income", "deductions", "extra_withholding"}

// w4 brings the federal withholding: the form of 2020 and later, the only one
// that Gusto takes.
func (r *run) w4(ctx context.Context) error {
	want := r.section("federal_tax")
	if !r.federal || r.settled("federal_tax") || empty(want) {
		return nil
	}
	var cur map[string]any
	if err := r.get(ctx, "/v1/employees/{id}/federal_taxes", r.refs[refID], &cur); err != nil {
		return err
	}
	body := map[string]any{}
	changed := text(cur, "w4_data_type") != "rev_2020_w4"
	for _, name := range w4Fields {
		v := plain(cur[name], want[name])
		if v == nil {
			continue // a withholding is never cleared, only changed
		}
		body[name] = v
		changed = changed || !alike(cur[name], v)
	}
	if !changed {
		return nil
	}
	sent := paths("federal_tax", body)
	body["version"], body["w4_data_type"] = text(cur, "version"), "rev_2020_w4"
	if err := r.do(ctx, call{method: http.MethodPut, template: "/v1/employees/{id}/federal_taxes", id: r.refs[refID], json: body}, nil); err != nil {
		return err
	}
	return r.done(ctx, sent...)
}

// question is one of a state's form; each state asks others.
type question struct {
	Key    string `json:"key"`
	Format struct {
		Type    string `json:"type"`
		Options []struct {
			Value any `json:"value"`
		} `json:"options"`
	} `json:"input_question_format"`
	Answers []struct {
		Value any `json:"value"`
		UpTo  any `json:"valid_up_to"`
	} `json:"answers"`
}

// now is the answer that holds.
func (q question) now() any {
	for _, a := range slices.Backward(q.Answers) {
		if a.UpTo == nil {
			return a.Value
		}
	}
	return nil
}

// fits turns our value into one that the question takes: an option, a number,
// a yes or no. It is false if it takes none such.
func (q question) fits(v any) (any, bool) {
	if len(q.Format.Options) > 0 {
		for _, o := range q.Format.Options {
			if alike(o.Value, v) {
				return o.Value, true
			}
		}
		return nil, false
	}
	s, isText := v.(string)
	switch q.Format.Type {
	case "Number", "Currency":
		if !isText {
			return v, true
		}
		if n, err := strconv.Atoi(s); err == nil && q.Format.Type == "Number" {
			return n, true
		}
		return s, decimalForm.MatchString(s)
	}
	return v, true
}

// stateTax answers the questions of the states in which somebody lives and
// works. Gusto makes them from the addresses, so they come after those. There
// is no version here: the last write wins.
func (r *run) stateTax(ctx context.Context) error {
	if !r.state || r.settled("state_taxes") {
		return nil
	}
	wanted := objects(r.d.Body["state_taxes"])
	if len(wanted) == 0 {
		return nil
	}
	var cur []struct {
		State     string     `json:"state"`
		Questions []question `json:"questions"`
	}
	if err := r.get(ctx, "/v1/employees/{id}/state_taxes", r.refs[refID], &cur); err != nil {
		return err
	}
	states, sent := []any{}, []string{}
	for i, w := range wanted {
		at := fmt.Sprintf("state_taxes[%d]", i)
		n := slices.IndexFunc(cur, func(s struct {
			State     string     `json:"state"`
			Questions []question `json:"questions"`
		}) bool {
			return s.State == text(w, "state")
		})
		if n < 0 {
			return wrong("state", at+".state", "Gusto asks nothing about this state: nobody lives or works there")
		}
		answers, _ := w["answers"].(map[string]any)
		changed := []any{}
		for _, key := range slices.Sorted(maps.Keys(answers)) {
			if answers[key] == nil {
				continue
			}
			k := slices.IndexFunc(cur[n].Questions, func(q question) bool { return q.Key == key })
			if k < 0 {
				return wrong("question", at+".answers", "it answers a question that the state does not ask")
			}
			v, ok := cur[n].Questions[k].fits(answers[key])
			if !ok {
				return wrong("answer", at+".answers", "an answer is not one that the state's question %d takes", k+1)
			}
			if alike(cur[n].Questions[k].now(), v) {
				continue
			}
			changed = append(changed, map[string]any{"key": key, "answers": []any{map[string]any{"value": v, "valid_from": "2010-01-01", "valid_up_to": nil}}})
		}
		if len(changed) > 0 {
			states = append(states, map[string]any{"state": text(w, "state"), "questions": changed})
			sent = append(sent, at)
		}
	}
	if len(states) == 0 {
		return nil
	}
	if err := r.do(ctx, call{method: http.MethodPut, template: "/v1/employees/{id}/state_taxes", id: r.refs[refID], json: map[string]any{"states": states}}, nil); err != nil {
		return err
	}
	return r.done(ctx, sent...)
}

// plain writes our value as Gusto has it there: "true" as a yes, an amount
// with two places.
func plain(theirs, v any) any {
	s, isText := v.(string)
	switch t := theirs.(type) {
	case bool:
		if b, err := strconv.ParseBool(s); isText && err == nil {
			return b
		}
	case string:
		if !isText && v != nil {
			s = scalar(v)
		}
		if decimalForm.MatchString(t) && decimalForm.MatchString(s) {
			return padded(s)
		}
	}
	return v
}

// alike compares values that may be text here and a number there.
func alike(a, b any) bool {
	if employee.Equal(a, b) {
		return true
	}
	if a == nil || b == nil {
		return false
	}
	return equalAmount(scalar(a), scalar(b))
}

func scalar(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, _ := json.Marshal(v)
	return string(b)
}
