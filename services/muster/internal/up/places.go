package up

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/service"
)

// places chooses the addresses that others must know beforehand. A taken port
// is no error unless it was set by hand.
func (s *System) places(ctx context.Context) error {
	if s.Getenv("MUSTER_SANDBOX") != "" && !s.Sandbox { // whoever set it must not meet the vendors
		return fmt.Errorf("%w: MUSTER_SANDBOX is for programs of their own: write `muster up --sandbox`, or unset it to call the vendors", service.ErrConfig)
	}
	for variable, preferred := range map[string]string{
		"MUSTER_INGRESS_ADDR": "127.0.0.1:8080", "MUSTER_CONSOLE_ADDR": "127.0.0.1:8081", "MUSTER_SANDBOX_ADDR": "127.0.0.1:8090",
	} {
		var err error
		if set := s.Getenv(variable); set != "" {
			s.env[variable], err = fixed(ctx, variable, set)
		} else {
			s.env[variable], err = free(ctx, preferred)
		}
		if err != nil {
			return err
		}
	}
	if !s.Sandbox {
		return nil
	}
	doors, err := s.doors(ctx)
	if err == nil {
		err = s.Company.UseSandbox(reachable(s.env["MUSTER_SANDBOX_ADDR"]), doors)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", service.ErrConfig, err)
	}
	s.env["MUSTER_SANDBOX_DOORS"] = config.FormatDoors(doors)
	return nil
}

// doors chooses where the fakes listen that do not speak HTTP: as set by hand,
// else right behind the sandbox, else where there is room.
func (s *System) doors(ctx context.Context) (map[string]string, error) {
	doors, err := config.ParseDoors(s.Getenv("MUSTER_SANDBOX_DOORS"))
	if err != nil {
		return nil, fmt.Errorf("MUSTER_SANDBOX_DOORS: %w", err)
	}
	taken := map[string]bool{}
	for _, addr := range doors {
		taken[addr] = true
	}
	for _, name := range s.Company.Doors() {
		if doors[name] != "" {
			continue
		}
		preferred := ""
		if places, err := s.Company.PlaceDoors(s.env["MUSTER_SANDBOX_ADDR"], doors); err == nil {
			preferred = places[name]
		}
		for doors[name] == "" {
			addr, err := free(ctx, preferred)
			if err != nil {
				return nil, err
			}
			if preferred = ""; !taken[addr] {
				doors[name], taken[addr] = addr, true
			}
		}
	}
	return doors, nil
}

// letGo is how long an address set by hand may still be taken: a process of an
// earlier Muster ends at the moment its parent dies, and only has to go.
const letGo = 5 * time.Second

// fixed is an address set by hand, by the name of its variable. "Any port" is
// decided here: others must know it beforehand, and a process of its own must
// come back where it was. One that is taken is told here, not by a service
// that is started again and again.
func fixed(ctx context.Context, variable, addr string) (string, error) {
	if host, any := strings.CutSuffix(addr, ":0"); any {
		n, err := anyPort(ctx)
		return host + ":" + strconv.Itoa(n), err
	}
	for begun := time.Now(); ; {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
		if err == nil {
			return addr, l.Close()
		}
		if time.Since(begun) >= letGo || ctx.Err() != nil {
			return "", fmt.Errorf("%w: %s: %w: name another address or stop who has it", service.ErrEnvironment, variable, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// free gives the preferred address if nobody has it, else one that is free.
func free(ctx context.Context, preferred string) (string, error) {
	if preferred != "" && listens(ctx, preferred) {
		return preferred, nil
	}
	port, err := anyPort(ctx)
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), err
}

// Ports are chosen below the range from which systems take the ports of
// outgoing connections (Linux from 32768, others from 49152): while the process
// that listens is being started again nothing else shall get its port.
const firstPort, lastPort = 20000, 32000

// anyPort gives a port of 127.0.0.1 that is free now.
func anyPort(ctx context.Context) (int, error) {
	for range 200 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if listens(ctx, net.JoinHostPort("127.0.0.1", strconv.Itoa(port))) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("%w: no free port on 127.0.0.1", service.ErrEnvironment)
}

// listens tells whether an address can be listened on.
func listens(ctx context.Context, addr string) bool {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// reachable is the URL of an address that is listened on, for others on this
// machine.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "http://" + addr
	}
	if ip := net.ParseIP(strings.Trim(host, "[]")); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}
