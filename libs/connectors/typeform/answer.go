package typeform

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/survey"
)

// The types of answers whose value is a plain text.
var plain = map[string]bool{"text": true, "email": true, "url": true, "phone_number": true, "file_url": true}

// answer reads one answer. Opinion scales, ratings and NPS arrive as numbers;
// only the type of the field tells them from a number that was asked for.
func (r reader) answer(a answer, q question) (survey.Answer, error) {
	out := survey.Answer{Question: a.Field.Ref, Text: q.Title}
	if out.Question == "" {
		out.Question = a.Field.ID
	}
	if out.Question == "" {
		return out, errors.New("an answer names no question")
	}
	var err error
	switch {
	case plain[a.Type]:
		out.Kind = survey.Text
		out.Value, err = value[string](a.Value)
	case a.Type == "number":
		out.Value, err = value[json.Number](a.Value)
		if n, _ := out.Value.(json.Number); err == nil && n == "" {
			err = errors.New("no number")
		}
		r.number(&out, a, q)
	case a.Type == "boolean":
		out.Kind = survey.YesNo
		out.Value, err = value[bool](a.Value)
	case a.Type == "date":
		out.Kind = survey.Date
		out.Value, err = day(a.Value)
	case a.Type == "choice":
		out.Kind = survey.Choice
		out.Value, out.Own, err = choice(a.Value)
	case a.Type == "choices":
		out.Kind = survey.Choices
		out.Value, out.Own, err = choices(a.Value)
	case a.Type == "payment":
		// The name on the card and its last digits are nobody's business here.
		out.Kind = survey.Text
		var p struct {
			Amount json.RawMessage `json:"amount"`
		}
		err = json.Unmarshal(a.Value, &p)
		out.Value = strings.Trim(string(p.Amount), `"`)
	default:
		out.Kind = survey.Text
		out.Value, err = anything(a.Value)
	}
	if err != nil {
		return out, errors.New("the answer's value does not fit its type")
	}
	return out, nil
}

// number tells scale, eNPS and plain number apart, with the ends of a scale as
// far as they are known: from the settings, or from the definition.
func (r reader) number(out *survey.Answer, a answer, q question) {
	nps := a.Field.Type == "nps"
	ends, known := r.scales[out.Question]
	switch {
	case r.enps == out.Question || (r.enps == "" && nps):
		out.Kind, ends, known = survey.ENPS, [2]int{0, 10}, true
	case nps:
		out.Kind, ends, known = survey.Scale, [2]int{0, 10}, true
	case a.Field.Type == "opinion_scale" || a.Field.Type == "rating":
		out.Kind = survey.Scale
		if steps := q.Properties.Steps; !known && steps > 1 {
			low := 0
			if q.Properties.StartAtOne || a.Field.Type == "rating" {
				low = 1
			}
			ends, known = [2]int{low, low + steps - 1}, true
		}
	case known:
		out.Kind = survey.Scale
	default:
		out.Kind = survey.Number
	}
	if known {
		out.Min, out.Max = &ends[0], &ends[1]
	}
}

// value decodes a value of exactly one type; null is none.
func value[T any](raw json.RawMessage) (any, error) {
	var v T
	if len(raw) == 0 || bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		return nil, errors.New("no value")
	}
	return decoded(v, raw)
}

func decoded[T any](v T, raw json.RawMessage) (any, error) {
	err := json.Unmarshal(raw, &v)
	return v, err
}

// day is a calendar day; some forms send a time after it.
func day(raw json.RawMessage) (any, error) {
	v, err := value[string](raw)
	if err != nil {
		return nil, err
	}
	s, _, _ := strings.Cut(v.(string), "T")
	_, err = time.Parse(time.DateOnly, s)
	return s, err
}

// choice is the label, or what somebody wrote beside the labels.
func choice(raw json.RawMessage) (label any, own bool, err error) {
	var c struct {
		Label string `json:"label"`
		Other string `json:"other"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, false, err
	}
	if c.Label == "" {
		c.Label, own = c.Other, true
	}
	if c.Label == "" {
		return nil, false, errors.New("no choice")
	}
	return c.Label, own, nil
}

func choices(raw json.RawMessage) (labels any, own bool, err error) {
	var c *struct {
		Labels []string `json:"labels"`
		Other  string   `json:"other"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, false, err
	}
	if c == nil {
		return nil, false, errors.New("no choices")
	}
	out := append([]string{}, c.Labels...)
	if c.Other != "" {
		out = append(out, c.Other)
	}
	return out, c.Other != "", nil
}

// anything keeps the value of a type that we do not know: a text as it is,
// anything else as JSON.
func anything(raw json.RawMessage) (any, error) {
	if len(raw) == 0 {
		return nil, errors.New("no value")
	}
	var text string
	if json.Unmarshal(raw, &text) == nil && text != "" {
		return text, nil
	}
	var b bytes.Buffer
	err := json.Compact(&b, raw)
	return b.String(), err
}
