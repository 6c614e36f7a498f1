package sftpx_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connector/sftpx"
	csvfake "github.com/muster-hr/muster/libs/connectors/csv/fake"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/secret"
	"github.com/muster-hr/muster/libs/testkit/sshd"
)

// account is one at a real server.
func account(s *sshd.Server) connector.Account {
	return connector.Account{
		BaseURL:  "sftp://" + s.Address,
		Settings: map[string]any{"user": s.User, "host_key": []string{s.HostKey}, "login_pause": time.Minute},
		Secrets:  map[string]secret.Value{"private_key": secret.New(s.PrivateKey)},
	}
}

func client(t *testing.T, a connector.Account) *sftpx.Client {
	t.Helper()
	c, err := sftpx.New(a)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func with(t *testing.T, c *sftpx.Client, work func(*sftpx.Session) error) error {
	t.Helper()
	return c.With(t.Context(), work)
}

func want(t *testing.T, err error, class fault.Class, reason string) {
	t.Helper()
	if f := fault.Of(err); f == nil || f.Class != class || f.Reason != reason {
		t.Errorf("got %v, want %s %s", err, class, reason)
	}
}

// TestFiles: what is done with files on a real OpenSSH.
func TestFiles(t *testing.T) {
	s := sshd.Start(t)
	c := client(t, account(s))
	for _, folder := range []string{"in", "in/below", "done"} {
		if err := os.Mkdir(filepath.Join(s.Folder, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	big := bytes.Repeat([]byte("0123456789abcdef"), 40_000) // more than one packet
	err := with(t, c, func(sess *sftpx.Session) error {
		for _, again := range []bool{false, true} {
			if already, err := sess.Put("in/a.csv", big); err != nil || already != again {
				t.Fatalf("put: already %t, %v", already, err)
			}
		}
		_, err := sess.Put("in/a.csv", []byte("other"))
		want(t, err, fault.Record, sftpx.ReasonExists)
		// As long, and not the same.
		_, err = sess.Put("in/a.csv", append([]byte("x"), big[1:]...))
		want(t, err, fault.Record, sftpx.ReasonExists)

		files, err := sess.List("in")
		if err != nil || len(files) != 1 || files[0].Name != "a.csv" || files[0].Size != int64(len(big)) || time.Since(files[0].Modified) > time.Hour {
			t.Errorf("listed %+v, %v", files, err)
		}
		got, err := sess.Read("in/a.csv", int64(len(big)))
		if err != nil || !bytes.Equal(got, big) {
			t.Errorf("read %d bytes, %v", len(got), err)
		}
		_, err = sess.Read("in/a.csv", int64(len(big))-1)
		want(t, err, fault.Record, sftpx.ReasonTooLarge)
		_, err = sess.Read("in/none.csv", 10)
		want(t, err, fault.Target, sftpx.ReasonMissing)
		_, err = sess.List("nowhere")
		want(t, err, fault.Target, sftpx.ReasonMissing)
		_, err = sess.Put("nowhere/b.csv", []byte("b"))
		want(t, err, fault.Target, sftpx.ReasonMissing)

		if _, err := sess.Put("done/a.csv", []byte("older")); err != nil {
			t.Fatal(err)
		}
		want(t, sess.Move("in/a.csv", "done/a.csv"), fault.Record, sftpx.ReasonExists)
		for range 2 { // a repeat is done
			if err := sess.Move("in/a.csv", "done/b.csv"); err != nil {
				t.Errorf("move: %v", err)
			}
			if err := sess.Remove("in/a.csv"); err != nil {
				t.Errorf("remove what is gone: %v", err)
			}
		}
		if err := sess.Remove("done/b.csv"); err != nil {
			t.Errorf("remove: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(s.Folder, "done", "a.csv")); err != nil || string(got) != "older" {
		t.Errorf("what was there is now %q, %v", got, err)
	}
	left, err := filepath.Glob(filepath.Join(s.Folder, "*", "*"))
	if err != nil || len(left) != 2 { // in/below, done/a.csv
		t.Errorf("on the server are %v, %v", left, err)
	}
}

// TestPutAfterACrash: a half file of an earlier attempt is ours, whichever name
// it has, and a rename whose answer was lost is done.
func TestPutAfterACrash(t *testing.T) {
	s := sshd.Start(t)
	for rename, half := range map[string]string{"plain": "a.csv.part", "posix": "b.csv.part", "none": "c.csv"} {
		t.Run(rename, func(t *testing.T) {
			a := account(s)
			a.Settings["rename"] = rename
			if err := os.WriteFile(filepath.Join(s.Folder, half), []byte("hello, w"), 0o600); err != nil {
				t.Fatal(err)
			}
			name := strings.TrimSuffix(half, ".part")
			err := with(t, client(t, a), func(sess *sftpx.Session) error {
				already, err := sess.Put(name, []byte("hello, world"))
				if already {
					t.Error("a half file counts as done")
				}
				return err
			})
			got, readErr := os.ReadFile(filepath.Join(s.Folder, name))
			if err != nil || readErr != nil || string(got) != "hello, world" {
				t.Errorf("%q, %v, %v", got, err, readErr)
			}
			if _, err := os.Stat(filepath.Join(s.Folder, name+".part")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the temporary file is still there: %v", err)
			}
		})
	}
}

// TestLogin: who is not let in, or is not where it should be, stops the
// account; a refused login is not tried again for a while.
func TestLogin(t *testing.T) {
	s, other := sshd.Start(t), sshd.Start(t)
	nothing := func(*sftpx.Session) error { return nil }

	a := account(s)
	if err := with(t, client(t, a), nothing); err != nil {
		t.Fatalf("log in: %v\n%s", err, s.Log())
	}
	a.Settings["host_key"] = []string{other.HostKey}
	want(t, with(t, client(t, a), nothing), fault.Target, sftpx.ReasonHostKey)
	a.Settings["host_key"] = []string{"SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"}
	want(t, with(t, client(t, a), nothing), fault.Target, sftpx.ReasonHostKey)
	a.Settings["host_key"] = []string{other.HostKey, s.HostKey} // while it is being replaced
	if err := with(t, client(t, a), nothing); err != nil {
		t.Errorf("two pinned keys: %v", err)
	}

	var dials atomic.Int32
	now := time.Now()
	a = account(s)
	a.Secrets = account(other).Secrets
	a.Now = func() time.Time { return now }
	a.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	c := client(t, a)
	for range 3 {
		want(t, with(t, c, nothing), fault.Target, sftpx.ReasonAuth)
	}
	if n := dials.Load(); n != 1 {
		t.Errorf("%d logins within the pause, want 1", n)
	}
	now = now.Add(2 * time.Minute)
	want(t, with(t, c, nothing), fault.Target, sftpx.ReasonAuth)
	if n := dials.Load(); n != 2 {
		t.Errorf("%d logins after the pause, want 2", n)
	}

	s.Stop()
	want(t, with(t, client(t, account(s)), nothing), fault.Transient, "connect")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	want(t, client(t, account(other)).With(ended, nothing), fault.Transient, "canceled")
}

// TestOneSessionAtATime: others wait until it is over.
func TestOneSessionAtATime(t *testing.T) {
	s := sshd.Start(t)
	c := client(t, account(s))
	inside, leave := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		first <- c.With(t.Context(), func(*sftpx.Session) error { close(inside); <-leave; return nil })
	}()
	<-inside
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	want(t, c.With(short, func(*sftpx.Session) error { t.Error("two sessions at once"); return nil }), fault.Transient, "timeout")
	close(leave)
	if err := <-first; err != nil {
		t.Error(err)
	}
}

// TestCutOff: a call that waits ends with its context.
func TestCutOff(t *testing.T) {
	address, faults := door(t, nil)
	c := client(t, atDoor(address, "x"))
	if err := faults.Add(fake.Fault{LatencyMS: 60_000, Match: fake.Match{Method: "list"}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	want(t, c.With(ctx, func(sess *sftpx.Session) error { _, err := sess.List(""); return err }), fault.Transient, "timeout")
}

// mute is a connection that loses what we say from some moment on.
type mute struct {
	net.Conn
	from *atomic.Bool
}

func (m mute) Write(p []byte) (int, error) {
	if m.from.Load() {
		return len(p), nil
	}
	return m.Conn.Write(p)
}

// TestSilence: a server that never hears that we leave, or does not care, keeps
// the session open for ever; we do not wait for it.
func TestSilence(t *testing.T) {
	address, _ := door(t, nil)
	a := atDoor(address, "x")
	var from atomic.Bool
	a.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		return mute{c, &from}, err
	}
	c := client(t, a)
	done := make(chan error, 1)
	go func() {
		done <- c.With(context.Background(), func(*sftpx.Session) error { from.Store(true); return nil })
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the session does not end, and every other one waits for it")
	}
}

// TestPassword: and the two cases of a rename that only a fake can play.
func TestPassword(t *testing.T) {
	address, faults := door(t, map[string]string{"user": "hub", "password": "right"})
	want(t, with(t, client(t, atDoor(address, "wrong")), func(*sftpx.Session) error { return nil }), fault.Target, sftpx.ReasonAuth)
	c := client(t, atDoor(address, "right"))
	if err := faults.Add(fake.Fault{Status: 500, Times: 1, When: fake.AfterEffect, Match: fake.Match{Method: "rename"}}); err != nil {
		t.Fatal(err)
	}
	if err := with(t, c, func(sess *sftpx.Session) error {
		_, err := sess.Put("a.csv", []byte("a")) // renamed, and told otherwise
		return err
	}); err != nil {
		t.Errorf("a rename whose answer was lost: %v", err)
	}
	if err := faults.Add(fake.Fault{Times: 1, When: fake.AfterEffect, Match: fake.Match{Method: "rename"}}); err != nil {
		t.Fatal(err)
	}
	put := func(sess *sftpx.Session) error {
		already, err := sess.Put("b.csv", []byte("b"))
		if err == nil && !already {
			t.Error("the second attempt wrote it again")
		}
		return err
	}
	if err := with(t, c, put); fault.Of(err) == nil || fault.Of(err).Class != fault.Transient {
		t.Errorf("a connection that was cut: %v", err)
	}
	if err := with(t, c, put); err != nil {
		t.Errorf("after it: %v", err)
	}
	if err := faults.Add(fake.Fault{Status: 403, Match: fake.Match{Method: "put"}}); err != nil {
		t.Fatal(err)
	}
	want(t, with(t, c, func(sess *sftpx.Session) error { _, err := sess.Put("c.csv", []byte("c")); return err }), fault.Target, sftpx.ReasonPermission)
}

// TestAccountsThatCannotBe are refused when they are opened, without a value of
// a secret in the text.
func TestAccountsThatCannotBe(t *testing.T) {
	address, _ := door(t, nil)
	for name, change := range map[string]func(*connector.Account){
		"base_url":    func(a *connector.Account) { a.BaseURL = "https://files.example" },
		"folder":      func(a *connector.Account) { a.BaseURL += "/in" },
		"user":        func(a *connector.Account) { delete(a.Settings, "user") },
		"host_key":    func(a *connector.Account) { a.Settings["host_key"] = []string{} },
		"ssh-keyscan": func(a *connector.Account) { a.Settings["host_key"] = []string{"AAAA planted"} },
		"private_key": func(a *connector.Account) { a.Secrets["private_key"] = secret.New("planted") },
		"secret":      func(a *connector.Account) { a.Secrets = nil },
		"temporary":   func(a *connector.Account) { a.Settings["temporary"] = "/tmp" },
	} {
		a := atDoor(address, "planted")
		change(&a)
		if _, err := sftpx.New(a); err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func atDoor(address, password string) connector.Account {
	return connector.Account{
		BaseURL:  "sftp://" + address,
		Settings: map[string]any{"user": "hub", "host_key": []string{csvfake.HostKey()}, "login_pause": time.Minute},
		Secrets:  map[string]secret.Value{"password": secret.New(password)},
	}
}

// door opens a fake.
func door(t *testing.T, settings map[string]string) (string, *fake.Faults) {
	t.Helper()
	vendor, ok := csvfake.New(fake.Options{Settings: settings}).(fake.Listener)
	if !ok {
		t.Fatal("it does not listen")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	faults, done := &fake.Faults{}, make(chan error, 1)
	go func() { done <- vendor.Serve(ctx, l, faults) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String(), faults
}
