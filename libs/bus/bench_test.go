package bus_test

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/event"
	"github.com/muster-hr/muster/libs/testkit"
	"github.com/muster-hr/muster/libs/topology"
)

// BenchmarkPublish measures durable publishes of 1 kB by so many callers at once.
func BenchmarkPublish(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 1000)
	for _, callers := range []int{1, 8, 64, 512} {
		for _, grouped := range []bool{false, true} {
			b.Run(fmt.Sprintf("callers=%d/grouped=%v", callers, grouped), func(b *testing.B) {
				o := bus.Options{Name: "bench"}
				if !grouped {
					o.Crossing = 1 << 20 // never a batch
				}
				srv := testkit.JetStream(b)
				c := testkit.Connect(b, srv, o)
				ctx := context.Background()
				if err := bus.Ensure(ctx, c, bus.PlanFor(bus.Names{})); err != nil {
					b.Fatal(err)
				}
				var n atomic.Int64
				b.SetBytes(1000)
				b.SetParallelism((callers + 1) / 2)
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						i := n.Add(1)
						m := bus.Out{Subject: fmt.Sprint("hr.raw.a.", i%100000), Event: event.New(fmt.Sprint(i), "/muster/bench/it", event.RecordReceivedV1, body)}
						if _, err := c.Publish(ctx, topology.Raw, m); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		}
	}
}

// BenchmarkAtomic measures one batch of so many employees, statement and state each.
func BenchmarkAtomic(b *testing.B) {
	for _, n := range []int{1, 16, 256} {
		b.Run(fmt.Sprint("employees=", n), func(b *testing.B) {
			c := testkit.Bus(b, testkit.JetStream(b), bus.Names{})
			ms := make([]bus.Out, 0, 2*n)
			for i := range n {
				said := out(topology.Said("a", fmt.Sprint(i)), "1")
				said.Rollup = true
				ms = append(ms, said, out(topology.Employee(fmt.Sprint(i)), "1"))
			}
			for b.Loop() {
				if _, err := c.PublishAtomic(context.Background(), topology.People, ms); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "employees/s")
		})
	}
}

// BenchmarkFeed measures reading and acknowledging one by one.
func BenchmarkFeed(b *testing.B) {
	srv := testkit.JetStream(b)
	c := testkit.Bus(b, srv, testkit.SmallCompany())
	fast := testkit.Connect(b, srv, bus.Options{Name: "fast", Durability: bus.OS})
	var futures []*bus.Future
	for i := range b.N {
		m := out(topology.Employee(fmt.Sprint(i%500)), "1")
		f, err := fast.PublishAsync(context.Background(), topology.People, m)
		if err != nil {
			b.Fatal(err)
		}
		if futures = append(futures, f); len(futures) == 1000 {
			for _, f := range futures {
				if _, err := f.Wait(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
			futures = futures[:0]
		}
	}
	f := feed(b, c, okta())
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		in, err := f.Next(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		if err := f.Ack(in); err != nil {
			b.Fatal(err)
		}
	}
}
