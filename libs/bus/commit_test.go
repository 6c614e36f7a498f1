package bus

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// TestABatchThatIsNotAnswered: a server that stands still, as one does whose
// disk does, is one that is away. The caller has time left.
func TestABatchThatIsNotAnswered(t *testing.T) {
	srv, err := StartServer(ServerOptions{StoreDir: t.TempDir(), Port: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Shutdown)
	b, err := Connect(t.Context(), Options{Name: "test", Server: srv, Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	if _, err := b.nc.Subscribe("hr.test.>", func(*nats.Msg) {}); err != nil { // takes everything and says nothing
		t.Fatal(err)
	}
	for n := 1; n <= 2; n++ {
		msgs := make([]*nats.Msg, n)
		for i := range msgs {
			msgs[i] = &nats.Msg{Subject: "hr.test.a", Header: nats.Header{}}
		}
		if _, err := b.batch(context.Background(), "TEST", msgs); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%d messages: %v, want unavailable", n, err)
		}
	}
}
