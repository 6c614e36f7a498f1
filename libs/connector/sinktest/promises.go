package sinktest

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/muster-hr/muster/libs/connector"
)

func twice(t *testing.T, s Setup) {
	r := open(t, s)
	d := s.hired(Sample)
	first := r.apply(d)
	person, effects := r.person(), len(r.writes())
	if person == nil {
		t.Fatal("nobody was made")
	}
	d.Refs, d.Previous, d.Before = first.Refs, d.Version, d.Body
	r.apply(d)
	// A write of the same again is no second effect: what counts is what is there.
	if got := r.person(); !s.same(got, person) {
		t.Errorf("after the second time the person is\n%v\nwas\n%v", got, person)
	}
	if got := len(r.writes()); got != effects && !r.Effects().Idempotent {
		t.Errorf("writes with an effect = %d, want %d", got, effects)
	}
}

// same compares two states of a person without the vendor's own times.
func (s Setup) same(a, b map[string]any) bool {
	strip := func(m map[string]any) map[string]any {
		m = maps.Clone(m)
		for k, v := range m {
			text, isText := v.(string)
			if _, err := time.Parse(time.RFC3339, text); isText && err == nil {
				delete(m, k)
			}
		}
		return m
	}
	return reflect.DeepEqual(strip(a), strip(b))
}

func later(t *testing.T, s Setup) {
	r := open(t, s)
	d := s.hired(Sample)
	first := r.apply(d)
	before := r.person()
	moved := Sample
	moved.Title = "Head of Analysis"
	r.apply(next(d, first, "hr.employee.updated.v1", "active", s.Body(moved)))
	if s.same(before, r.person()) {
		t.Error("the change did not reach the person")
	}
}

// givenUp follows a first version that became a dead letter: it was done with,
// and nobody was made.
func givenUp(t *testing.T, s Setup) {
	r := open(t, s)
	d := s.hired(Sample)
	d.Previous, d.Version = d.Version, d.Version+1
	first := r.apply(d)
	if r.person() == nil {
		t.Fatal("nobody was made")
	}
	moved := Sample
	moved.Title = "Head of Analysis"
	r.apply(next(d, first, "hr.employee.updated.v1", "active", s.Body(moved)))
	r.person() // still one
}

func onlyBody(t *testing.T, s Setup) {
	r := open(t, s)
	d := s.hired(Sample)
	d.Before = nil
	first := r.apply(d)
	moved := Sample
	moved.Title = "Head of Analysis"
	d2 := next(d, first, "hr.employee.updated.v1", "active", s.Body(moved))
	d2.Before = plant(d.Body) // was sent once, may no longer be
	r.apply(d2)
	allowed := append(leaves(d.Body), leaves(d2.Body)...)
	if s.Also != nil {
		allowed = append(allowed, append(s.Also(d), s.Also(d2)...)...)
	}
	for _, c := range r.sent() {
		if len(c.body) == 0 {
			continue
		}
		var body any
		if err := json.Unmarshal(c.body, &body); err != nil {
			if strings.Contains(c.text(), Planted) {
				t.Errorf("%s %s carries a value that is not in the body", c.method, c.path)
			}
			continue
		}
		for _, leaf := range leaves(body) {
			if !slices.Contains(allowed, leaf) {
				t.Errorf("%s %s carries %q, which is not in the body", c.method, c.path, leaf)
			}
		}
	}
}

// plant puts the planted value into every object of a body.
func plant(body map[string]any) map[string]any {
	out := map[string]any{"planted": Planted}
	for k, v := range body {
		if inner, ok := v.(map[string]any); ok {
			v = plant(inner)
		}
		out[k] = v
	}
	return out
}

// leaves are the texts of a JSON value.
func leaves(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case map[string]any:
		var out []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			out = append(out, leaves(v[k])...)
		}
		return out
	case []any:
		var out []string
		for _, x := range v {
			out = append(out, leaves(x)...)
		}
		return out
	}
	return nil
}

func traced(t *testing.T, s Setup) {
	r := open(t, s)
	id, _ := trace.TraceIDFromHex("4bf92f3577b34da6a3ce929d0e0e4736")
	span, _ := trace.SpanIDFromHex("00f067aa0ba902b7")
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: id, SpanID: span, TraceFlags: trace.FlagsSampled,
	}))
	if _, err := r.Apply(ctx, s.hired(Sample), r.progress); err != nil {
		t.Fatal(err)
	}
	for _, seen := range append(r.faults.Requests(), r.reads.Requests()...) {
		if !strings.Contains(seen.Traceparent, id.String()) {
			t.Errorf("%s %s came with traceparent %q", seen.Method, seen.Path, seen.Traceparent)
		}
	}
	for _, w := range r.writes() {
		if !strings.Contains(w.Traceparent, id.String()) {
			t.Errorf("the write %s is noted with traceparent %q", w.Op, w.Traceparent)
		}
	}
}

func adopted(t *testing.T, s Setup) {
	r := open(t, s)
	r.apply(s.hired(Sample))
	d := s.hired(Sample) // nothing is remembered
	d.Event = "evt-other"
	if got := r.apply(d); len(got.Refs) == 0 {
		t.Error("the person who was found is not remembered")
	}
	if r.person() == nil {
		t.Error("the person is gone")
	}
}

func nobody(t *testing.T, s Setup) {
	r := open(t, s)
	found, err := r.Find(t.Context(), s.hired(Sample))
	if err != nil || len(found) != 0 {
		t.Errorf("Find = %d, %v, want nobody", len(found), err)
	}
}

func partial(t *testing.T, s Setup) {
	r := open(t, s)
	d := s.hired(Sample)
	first := r.apply(d)
	r.sent()
	moved := Sample
	moved.Title = "Head of Analysis"
	r.apply(next(d, first, "hr.employee.updated.v1", "active", s.Body(moved)))
	calls := r.sent()
	if len(calls) != 1 {
		t.Fatalf("%d writing calls, want 1", len(calls))
	}
	if body := calls[0].text(); strings.Contains(body, Sample.Family) || !strings.Contains(body, moved.Title) {
		t.Errorf("sent %s, want the title alone", body)
	}
}

// unsaid follows a field that was taken off the allow-list: the body says
// nothing of it any more, which clears nothing.
func unsaid(t *testing.T, s Setup) {
	r := open(t, s)
	d := s.hired(Sample)
	first := r.apply(d)
	moved := Sample
	moved.Family = "Nowak"
	body := without(s.Body(moved), Sample.Title)
	if reflect.DeepEqual(body, s.Body(moved)) {
		t.Fatal("the body does not say the title: the test is wrong")
	}
	r.apply(next(d, first, "hr.employee.updated.v1", "active", body))
	if got := leaves(anyOf(r.person())); !slices.Contains(got, Sample.Title) || !slices.Contains(got, moved.Family) {
		t.Errorf("the person is %v, want the new name and the title that was said before", r.person())
	}
}

// without is a body that does not say a text any more.
func without(body map[string]any, text string) map[string]any {
	out := map[string]any{}
	for k, v := range body {
		if inner, ok := v.(map[string]any); ok {
			v = without(inner, text)
		}
		if v != text {
			out[k] = v
		}
	}
	return out
}

func leaver(t *testing.T, s Setup) {
	r := open(t, s)
	d := s.hired(Sample)
	first := r.apply(d)
	if s.Gone(r.person()) {
		t.Fatal("who was hired is shut out already")
	}
	d = next(d, first, "hr.employee.terminated.v1", "terminated", d.Body)
	second := r.apply(d)
	if !s.Gone(r.person()) {
		t.Fatalf("who left is not shut out: %v", r.person())
	}
	effects := len(r.writes())
	r.apply(next(d, second, "hr.employee.updated.v1", "terminated", d.Body))
	// A crash before the outcome was saved: the same again, with the older refs.
	r.apply(d)
	if !s.Gone(r.person()) {
		t.Error("the second time let the leaver in again")
	}
	if got := len(r.writes()); got != effects && !r.Effects().Idempotent {
		t.Errorf("writes with an effect = %d, want %d", got, effects)
	}
}

func withdrawn(t *testing.T, s Setup) {
	r := open(t, s)
	d := s.hired(Sample)
	d.Status, d.Type = "withdrawn", "hr.employee.withdrawn.v1"
	got := r.apply(d)
	if got.Outcome != "unchanged" {
		t.Errorf("outcome %q, want unchanged", got.Outcome)
	}
	if r.person() != nil {
		t.Error("a person who never came was made")
	}
	r.apply(next(d, got, "hr.employee.hired.v1", "active", d.Body))
	if p := r.person(); p == nil || s.Gone(p) || !slices.Contains(leaves(anyOf(p)), Sample.Title) {
		t.Errorf("who came after all is not there: %v", p)
	}
}

func rehire(t *testing.T, s Setup) {
	r := open(t, s)
	d := s.hired(Sample)
	receipt := r.apply(d)
	d = next(d, receipt, "hr.employee.terminated.v1", "terminated", d.Body)
	receipt = r.apply(d)
	back := Sample
	back.Title = "Head of Analysis"
	r.apply(next(d, receipt, "hr.employee.rehired.v1", "active", s.Body(back)))
	p := r.person()
	if s.Gone(p) {
		t.Error("who came back is still shut out")
	}
	if !slices.Contains(leaves(anyOf(p)), back.Title) {
		t.Error("who came back has the old profile")
	}
}

func anyOf(p map[string]any) any {
	b, _ := json.Marshal(p)
	var v any
	_ = json.Unmarshal(b, &v)
	return v
}

var _ connector.Progress = (&remote{}).progress
