package testkit

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/bus"
)

// JetStream starts a broker that syncs every message, on a free port and in a
// folder of the test, and stops it when the test ends. Restart of the result
// starts it again on the same port and folder, as after a crash of the broker.
func JetStream(t testing.TB, users ...bus.User) *bus.Server {
	t.Helper()
	srv, err := bus.StartServer(bus.ServerOptions{
		StoreDir: t.TempDir(), Port: -1, SyncAlways: true, Users: users, Log: Log(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Shutdown)
	return srv
}

// SmallCompany is a company with one account that is only a source, one that is
// both, one that is only a target, and a team.
func SmallCompany() bus.Names {
	return bus.Names{
		Sources: []string{"bamboohr", "personio"},
		Targets: []string{"personio", "okta", "team-bi"},
		Teams:   []string{"bi"},
	}
}

// Bus connects to a broker without users and makes all streams and consumers of
// a company. It is closed when the test ends.
func Bus(t testing.TB, srv *bus.Server, names bus.Names) *bus.Bus {
	t.Helper()
	b := Connect(t, srv, bus.Options{Name: "test"})
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := bus.Ensure(ctx, b, bus.PlanFor(names)); err != nil {
		t.Fatal(err)
	}
	return b
}

// Connect connects inside the process with the given options. The connection
// is closed when the test ends.
func Connect(t testing.TB, srv *bus.Server, o bus.Options) *bus.Bus {
	t.Helper()
	o.Server = srv
	if o.Log == nil {
		o.Log = Log(t)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	b, err := bus.Connect(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// Log writes warnings and worse to the test's output.
func Log(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}
