package sinktest

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/fault"
)

// trouble applies against a fault and gives what the sink makes of it.
func trouble(t *testing.T, s Setup, f fake.Fault) *fault.Error {
	t.Helper()
	r := open(t, s)
	r.disturb(f)
	_, err := r.Apply(t.Context(), s.hired(Sample), r.progress)
	if err == nil {
		t.Fatal("no error")
	}
	for _, value := range []string{Planted, Sample.Family, Sample.Email, Sample.Number} {
		if strings.Contains(err.Error(), value) {
			t.Errorf("the error tells a value of the person: %v", err)
		}
	}
	return fault.Of(err)
}

func throttled(t *testing.T, s Setup) {
	res := orResponse(s.Throttled, http.StatusTooManyRequests)
	f := trouble(t, s, fake.Fault{Response: &res})
	if f.Class != fault.Throttled {
		t.Errorf("class %s, want throttled", f.Class)
	}
	if s.Wait > 0 && f.After != s.Wait {
		t.Errorf("after %s, want %s", f.After, s.Wait)
	}
	if f.After <= 0 {
		t.Error("no delay")
	}
}

func denied(t *testing.T, s Setup) {
	res := orResponse(s.Denied, http.StatusUnauthorized)
	if f := trouble(t, s, fake.Fault{Response: &res}); f.Class != fault.Target {
		t.Errorf("class %s, want target", f.Class)
	}
}

func invalid(t *testing.T, s Setup) {
	res := orResponse(s.Invalid, http.StatusUnprocessableEntity)
	if f := trouble(t, s, fake.Fault{Response: &res}); f.Class != fault.Record {
		t.Errorf("class %s, want record", f.Class)
	}
}

func failing(t *testing.T, s Setup) {
	for _, status := range []int{500, 502, 503, 504} {
		if f := trouble(t, s, fake.Fault{Status: status}); f.Class != fault.Transient {
			t.Errorf("%d is %s, want transient", status, f.Class)
		}
	}
}

func ended(t *testing.T, s Setup) {
	r := open(t, s)
	if err := r.faults.Add(fake.Fault{LatencyMS: 60_000}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-r.begun
		cancel()
	}()
	start := time.Now()
	_, err := r.Apply(ctx, s.hired(Sample), r.progress)
	if err == nil || fault.Of(err).Class != fault.Transient {
		t.Errorf("error %v, want a transient one", err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("took %s after the context ended", took)
	}
}

// lost cuts the connection after the first write took effect. Then delivery
// looks first, and applies with what was found.
func lost(t *testing.T, s Setup) {
	r := open(t, s)
	r.disturb(fake.Fault{When: fake.AfterEffect, Times: 1})
	d := s.hired(Sample)
	start := time.Now()
	_, err := r.Apply(t.Context(), d, r.progress)
	if err == nil {
		t.Fatal("the answer was lost, and no error came")
	}
	if f := fault.Of(err); f.Class != fault.Transient {
		t.Errorf("class %s, want transient", f.Class)
	}
	if r.person() == nil {
		t.Fatal("the fault had no effect before it: the test is wrong")
	}
	r.faults.Clear()
	d.Since = start
	found, err := r.Find(t.Context(), d)
	if err != nil {
		t.Fatalf("find: %v", err)
	}
	if s.Finds {
		if len(found) != 1 || !found[0].Sure {
			t.Fatalf("found %+v, want one that is sure", found)
		}
		d.Refs = found[0].Refs
	} else if !r.Effects().Idempotent {
		t.Fatal("a sink that cannot find must be idempotent")
	}
	got := r.apply(d)
	r.person() // still one
	if s.Gone != nil && s.Gone(r.person()) {
		t.Errorf("the person was left half made: %v", got)
	}
}

// stale finds somebody who was made a moment ago, by search alone.
func stale(t *testing.T, s Setup) {
	const lag = 300 * time.Millisecond
	s.Fake.Settings = copyOf(s.Fake.Settings)
	s.Account.Settings = copyOf(s.Account.Settings)
	s.Stale(&s, lag)
	r := open(t, s)
	start := time.Now()
	r.apply(s.hired(Sample))
	d := s.hired(Sample)
	d.Body, d.Match = nil, connector.Match{EmployeeNumber: Sample.Number}
	found, err := r.Find(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 0 && time.Since(start) < lag {
		t.Fatal("the search does not lag: the test is wrong")
	}
	d.Since = time.Now()
	found, err = r.Find(t.Context(), d)
	if err != nil || len(found) != 1 {
		t.Errorf("Find = %d, %v, want the one that was made", len(found), err)
	}
}

func copyOf[V any](m map[string]V) map[string]V {
	out := make(map[string]V, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}
