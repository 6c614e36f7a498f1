package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace/noop"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/clock"
	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connectors"
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
