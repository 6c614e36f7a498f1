package config

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
)

// listens tells whether the fake of an account has a door of its own.
func (a *Account) listens() bool { return len(a.Type.Schemes) > 0 && a.Type.Fake != nil }

// Doors are the fakes that do not speak HTTP and so cannot stand in a folder of
// the sandbox: each listens at an address of its own. Sorted names, see
// [Account.SandboxName].
func (c *Company) Doors() []string {
	names := map[string]struct{}{}
	for _, s := range c.Sources {
		if s.listens() {
			names[s.sandboxName] = struct{}{}
		}
	}
	for _, t := range c.Targets {
		if t.listens() {
			names[t.sandboxName] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// PlaceDoors says where each door is, as HOST:PORT: where it was named, else at
// the ports right behind the sandbox's own, in the order of [Company.Doors].
// So everybody who knows the sandbox's address knows them all.
func (c *Company) PlaceDoors(sandbox string, named map[string]string) (map[string]string, error) {
	out := map[string]string{}
	for i, name := range c.Doors() {
		if out[name] = named[name]; out[name] != "" {
			continue
		}
		host, text, err := net.SplitHostPort(sandbox)
		port, portErr := strconv.Atoi(text)
		if err != nil || portErr != nil || port < 1 || port+1+i > 65535 {
			return nil, fmt.Errorf("the sandbox's address %q names no port to count on from: name the door of %s yourself", sandbox, name)
		}
		out[name] = net.JoinHostPort(host, strconv.Itoa(port+1+i))
	}
	return out, nil
}

// ParseDoors reads `NAME=HOST:PORT,…`, the form of MUSTER_SANDBOX_DOORS.
func ParseDoors(text string) (map[string]string, error) {
	out := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, address, _ := strings.Cut(part, "=")
		_, port, err := net.SplitHostPort(address)
		if n, portErr := strconv.Atoi(port); name == "" || err != nil || portErr != nil || n < 1 || n > 65535 {
			return nil, fmt.Errorf("%q is not NAME=HOST:PORT", part)
		}
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("%s stands twice", name)
		}
		out[name] = address
	}
	return out, nil
}

// FormatDoors is the reverse of [ParseDoors], sorted.
func FormatDoors(doors map[string]string) string {
	parts := make([]string, 0, len(doors))
	for _, name := range slices.Sorted(maps.Keys(doors)) {
		parts = append(parts, name+"="+doors[name])
	}
	return strings.Join(parts, ",")
}
