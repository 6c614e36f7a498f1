package web

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/services/console/internal/traces"
)

func span(id, parent, service string, from, to int) traces.Span {
	begin := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	return traces.Span{SpanID: id, ParentID: parent, Name: id, Service: service, Status: "unset", Attributes: map[string]any{"service.name": service, "n": id},
		Start: begin.Add(time.Duration(from) * time.Millisecond), End: begin.Add(time.Duration(to) * time.Millisecond)}
}

func TestFall(t *testing.T) {
	tests := []struct {
		name  string
		spans []traces.Span
		want  string // depth and id of each row, ! for a missing parent
	}{
		{"nothing", nil, ""},
		{"children follow their parents", []traces.Span{
			span("a", "", "ingress", 0, 10), span("b", "a", "transform", 1, 8), span("c", "a", "ingress", 2, 3), span("d", "b", "okta", 4, 9),
		}, "0a 1b 2d 1c"},
		{"a parent that has not arrived", []traces.Span{span("b", "a", "x", 1, 8), span("c", "b", "x", 2, 3)}, "0b! 1c"},
		{"two roots", []traces.Span{span("a", "", "x", 0, 1), span("b", "", "y", 0, 1)}, "0a 0b"},
		{"a circle", []traces.Span{span("a", "b", "x", 0, 1), span("b", "a", "x", 0, 1)}, "0a! 1b"},
		{"its own parent", []traces.Span{span("a", "a", "x", 0, 1)}, "0a!"},
		{"the same span twice", []traces.Span{span("a", "", "x", 0, 1), span("a", "", "x", 0, 1)}, "0a 0a"},
		{"ends before it begins", []traces.Span{span("a", "", "x", 5, 1)}, "0a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := fall(traces.Trace{TraceID: "t", Spans: tt.spans})
			var got []string
			for _, r := range w.Rows {
				mark := ""
				if r.Orphan {
					mark = "!"
				}
				got = append(got, fmt.Sprint(r.Depth, r.SpanID, mark))
				var left, width float64
				if _, err := fmt.Sscanf(r.Left+" "+r.Width, "%f%% %f%%", &left, &width); err != nil || left < 0 || width <= 0 || left > 100 || width > 100 {
					t.Errorf("bar from %s, %s wide", r.Left, r.Width)
				}
				if len(r.Details) != 1 || r.Details[0].Value != r.SpanID {
					t.Errorf("details %v", r.Details)
				}
			}
			if s := strings.ReplaceAll(strings.Join(got, " "), " !", "!"); s != tt.want {
				t.Errorf("rows %q, want %q", s, tt.want)
			}
		})
	}
}

func TestFallScale(t *testing.T) {
	w := fall(traces.Trace{Spans: []traces.Span{span("a", "", "x", 0, 100), span("b", "a", "y", 25, 75), span("c", "a", "x", 100, 100)}})
	if w.Took != 100*time.Millisecond || w.Rows[1].Left != "25.00%" || w.Rows[1].Width != "50.00%" || w.Rows[2].Left != "99.70%" {
		t.Errorf("%+v", w)
	}
	if w.Rows[0].Colour != w.Rows[2].Colour || w.Rows[0].Colour == w.Rows[1].Colour {
		t.Error("a service does not keep its colour")
	}
}
