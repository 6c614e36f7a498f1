package up

import (
	"net"
	"strconv"
	"strings"
	"testing"
)

func TestFixed(t *testing.T) {
	one, many := &System{}, &System{Options: Options{Program: "muster"}}
	for _, c := range []struct {
		s         *System
		set, want string // want ends with ":" where any port will do
	}{
		{one, "127.0.0.1:0", "127.0.0.1:0"},
		{many, "127.0.0.1:8080", "127.0.0.1:8080"},
		{many, "127.0.0.1:0", "127.0.0.1:"},
		{many, "[::1]:0", "[::1]:"},
	} {
		got, err := c.s.fixed(t.Context(), c.set)
		if err != nil {
			t.Fatal(err)
		}
		if any := strings.HasSuffix(c.want, ":"); got != c.want && (!any || !strings.HasPrefix(got, c.want) || strings.HasSuffix(got, ":0")) {
			t.Errorf("%s becomes %s, want %s", c.set, got, c.want)
		}
	}
}

// TestFreePorts: a port that is taken is not given, and one that is given is
// none that an outgoing connection could sit on.
func TestFreePorts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	got, err := free(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(got, ":")
	port, err := strconv.Atoi(text)
	if err != nil || got == l.Addr().String() || port < firstPort || port >= lastPort {
		t.Errorf("given %s while %s was taken", got, l.Addr())
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := free(t.Context(), l.Addr().String()); err != nil || got != l.Addr().String() {
		t.Errorf("given %s (%v), though the preferred one is free", got, err)
	}
}

func TestReachable(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:8080": "http://127.0.0.1:8080", "0.0.0.0:8080": "http://127.0.0.1:8080", ":8080": "http://127.0.0.1:8080",
		"[::]:80": "http://127.0.0.1:80", "hub.example:80": "http://hub.example:80",
	} {
		if got := reachable(addr); got != want {
			t.Errorf("%s is reached at %s, want %s", addr, got, want)
		}
	}
}
