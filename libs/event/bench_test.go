package event

import "testing"

// BenchmarkEvent makes an event, writes its headers and reads them back.
func BenchmarkEvent(b *testing.B) {
	const id, source = "u2m7xw4t6y8z9a1b2c3d4e5v3k", "/muster/w1/transform"
	data := make([]byte, 3000)
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			New(id, source, EmployeeUpdatedV1, data)
		}
	})
	e := New(id, source, EmployeeUpdatedV1, data)
	b.Run("header", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Header(e)
		}
	})
	h := Header(e)
	h["traceparent"] = []string{"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"}
	h["Nats-Msg-Id"] = []string{id}
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Read(h, data); err != nil {
				b.Fatal(err)
			}
		}
	})
}
