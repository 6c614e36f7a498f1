package seal

import (
	"bytes"
	"testing"
)

// BenchmarkToken makes the token of a vendor's key, and of the body of a
// delivery.
func BenchmarkToken(b *testing.B) {
	s := open(b, &Memory{}, Options{})
	body := string(bytes.Repeat([]byte("x"), 600))
	for name, parts := range map[string][]string{"key": {"http", "100417"}, "body": {"iam", body, "active"}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if s.Token("key", parts...) == "" {
					b.Fatal("no token")
				}
			}
		})
	}
}

// BenchmarkEnvelope seals and opens a state of the usual size in both parts.
func BenchmarkEnvelope(b *testing.B) {
	s := open(b, &Memory{}, Options{})
	e := Envelope{Head: bytes.Repeat([]byte("h"), 600), Basic: bytes.Repeat([]byte("b"), 1900), Restricted: bytes.Repeat([]byte("r"), 300)}
	const owner, aad = "e5v3kq2m7xw4t6y8z9a1b2c3d4", "u2m7xw4t6y8z9a1b2c3d4e5v3k|hr.employee.updated.v1"
	data, err := s.Seal(b.Context(), owner, aad, e)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Seal(b.Context(), owner, aad, e); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Open(b.Context(), owner, aad, data, Basic, Restricted); err != nil {
				b.Fatal(err)
			}
		}
	})
}
