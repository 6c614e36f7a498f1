//go:build load

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/topology"
)

// TestLoad measures a full roster that arrives as one file: seconds until
// everybody is an employee, and memory of the program (with broker and sandbox
// in it) on the way there and once it rests.
//
// LOAD_PEOPLE says how many (default 100,000); LOAD_SECONDS, if set, is the
// limit for the roster without a target.
func TestLoad(t *testing.T) {
	people := number64(t, "LOAD_PEOPLE", 100_000)
	for _, withTarget := range []bool{false, true} {
		name := map[bool]string{false: "no target", true: "one target"}[withTarget]
		t.Run(name, func(t *testing.T) {
			took := imported(t, people, withTarget)
			if limit := number64(t, "LOAD_SECONDS", 0); !withTarget && limit > 0 && took > time.Duration(limit)*time.Second {
				t.Errorf("%s, want below %d s", took, limit)
			}
		})
	}
}

func number64(t *testing.T, name string, otherwise int) int {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		t.Fatalf("%s: want a number", name)
	}
	return n
}

// companyOf copies the company, without its target if none is wanted.
func companyOf(t *testing.T, withTarget bool) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "load"))); err != nil {
		t.Fatal(err)
	}
	if !withTarget {
		for _, gone := range []string{"targets", "integrations", "mappings/app.yaml"} {
			if err := os.RemoveAll(filepath.Join(dir, gone)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// roster is a file of n people, about 100 bytes each.
func roster(n int) string {
	var b bytes.Buffer
	b.WriteString("number,given,family,email,title,department,hired,salary\n")
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "%06d,Given%d,Family%d,p%06d@load.example,Analyst %d,Department %d,20%02d-%02d-01,%d.00\n", i, i%997, i%4999, i, i%50, i%120, i%25, 1+i%12, 30000+i%70000)
	}
	return b.String()
}

func imported(t *testing.T, people int, withTarget bool) time.Duration {
	company := companyOf(t, withTarget)
	s := start(t, t.TempDir(), []string{"OTEL_TRACES_SAMPLER_ARG=0.01"}, "up", "--sandbox", "--config", company)
	seed, err := os.ReadFile(s.NATS.NKeys[bus.UserAdmin])
	if err != nil {
		t.Fatal(err)
	}
	b, err := bus.Connect(t.Context(), bus.Options{URL: s.NATS.URL, NKeySeed: strings.TrimSpace(string(seed)), InboxPrefix: bus.InboxPrefix(bus.UserAdmin), Name: "load", Timeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	began := time.Now()
	m := watch(t, s.PID, began)
	s.do("roster", "drop", map[string]any{"text": roster(people)})

	// What the poller has stored, and what transform has done of it.
	raw, done := time.Duration(0), time.Duration(0)
	left := func(stream, durable string) uint64 {
		c, err := b.ConsumerState(t.Context(), stream, durable)
		if err != nil {
			return 1
		}
		return c.Pending + uint64(c.AckPending)
	}
	s.until("everybody to be an employee", 30*time.Minute, func() bool {
		if raw == 0 {
			st, err := b.StreamState(t.Context(), topology.Raw)
			if err != nil || st.Messages < uint64(people) {
				return false
			}
			raw = time.Since(began)
		}
		return left(topology.Raw, topology.TransformRaw) == 0
	})
	done = time.Since(began)
	if withTarget {
		s.until("everybody to be delivered", 30*time.Minute, func() bool { return left(topology.People, topology.DeliveryPeople("app")) == 0 })
	}
	delivered := time.Since(began)
	m.stop()
	t.Logf("%d people: in RAW after %.1f s, in PEOPLE after %.1f s (%.0f people/s)", people, raw.Seconds(), done.Seconds(), float64(people)/done.Seconds())
	if withTarget {
		t.Logf("delivered after %.1f s (%.0f people/s)", delivered.Seconds(), float64(people)/delivered.Seconds())
	}
	t.Logf("peak RSS by 10 s, MB: %v", m.peaks)
	t.Logf("RSS after 15 s of rest: %d MB, CPU %.1f s", m.rest(), m.cpu())

	all, err := b.Subjects(t.Context(), topology.People, topology.Employee("*"))
	if err != nil || len(all) != people {
		t.Errorf("%d employees, want %d (%v)", len(all), people, err)
	}
	if st, err := b.StreamState(t.Context(), topology.Dead); err != nil || st.Messages > 0 {
		t.Errorf("%d dead letters (%v)", st.Messages, err)
	}
	if !withTarget {
		s.stop()
		restarted(t, s.data, company)
	}
	return done
}

// restarted is a program that comes up with everybody known: transform reads
// who there is, and looks whom the day touches.
func restarted(t *testing.T, data, company string) {
	t.Helper()
	began := time.Now()
	s := start(t, data, nil, "up", "--sandbox", "--config", company)
	ready := time.Since(began)
	m := watch(t, s.PID, began)
	look := time.NewTimer(2 * time.Minute)
	defer look.Stop()
	select {
	case <-look.C:
	case <-t.Context().Done():
	}
	m.stop()
	t.Logf("started again: ready after %.1f s, peak RSS by 10 s, MB: %v, at rest %d, CPU %.1f s", ready.Seconds(), m.peaks, m.rest(), m.cpu())
}

// memory is the resident set of a process over time.
type memory struct {
	t     *testing.T
	pid   int
	peaks []int // MB, the most within each 10 s
	end   chan struct{}
	wg    sync.WaitGroup
}

func watch(t *testing.T, pid int, began time.Time) *memory {
	m := &memory{t: t, pid: pid, end: make(chan struct{})}
	m.wg.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			for at := int(time.Since(began) / (10 * time.Second)); len(m.peaks) <= at; {
				m.peaks = append(m.peaks, 0)
			}
			m.peaks[len(m.peaks)-1] = max(m.peaks[len(m.peaks)-1], m.now())
			select {
			case <-tick.C:
			case <-m.end:
				return
			}
		}
	})
	return m
}

func (m *memory) stop() { close(m.end); m.wg.Wait() }

// now is the resident set in MB (Linux; 0 elsewhere).
func (m *memory) now() int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.pid))
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			kb, _ := strconv.Atoi(f[1])
			return kb >> 10
		}
	}
	return 0
}

// cpu is what the process has used, in seconds.
func (m *memory) cpu() float64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", m.pid))
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return float64(user+system) / 100 // clock ticks
}

// rest is the resident set once nothing has happened for a while.
func (m *memory) rest() int {
	quiet := time.NewTimer(15 * time.Second)
	defer quiet.Stop()
	select {
	case <-quiet.C:
	case <-m.t.Context().Done():
	}
	return m.now()
}
