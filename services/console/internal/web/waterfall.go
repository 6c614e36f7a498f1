package web

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/muster-hr/muster/services/console/internal/traces"
)

// waterfall is a trace as the page draws it: spans below their parents, bars
// on one time scale.
type waterfall struct {
	TraceID  string
	Start    time.Time
	Took     time.Duration
	Services []legend
	Rows     []row
	Failed   int
}

type legend struct {
	Name   string
	Colour int // 0 to colours-1, a class in the style sheet
}

type row struct {
	traces.Span
	Depth   int
	Indent  []struct{}
	Colour  int
	Left    string // percent of the whole
	Width   string
	Text    string // percent where the length is written
	Anchor  string // end if the text stands before the bar
	Offset  time.Duration
	Took    time.Duration
	Orphan  bool // its parent is not here
	Failed  bool
	Details []detail
}

type detail struct{ Name, Value string }

const (
	colours  = 8
	maxDepth = 32
)

// fall lays a trace out. A span whose parent has not arrived, or lies in a
// circle, is shown at the top and marked.
func fall(t traces.Trace) waterfall {
	w := waterfall{TraceID: t.TraceID}
	if len(t.Spans) == 0 {
		return w
	}
	known := make(map[string]bool, len(t.Spans))
	children := map[string][]int{}
	end := t.Spans[0].End
	w.Start = t.Spans[0].Start
	var services []string
	for i, s := range t.Spans {
		known[s.SpanID] = true
		children[s.ParentID] = append(children[s.ParentID], i)
		if s.End.After(end) {
			end = s.End
		}
		if !slices.Contains(services, s.Service) {
			services = append(services, s.Service)
		}
		if s.Status == "error" {
			w.Failed++
		}
	}
	w.Took = max(end.Sub(w.Start), 1)
	colour := map[string]int{}
	for i, name := range services {
		colour[name] = i % colours
		w.Services = append(w.Services, legend{name, i % colours})
	}
	drawn := make([]bool, len(t.Spans))
	var draw func(i, depth int, orphan bool)
	draw = func(i, depth int, orphan bool) {
		if drawn[i] {
			return
		}
		drawn[i] = true
		w.Rows = append(w.Rows, w.row(t.Spans[i], min(depth, maxDepth), colour[t.Spans[i].Service], orphan))
		for _, c := range children[t.Spans[i].SpanID] {
			draw(c, depth+1, false)
		}
	}
	for i, s := range t.Spans {
		if s.ParentID == "" || !known[s.ParentID] {
			draw(i, 0, s.ParentID != "")
		}
	}
	for i := range t.Spans { // what is left lies in a circle
		draw(i, 0, true)
	}
	return w
}

func (w *waterfall) row(s traces.Span, depth, colour int, orphan bool) row {
	percent := func(d time.Duration) float64 {
		return min(100, max(0, 100*float64(d)/float64(w.Took)))
	}
	offset, length := s.Start.Sub(w.Start), max(0, s.End.Sub(s.Start))
	left, width := percent(offset), max(0.3, percent(length))
	r := row{
		Span: s, Depth: depth, Indent: make([]struct{}, depth), Colour: colour, Offset: offset, Took: length,
		Left: fmt.Sprintf("%.2f%%", min(left, 99.7)), Width: fmt.Sprintf("%.2f%%", width),
		Text: fmt.Sprintf("%.2f%%", min(left+width, 100)), Anchor: "start",
		Orphan: orphan, Failed: s.Status == "error",
	}
	if left+width > 82 {
		r.Text, r.Anchor = fmt.Sprintf("%.2f%%", left), "end"
		if left < 18 { // neither side has room: inside, at the end of the bar
			r.Text = fmt.Sprintf("%.2f%%", min(left+width, 100))
			r.Anchor = "inside"
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Attributes)) {
		if name != "service.name" {
			r.Details = append(r.Details, detail{name, strings.TrimSpace(fmt.Sprint(s.Attributes[name]))})
		}
	}
	return r
}
