package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace/noop"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/clock"
	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connectors"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/topology"
)

// BenchmarkPipeline measures records per second from RAW to an acknowledged
// commit, broker and all in one process: 1000 employees of the company w1, each
// record a change.
func BenchmarkPipeline(b *testing.B) {
	body, err := os.ReadFile("testdata/w1.json")
	if err != nil {
		b.Fatal(err)
	}
	company, problems := config.Load(filepath.Join("..", "..", "..", "..", "deploy", "w1"), connectors.All)
	if len(problems) > 0 {
		b.Fatal(problems[0])
	}
	w := newWorld(b)
	w.company = company
	rnd := rand.New(rand.NewPCG(1, 2))
	pick := func(words ...string) string { return words[rnd.IntN(len(words))] }
	fill := func(n int) string {
		emp := fmt.Sprint(100000 + n%1000)
		return strings.NewReplacer("{{n}}", fmt.Sprint(n), "{{emp}}", emp, "{{ver}}", fmt.Sprint(n%10), "{{mdy}}", "3/14/2019", "{{rfc3339}}", "2026-06-15T10:00:00Z",
			"{{status}}", pick("Active", "Inactive", "On Leave"), "{{type}}", pick("Full-Time", "Part-Time", "Contractor"),
			"{{department}}", pick("Engineering", "Finance", "People Operations", "Sales"), "{{division}}", pick("EMEA", "Americas", "APAC"),
			"{{location}}", pick("Berlin", "New York", "Singapore"), "{{country}}", pick("Germany", "United States", "Singapore"), "{{pay}}", pick("Salary", "Hourly")).Replace(string(body))
	}
	n := 0
	load := func(records int) {
		var futures []*bus.Future
		for range records {
			m, err := w.codec.Receive(b.Context(), "http", connector.Record{Key: fmt.Sprint(100000 + n%1000), ID: fmt.Sprint(n), Event: "employee.updated", Body: []byte(fill(n))}, time.Now())
			n++
			if err != nil {
				b.Fatal(err)
			}
			f, err := w.bus.PublishAsync(b.Context(), topology.Raw, bus.Out{Subject: m.Subject, Event: m.Event})
			if err != nil {
				b.Fatal(err)
			}
			futures = append(futures, f)
			if len(futures) == 1000 {
				for _, f := range futures {
					if _, err := f.Wait(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
				futures = futures[:0]
			}
		}
		for _, f := range futures {
			if _, err := f.Wait(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
	run := func() {
		p, err := New(Deps{
			Bus: w.bus, Codec: w.codec, Company: company, Clock: clock.System{}, Log: slog.New(slog.DiscardHandler), Tracer: noop.NewTracerProvider().Tracer(""),
			Metrics: Metrics{Record: func(_, outcome string) {
				if outcome != "applied" {
					b.Errorf("a record was %s", outcome)
				}
			}, Change: func(string) {}, Dead: func(string) {}},
		})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = p.Run(ctx)
		}()
		w.settled()
		cancel()
		<-done
	}
	load(1000)
	run() // everybody is there, keys and all
	load(b.N)
	b.ResetTimer()
	run()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkIndex reads the messages of 100,000 employees, each with a statement
// with a version, an e-mail and a number, and tells what the index keeps of one.
func BenchmarkIndex(b *testing.B) {
	const people = 100_000
	b.ReportAllocs()
	for b.Loop() {
		before := live()
		l := loader{ix: newIndex(), waiting: func(record.Statement, string) {}, texts: map[string]string{}}
		for n := range people {
			for _, in := range messagesOf(b, n) {
				if err := l.read(in); err != nil {
					b.Fatal(err)
				}
			}
		}
		l.texts = nil
		b.ReportMetric(float64(live()-before)/people, "B/person")
		runtime.KeepAlive(l.ix)
	}
}

// live is the heap after a collection, in bytes.
func live() int64 {
	runtime.GC()
	runtime.GC() // what the first one only found to be free
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// messagesOf are the newest messages of PEOPLE about the n-th employee.
func messagesOf(b *testing.B, n int) []bus.In {
	token := func(what string) string {
		sum := sha256.Sum256(fmt.Append(nil, what, n))
		return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16]))
	}
	id, key := token("employee"), token("key")
	message := func(subject string, head any) bus.In {
		h, err := json.Marshal(head)
		if err != nil {
			b.Fatal(err)
		}
		data := append(binary.AppendUvarint([]byte{1}, uint64(len(h))), h...)
		return bus.In{Subject: subject, Seq: uint64(n + 1), Event: event.New(token("event"), "/muster/acme/transform", "x", data)}
	}
	at := time.Date(2026, 6, 15, 10, 0, n, 0, time.UTC)
	return []bus.In{
		message(topology.Said("bamboohr", key), record.Statement{
			Source: "bamboohr", Employee: id, Status: record.StatusApplied, Event: token("record"), Raw: uint64(n), AcceptedAt: at, StatedAt: at,
			Version: connector.Version{Scale: connector.ScaleTime, Value: at.Format(time.RFC3339Nano)}, Config: "c0ffee",
		}),
		message(topology.Employee(id), employee.Head{
			ID: id, Version: 1, Status: employee.Active, Changed: []string{"name.given", "name.family"}, Source: "bamboohr", Event: token("record"),
			AcceptedAt: at, Config: "c0ffee", Contains: map[string]uint64{"bamboohr." + key: uint64(n)},
		}),
		message(topology.Match(matchEmail, token("email")), reserved{Employee: id}),
		message(topology.Match(matchNumber, token("number")), reserved{Employee: id}),
	}
}
