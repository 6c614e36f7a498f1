package bus

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// TestServerConfig runs a server from the file: it knows the users, and no
// others, and each has its rights.
func TestServerConfig(t *testing.T) {
	var users []User
	seeds := map[string]string{}
	for _, name := range []string{UserAdmin, UserIngress, "team-bi"} {
		seed, public, err := NewUser(name)
		if err != nil {
			t.Fatal(err)
		}
		u := User{Name: name, PublicKey: public}
		u.Publish, u.Subscribe = Rights(name)
		users, seeds[name] = append(users, u), seed
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(file, ServerConfig(users, filepath.Join(dir, "jetstream"), -1), 0o600); err != nil {
		t.Fatal(err)
	}
	opts, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !opts.SyncAlways || !opts.JetStream || opts.HTTPHost != "127.0.0.1" || opts.HTTPPort != 8222 {
		t.Errorf("sync %t, jetstream %t, http %s:%d", opts.SyncAlways, opts.JetStream, opts.HTTPHost, opts.HTTPPort)
	}
	opts.HTTPPort, opts.NoSigs, opts.NoLog, opts.Host = 0, true, true, "127.0.0.1"
	srv, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	defer srv.WaitForShutdown()
	defer srv.Shutdown()
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not start")
	}
	admin, err := Connect(t.Context(), Options{URL: srv.ClientURL(), Name: UserAdmin, NKeySeed: seeds[UserAdmin]})
	if err != nil {
		t.Fatal(err)
	}
	if err := Ensure(t.Context(), admin, PlanFor(Names{Sources: []string{"hr"}, Targets: []string{"okta"}})); err != nil {
		t.Errorf("the admin cannot make the streams: %v", err)
	}
	if err := admin.Close(); err != nil {
		t.Error(err)
	}
	stranger, _, err := NewUser("stranger")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := Connect(t.Context(), Options{URL: srv.ClientURL(), Name: "stranger", NKeySeed: stranger}); err == nil {
		_ = b.Close()
		t.Error("a key that the file does not list was let in")
	}
	// What the file says of each user is what StartServer says of it.
	for i, u := range users {
		want := server.Permissions{Publish: permission(u.Publish), Subscribe: permission(u.Subscribe)}
		got := opts.Nkeys[i].Permissions
		if got == nil && u.Publish == nil && u.Subscribe == nil {
			continue
		}
		for _, p := range []struct {
			what      string
			got, want *server.SubjectPermission
		}{{"publish", got.Publish, want.Publish}, {"subscribe", got.Subscribe, want.Subscribe}} {
			if p.want == nil {
				p.want = &server.SubjectPermission{Allow: []string{">"}}
			}
			if !slices.Equal(p.got.Allow, p.want.Allow) || !slices.Equal(p.got.Deny, p.want.Deny) {
				t.Errorf("%s may %s %v but %v, want %v but %v", u.Name, p.what, p.got.Allow, p.got.Deny, p.want.Allow, p.want.Deny)
			}
		}
	}
}
