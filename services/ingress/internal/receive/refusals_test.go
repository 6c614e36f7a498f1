package receive

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/clock"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

type counted struct {
	Source string    `json:"source"`
	Reason string    `json:"reason"`
	Minute time.Time `json:"minute"`
	Count  int       `json:"count"`
}

// counts are the counts in AUDIT.
func (w *world) audited(t *testing.T) (all []counted) {
	t.Helper()
	for _, in := range w.stored(t, topology.Audit) {
		head, err := seal.Head(in.Event.Data())
		if err != nil {
			t.Fatal(err)
		}
		var c counted
		if err := json.Unmarshal(head, &c); err != nil {
			t.Fatal(err)
		}
		if in.Event.Type() != event.RequestsRefused || in.Subject != topology.AuditOf("ingress", "refused") {
			t.Errorf("%s on %s", in.Event.Type(), in.Subject)
		}
		all = append(all, c)
	}
	return all
}

// TestFloodIsRefused: forged calls beyond the bucket get 429 and Retry-After,
// cost no log line, and all are counted; the vendor's own call, and another
// source, come through in the flood; a pause fills the bucket again.
func TestFloodIsRefused(t *testing.T) {
	w := newWorld(t, bus.Options{})
	now := &stopped{time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
	w.Clock = now
	one := body(t, sent{Kind: connector.KindHint, Key: "1", ID: "1"})
	forged := func(source string) int {
		got := w.post("/webhooks/"+source, one, "Authorization", "Bearer wrong")
		if got.Code == http.StatusTooManyRequests && got.Header().Get("Retry-After") == "" {
			t.Fatal("429 without Retry-After")
		}
		return got.Code
	}
	answers := map[int]int{}
	for range forgedBurst + 50 {
		answers[forged("hr")]++
	}
	if answers[401] != forgedBurst || answers[429] != 50 {
		t.Fatalf("answers %v", answers)
	}
	if got := w.post("/webhooks/hr", one); got.Code != 202 {
		t.Errorf("the vendor's own call in a flood: %d", got.Code)
	}
	if got := forged("own"); got != 401 {
		t.Errorf("another source: %d", got)
	}
	if lines := strings.Count(w.log.String(), "\n"); lines != forgedBurst+1 {
		t.Errorf("%d log lines", lines)
	}
	now.at = now.at.Add(time.Second)
	if got := forged("hr"); got != 401 {
		t.Errorf("after a second: %d", got)
	}
	now.at = now.at.Add(time.Minute)
	w.report(t.Context(), now.at)
	got := map[string]int{}
	for _, c := range w.audited(t) {
		if !c.Minute.Equal(time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)) {
			t.Errorf("minute %s", c.Minute)
		}
		got[c.Source+" "+c.Reason] += c.Count
	}
	if len(got) != 2 || got["hr credential"] != forgedBurst+51 || got["own credential"] != 1 {
		t.Errorf("counts %v", got)
	}
	w.report(t.Context(), now.at.Add(time.Minute))
	if n := len(w.audited(t)); n != 2 {
		t.Errorf("%d counts after another minute, want the same 2", n)
	}
}

type stopped struct{ at time.Time }

func (s *stopped) Now() time.Time { return s.at }

// TestCountsOutliveAStop: the minute that has not ended is written on stop, and
// counts that could not be written are kept; two runs within a minute are two
// counts.
func TestCountsOutliveAStop(t *testing.T) {
	w := newWorld(t, bus.Options{})
	now := &stopped{time.Date(2026, 3, 1, 9, 0, 30, 0, time.UTC)}
	w.Clock = now
	refuse := func(r *Receiver, reason string) { r.refused.add("hr", reason, now.Now()) }
	refuse(w.Receiver, "signature")
	refuse(w.Receiver, "timestamp")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	w.report(gone, now.at.Add(time.Minute))
	if n := len(w.audited(t)); n != 0 {
		t.Fatalf("%d counts were written with a context that had ended", n)
	}
	refuse(w.Receiver, "signature")
	if err := w.Run(gone); err != nil {
		t.Fatal(err)
	}
	second := New(w.Deps)
	refuse(second, "signature")
	if err := second.Run(gone); err != nil {
		t.Fatal(err)
	}
	sum, ids := map[string]int{}, map[string]bool{}
	for _, c := range w.audited(t) {
		sum[c.Reason] += c.Count
	}
	for _, in := range w.stored(t, topology.Audit) {
		ids[in.Event.ID()] = true
	}
	if sum["signature"] != 3 || sum["timestamp"] != 1 || len(ids) != 3 {
		t.Errorf("counts %v under %d ids", sum, len(ids))
	}
}

var _ clock.Clock = (*stopped)(nil)
