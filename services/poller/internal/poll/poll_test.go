package poll

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/topology"
)

// TestHintBecomesRecord: the record is in RAW before the hint is gone, with the
// word of the hint's event, counted from the time of the hint.
func TestHintBecomesRecord(t *testing.T) {
	w := newWorld(t)
	before := time.Now().UTC()
	w.hint("117", "1", "employee.updated")
	w.start()
	w.settled()
	got := w.records("117")
	if len(got) != 1 {
		t.Fatalf("%d records, want 1", len(got))
	}
	r := got[0]
	if r.Key != "117" || r.Event != "employee.updated" || r.Version.Scale != connector.ScaleRead || !bytes.Contains(r.Body, []byte(`"117"`)) {
		t.Errorf("record %+v %s", r, r.Body)
	}
	if r.AcceptedAt.Before(before.Add(-time.Second)) || r.AcceptedAt.After(before.Add(time.Second)) {
		t.Errorf("accepted at %s, hinted at %s", r.AcceptedAt, before)
	}
}

// TestDeleted: a key that the vendor does not know becomes a record that says
// so, whether or not a hint said what happened.
func TestDeleted(t *testing.T) {
	w := newWorld(t)
	w.vendor.read = func(_ context.Context, key string, _ int) (connector.Record, error) {
		return connector.Record{Kind: connector.KindRecord, Key: key, Deleted: true}, nil
	}
	w.hint("1", "1", "")
	w.hint("2", "1", "employee.deleted")
	w.start()
	w.settled()
	for key, want := range map[string]string{"1": "deleted", "2": "employee.deleted"} {
		got := w.records(key)
		if len(got) != 1 || !got[0].Deleted || got[0].Event != want || string(got[0].Body) != "null" {
			t.Errorf("key %s: %+v", key, got)
		}
	}
}

// TestHintsOfOneKeyAreOneRead: hints that come while a read of their key runs
// are one more read, which begins after the newest of them; reads of one key
// never overlap, those of others do.
func TestHintsOfOneKeyAreOneRead(t *testing.T) {
	w := newWorld(t)
	entered, leave := make(chan string, 100), make(chan struct{})
	w.vendor.read = func(ctx context.Context, key string, nth int) (connector.Record, error) {
		entered <- key
		if nth == 1 {
			<-leave
		}
		return whole(key, nth), nil
	}
	w.hint("a", "0", "")
	w.hint("b", "0", "")
	w.start()
	<-entered
	<-entered // both keys are being read
	for i := range 20 {
		w.hint("a", fmt.Sprint(i+1), fmt.Sprint("change-", i+1))
	}
	newest := time.Now().UTC()
	close(leave)
	w.settled()
	if n := w.vendor.count("a"); n != 2 {
		t.Errorf("%d reads for 21 hints of which 20 waited, want 2", n)
	}
	if n := w.vendor.count("b"); n != 1 {
		t.Errorf("%d reads of the other key, want 1", n)
	}
	if w.vendor.overlap || w.vendor.most < 2 {
		t.Errorf("reads of one key overlapped: %t; most reads at once: %d", w.vendor.overlap, w.vendor.most)
	}
	got := w.records("a")
	last := got[len(got)-1]
	if at, err := time.Parse(time.RFC3339Nano, last.Version.Value); err != nil || at.Before(newest) {
		t.Errorf("the last read began at %s, the newest hint came at %s (%v)", last.Version.Value, newest, err)
	}
	if last.Event != "change-20" {
		t.Errorf("the record names %q, want the newest hint's event", last.Event)
	}
}

// TestStorm: hints of few keys in any order; never two reads of a key at once,
// and each key's newest state arrives.
func TestStorm(t *testing.T) {
	w := newWorld(t)
	w.start()
	for i := range 300 {
		w.hint(fmt.Sprint(i%5), fmt.Sprint(i), "")
	}
	w.settled()
	if w.vendor.overlap || w.vendor.most > w.deps.InFlight {
		t.Errorf("overlap %t, %d reads at once", w.vendor.overlap, w.vendor.most)
	}
	for k := range 5 {
		key := fmt.Sprint(k)
		got, n := w.records(key), w.vendor.count(key)
		if want := fmt.Sprintf(`{"id":"%s","nth":%d}`, key, n); len(got) != n || string(got[len(got)-1].Body) != want {
			t.Errorf("key %s: %d reads, %d records, the last %s", key, n, len(got), got[len(got)-1].Body)
		}
	}
}

// TestFailures: what a failing read does to its hint, to its account and to
// other keys.
func TestFailures(t *testing.T) {
	for _, c := range []struct {
		name   string
		err    error
		times  int // failures before a read succeeds
		pauses bool
		letter bool
	}{
		{"transient is tried again", fault.New(fault.Transient, "status_500", "no"), 3, false, false},
		{"what nobody classified too", errors.New("no"), 2, false, false},
		{"a deadline too", fmt.Errorf("read: %w", context.DeadlineExceeded), 1, false, false},
		{"throttled pauses the account", &fault.Error{Class: fault.Throttled, Reason: "rate_limited", After: 60 * time.Millisecond}, 1, true, false},
		{"throttled for no time is not done", &fault.Error{Class: fault.Throttled, Reason: "rate_limited"}, 2, true, false},
		{"an unusable account pauses and recovers", fault.New(fault.Target, "auth", "no"), 2, true, false},
		{"a wrong record is for a person", &fault.Error{Class: fault.Record, Reason: "shape", Path: "id", Rule: "r1"}, 1, false, true},
		{"done is done", fault.New(fault.Done, "same", "no"), 1, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.deps.InFlight = 1
			failed := make(chan time.Time, 10)
			w.vendor.read = func(_ context.Context, key string, nth int) (connector.Record, error) {
				if key == "bad" && nth <= c.times {
					failed <- time.Now()
					return connector.Record{}, c.err
				}
				return whole(key, nth), nil
			}
			w.hint("bad", "1", "")
			w.start()
			first := <-failed
			w.hint("good", "1", "")
			w.settled()
			records := 1
			if fault.Of(c.err).Class == fault.Done || c.letter {
				records = 0
			}
			if got := w.records("bad"); len(got) != records || len(w.records("good")) != 1 {
				t.Errorf("%d records of the failing key and %d of the other, want %d and 1", len(got), len(w.records("good")), records)
			}
			if f := fault.Of(c.err); c.pauses && f.After > 0 {
				if at, err := time.Parse(time.RFC3339Nano, w.records("good")[0].Version.Value); err != nil || at.Sub(first) < f.After {
					t.Errorf("another key was read %s after the vendor asked for %s (%v)", at.Sub(first), f.After, err)
				}
			}
			letters := w.stored(topology.Dead, ">")
			if want := map[bool]int{true: 1}[c.letter]; len(letters) != want || int(w.dead.Load()) != want {
				t.Fatalf("%d dead letters, %d counted, want %d", len(letters), w.dead.Load(), want)
			}
			if c.letter {
				head, err := seal.Head(letters[0].Event.Data())
				if err != nil || !bytes.Contains(head, []byte(`"reason":"shape","path":"id","rule":"r1"`)) {
					t.Errorf("head %s, %v", head, err)
				}
				in := letters[0]
				env, err := w.codec.Sealer.Open(t.Context(), topology.Token(in.Subject, 4), in.Event.ID()+"|"+in.Event.Type(), in.Event.Data(), seal.Restricted)
				if err != nil || !bytes.Contains(env.Restricted, []byte(`"key":"bad"`)) {
					t.Errorf("nobody can tell whom the letter is about: %s, %v", env.Restricted, err)
				}
			}
		})
	}
}

// TestForeignMessage: what is no hint does not stop those behind it.
func TestForeignMessage(t *testing.T) {
	w := newWorld(t)
	strange := event.New("x", "/muster/acme/hr", event.RecordHintedV1, []byte("not sealed"))
	if _, err := w.bus.Publish(t.Context(), topology.Hints, bus.Out{Subject: topology.Hint("hr", "strange"), Event: strange}); err != nil {
		t.Fatal(err)
	}
	w.hint("1", "1", "")
	w.start()
	w.settled()
	if len(w.records("1")) != 1 || w.dead.Load() != 1 {
		t.Errorf("%d records, %d dead letters", len(w.records("1")), w.dead.Load())
	}
}

// TestStopDrains: a read that runs when the poller is stopped is ended and
// stored; the hints behind it wait for the next run.
func TestStopDrains(t *testing.T) {
	w := newWorld(t)
	w.deps.InFlight = 1
	entered, leave := make(chan struct{}, 10), make(chan struct{})
	w.vendor.read = func(ctx context.Context, key string, nth int) (connector.Record, error) {
		entered <- struct{}{}
		<-leave
		return whole(key, nth), ctx.Err()
	}
	w.hint("1", "1", "")
	stop := w.start()
	<-entered
	w.hint("2", "1", "")
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	select {
	case <-stopped:
		t.Fatal("it ended while a read was under way")
	case <-time.After(50 * time.Millisecond): // nothing can signal that nothing happens
	}
	close(leave)
	<-stopped
	if len(w.records("1")) != 1 || len(w.records("2")) != 0 {
		t.Errorf("%d and %d records, want 1 and 0", len(w.records("1")), len(w.records("2")))
	}
	w.start()
	w.settled()
	if len(w.records("1")) != 1 || len(w.records("2")) != 1 {
		t.Errorf("%d and %d records after the next run, want 1 and 1", len(w.records("1")), len(w.records("2")))
	}
}
