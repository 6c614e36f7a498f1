package fake

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// question is one of the form's; kind is the type of its answers.
type question struct{ id, ref, title, field, kind string }

// questions are those of every form here, in their order.
var questions = []question{
	{"aB1cD2eF3gH4", "enps", "How likely are you to recommend *us* as a place to work?", "nps", "number"},
	{"iJ5kL6mN7oP8", "improve", "{{hidden:first_name}}, what should we improve?", "long_text", "text"},
	{"qR9sT0uV1wX2", "benefits", "Which benefits matter to you?", "multiple_choice", "choices"},
	{"yZ3aB4cD5eF6", "stay", "Do you plan to stay?", "yes_no", "boolean"},
	{"gH7iJ8kL9mN0", "started", "Your start date", "date", "date"},
	{"oP1qR2sT3uV4", "mgr", "My manager supports me", "opinion_scale", "number"},
}

// submit makes a response of what somebody filled in.
func (v *account) submit(args map[string]any) (*response, error) {
	given, _ := args["answers"].(map[string]any)
	now := v.o.Time().Truncate(time.Second)
	sum := sha256.Sum256([]byte(fmt.Sprint(len(v.responses), v.events, now)))
	r := &response{form: defaultForm, token: hex.EncodeToString(sum[:16]), at: now}
	if form, _ := args["form"].(string); form != "" {
		r.form = form
	}
	if token, _ := args["token"].(string); token != "" {
		r.token = token
	}
	hidden := map[string]any{}
	if more, _ := args["hidden"].(map[string]any); more != nil {
		maps.Copy(hidden, more)
	}
	for _, name := range []string{"email", "employee_id"} {
		if s, _ := args[name].(string); s != "" {
			hidden[name] = s
		}
	}
	asked := slices.Clone(questions)
	for _, ref := range slices.Sorted(maps.Keys(given)) {
		if !slices.ContainsFunc(asked, func(q question) bool { return q.ref == ref }) {
			sum := sha256.Sum256([]byte(ref))
			asked = append(asked, question{hex.EncodeToString(sum[:6]), ref, ref, "short_text", kindOf(given[ref])})
		}
	}
	answers, fields, score := []any{}, []any{}, 0.0
	for _, q := range asked {
		fields = append(fields, map[string]any{"id": q.id, "title": q.title, "type": q.field, "ref": q.ref, "properties": map[string]any{}})
		val, said := given[q.ref]
		if !said || val == nil {
			continue // what is not answered is absent
		}
		val, err := fit(q, val)
		if err != nil {
			return nil, err
		}
		if n, ok := val.(float64); ok {
			score += n
		}
		answers = append(answers, map[string]any{"type": q.kind, q.kind: val, "field": map[string]any{"id": q.id, "ref": q.ref, "type": q.field}})
	}
	r.body = map[string]any{
		"token": r.token, "landed_at": stamp(now.Add(-3 * time.Minute)), "submitted_at": stamp(now),
		"calculated": map[string]any{"score": score}, "variables": []any{map[string]any{"key": "score", "type": "number", "number": score}},
		"answers": answers,
	}
	if len(hidden) > 0 {
		r.body["hidden"] = hidden
	}
	r.whole = maps.Clone(r.body)
	r.whole["form_id"] = r.form
	r.whole["definition"] = map[string]any{"id": r.form, "title": "Pulse", "fields": fields, "endings": []any{}}
	r.whole["ending"] = map[string]any{"id": "DefaultTyScreen", "ref": "default_tys"}
	return r, nil
}

func kindOf(v any) string {
	switch v.(type) {
	case bool:
		return "boolean"
	case float64, int:
		return "number"
	case []any:
		return "choices"
	}
	return "text"
}

var errFit = errors.New("answers: a value does not fit its question")

// fit brings a value to the member of its question's answers.
func fit(q question, v any) (any, error) {
	if kindOf(v) != q.kind && (q.kind != "date" || kindOf(v) != "text") {
		return nil, errFit
	}
	switch q.kind {
	case "choices":
		return map[string]any{"ids": []any{}, "refs": []any{}, "labels": v}, nil
	case "number":
		if n, isInt := v.(int); isInt {
			v = float64(n)
		}
	case "date":
		if _, err := time.Parse(time.DateOnly, fmt.Sprint(v)); err != nil {
			return nil, errFit
		}
	}
	return v, nil
}

// listed is the response as the API has it: answers are null if there are none.
func (r *response) listed() map[string]any {
	out := maps.Clone(r.body)
	out["response_id"], out["landing_id"], out["response_type"] = r.token, r.token, "completed"
	out["metadata"] = map[string]any{"user_agent": "fake", "platform": "other", "referer": "https://forms.example/to/" + r.form, "network_id": "fake", "browser": "default"}
	if out["hidden"] == nil {
		out["hidden"] = map[string]any{}
	}
	if a, _ := out["answers"].([]any); len(a) == 0 {
		out["answers"] = nil
	}
	return out
}
