package natsconn

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

// teamLog is a team's stream in memory, with the compare-and-set of the real one.
type teamLog struct {
	mu     sync.Mutex
	events []connector.TeamEvent
	fail   error // of the next Append, after its effect
}

func (l *teamLog) LastSequence(_ context.Context, _, id string) (sequence, at uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, e := range l.events {
		if e.Employee == id {
			sequence, at = e.Sequence, uint64(i+1)
		}
	}
	return sequence, at, nil
}

func (l *teamLog) Append(ctx context.Context, team string, e connector.TeamEvent, at uint64) error {
	_, now, _ := l.LastSequence(ctx, team, e.Employee)
	l.mu.Lock()
	defer l.mu.Unlock()
	if now != at {
		return fault.New(fault.Transient, "conflict", "another writer was first")
	}
	l.events = append(l.events, e)
	err := l.fail
	l.fail = nil
	return err
}

var now = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

func open(t testing.TB, l connector.TeamLog) connector.Sink {
	s, err := Type.Sink(connector.Account{Name: "team-bi", Team: l, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func delivery(version uint64) connector.Delivery {
	return connector.Delivery{
		ID: "emp-1", Event: "evt-7", Type: "hr.employee.updated.v1", Version: version, Effective: "2026-12-01",
		Changed: []string{"positions[].title"}, Body: map[string]any{"name": map[string]any{"given": "Zofia"}},
	}
}

func TestEventAsTeamsReadIt(t *testing.T) {
	l := &teamLog{}
	if _, err := open(t, l).Apply(t.Context(), delivery(3), nil); err != nil {
		t.Fatal(err)
	}
	want := connector.TeamEvent{ID: "evt-7", Type: "hr.employee.updated.v1", Employee: "emp-1", Sequence: 3, Time: now}
	got := l.events[0]
	raw := got.Data
	got.Data = nil
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := cmp.Diff(`{"id":"emp-1","version":3,"effective":"2026-12-01","changed":["positions[].title"],"employee":{"name":{"given":"Zofia"}}}`, string(raw)); d != "" {
		t.Errorf("data (-want +got):\n%s", d)
	}
}

func TestNothingIsNullForATeam(t *testing.T) {
	l := &teamLog{}
	if _, err := open(t, l).Apply(t.Context(), connector.Delivery{ID: "emp-1", Version: 1}, nil); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(l.events[0].Data, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"id": "emp-1", "version": 1.0, "effective": "2026-11-24", "changed": []any{}, "employee": map[string]any{}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestLostAnswer: the event was stored and we did not hear of it.
func TestLostAnswer(t *testing.T) {
	l := &teamLog{fail: errors.New("connection lost")}
	s := open(t, l)
	if _, err := s.Apply(t.Context(), delivery(3), nil); fault.Of(err).Class != fault.Transient {
		t.Fatalf("error %v, want a transient one", err)
	}
	r, err := s.Apply(t.Context(), delivery(3), nil)
	if err != nil || r.Outcome != "unchanged" || len(l.events) != 1 {
		t.Errorf("%+v, %v, %d events", r, err, len(l.events))
	}
	found, err := s.Find(t.Context(), delivery(3))
	if err != nil || len(found) != 1 || !found[0].Sure || found[0].Refs["sequence"] != "3" {
		t.Errorf("Find = %+v, %v", found, err)
	}
}

// TestSequencesOnlyGrow whatever is delivered, in whatever order and how often.
func TestSequencesOnlyGrow(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := &teamLog{}
		s := open(t, l)
		var newest uint64
		for _, v := range rapid.SliceOfN(rapid.Uint64Range(1, 9), 1, 20).Draw(rt, "versions") {
			if _, err := s.Apply(context.Background(), delivery(v), nil); err != nil {
				rt.Fatal(err)
			}
			newest = max(newest, v)
		}
		last := uint64(0)
		for _, e := range l.events {
			if e.Sequence <= last {
				rt.Fatalf("%d after %d", e.Sequence, last)
			}
			last = e.Sequence
		}
		if last != newest {
			rt.Fatalf("the last is %d, want %d", last, newest)
		}
	})
}

func TestTwoWritersAtOnce(t *testing.T) {
	l := &teamLog{}
	s := open(t, l)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for { // delivery tries again what is transient
				if _, err := s.Apply(context.Background(), delivery(5), nil); err == nil {
					return
				}
			}
		})
	}
	group.Wait()
	if len(l.events) != 1 {
		t.Errorf("%d events, want 1", len(l.events))
	}
}

func TestTeamOfATarget(t *testing.T) {
	for _, c := range []struct{ name, setting, want string }{
		{"team-bi", "", "bi"}, {"reports", "", "reports"}, {"team-bi", "data", "data"}, {"team-", "", "team-"},
	} {
		if got := Team(connector.Account{Name: c.name, Settings: map[string]any{"team": c.setting}}); got != c.want {
			t.Errorf("%q with %q is team %q, want %q", c.name, c.setting, got, c.want)
		}
	}
	for _, bad := range []string{"a.b", "a*", "a>", "A", "a b", "-a"} {
		if _, err := Type.Sink(connector.Account{Name: bad, Team: &teamLog{}}); err == nil {
			t.Errorf("%q is taken as a team", bad)
		}
	}
	if _, err := Type.Sink(connector.Account{Name: "team-bi"}); err == nil {
		t.Error("a sink without a log was made")
	}
}
