package telemetry

import "testing"

// BenchmarkHop is a message's way through a service: its span from the header,
// one message sent on. Nearly all traces are not sampled.
func BenchmarkHop(b *testing.B) {
	tel, err := Open(b.Context(), Options{Service: "transform", Sample: 0.01})
	if err != nil {
		b.Fatal(err)
	}
	tracer := tel.Tracer()
	for name, header := range map[string]string{"left out": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", "sampled": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m := Message{Stream: "RAW", Template: "hr.raw.{source}.{key}", ID: "u2m7xw4t6y8z9a1b2c3d4e5v3k", Consumer: "transform", Attempt: 1}
				ctx, process := StartProcess(Extract(b.Context(), header), tracer, m, nil)
				ctx, send := StartSend(ctx, tracer, Message{Stream: "PEOPLE", Template: "hr.employee.{id}"})
				if Traceparent(ctx) == "" {
					b.Fatal("no trace")
				}
				End(send, nil)
				End(process, nil)
			}
		})
	}
}
