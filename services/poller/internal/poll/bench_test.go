package poll

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace/noop"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/clock"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/record"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/service"
	"github.com/muster-hr/muster/libs/testkit"
)

// BenchmarkPage stores pages of 2,000 people whom nobody knows: a data key for
// each, and the record, all synced.
func BenchmarkPage(b *testing.B) {
	const size = 2000
	srv := testkit.JetStream(b)
	testkit.Bus(b, srv, bus.Names{Sources: []string{"hr"}})
	conn := testkit.Connect(b, srv, bus.Options{Name: "poller", Durability: bus.Fsync})
	master, err := seal.ParseMaster(seal.NewMaster())
	if err != nil {
		b.Fatal(err)
	}
	sealer, err := seal.New(b.Context(), service.KeysOn(conn, "acme"), master, seal.Options{})
	if err != nil {
		b.Fatal(err)
	}
	p := New(Deps{
		Bus: conn, Codec: record.Codec{Sealer: sealer, Company: "acme"}, Company: "acme", Source: "hr", Clock: clock.System{},
		Log: testkit.Log(b), Tracer: noop.NewTracerProvider().Tracer(""), Dead: func() { b.Error("a dead letter") },
	})
	before := used()
	n := 0
	for b.Loop() {
		var page connector.Page
		for range size {
			n++
			body, _ := json.Marshal(map[string]string{"number": fmt.Sprint(n), "comment": strings.Repeat("x", 300)})
			page.Records = append(page.Records, connector.Record{Kind: connector.KindRecord, Key: fmt.Sprint(n), ID: "1", Body: body})
		}
		if lost, err := p.takeAll(b.Context(), page); err != nil || lost > 0 {
			b.Fatal(lost, err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "people/s")
	b.ReportMetric(float64((used()-before).Microseconds())/float64(n), "cpu-µs/person")
}

// used is the processor time of this process, broker included.
func used() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
