package up

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/muster-hr/muster/libs/service"
	"github.com/muster-hr/muster/services/audit"
	"github.com/muster-hr/muster/services/console"
	"github.com/muster-hr/muster/services/muster/internal/child"
	"github.com/muster-hr/muster/services/sandbox"
)

// brokerName is the broker among the processes.
const brokerName = "broker"

// children are the processes of a Muster that is not in one.
type children struct {
	lifeline *child.Lifeline
	nats     *child.Child // the broker
	company  string       // folder that they read
	pids     pids
}

// pids are the numbers of the present processes by name.
type pids struct {
	mu     sync.Mutex
	byName map[string]int
}

func (p *pids) set(name string, pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byName == nil {
		p.byName = map[string]int{}
	}
	p.byName[name] = pid
}

func (p *pids) of(name string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byName[name]
}

// Broker runs the embedded broker as a program of its own until ctx ends.
func Broker(ctx context.Context, o Options) error {
	s := newSystem(o, brokerName)
	if err := s.userSeeds(); err != nil {
		return err
	}
	server, err := s.embedded(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", service.ErrEnvironment, err)
	}
	s.log.InfoContext(ctx, "listening", "url", server.ClientURL())
	<-ctx.Done()
	server.Shutdown()
	return nil
}

// startBroker starts the broker's process and gives its address.
func (s *System) startBroker(ctx context.Context) (url string, err error) {
	set, err := s.natsPort()
	if err != nil {
		return "", err
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(set))
	if set == 0 {
		addr, err = free(ctx, "127.0.0.1:4222")
	} else {
		addr, err = fixed(ctx, "MUSTER_NATS_PORT", addr)
	}
	if err != nil {
		return "", err
	}
	_, port, _ := net.SplitHostPort(addr) // made by us
	s.env["MUSTER_NATS_PORT"] = port
	if err := s.prepare(); err != nil {
		return "", fmt.Errorf("%w: %w", service.ErrEnvironment, err)
	}
	s.nats, err = s.start(brokerName, []string{brokerName, "--config", s.company, "--data", s.Data}, map[string]string{"MUSTER_NATS_PORT": port})
	return "nats://" + net.JoinHostPort("127.0.0.1", port), err
}

// prepare makes what all processes share. They read a copy of the company's
// folder: one that is started again while somebody edits the folder must not
// work by other rules than the rest.
func (s *System) prepare() (err error) {
	if s.lifeline != nil {
		return nil
	}
	if s.lifeline, err = child.NewLifeline(); err != nil {
		return err
	}
	s.company = filepath.Join(s.Data, "company", s.Company.Version)
	if _, err := os.Stat(s.company); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	half := s.company + ".half"
	if err := os.RemoveAll(half); err != nil {
		return err
	}
	if err := os.CopyFS(half, os.DirFS(s.Company.Dir)); err != nil {
		return err
	}
	return os.Rename(half, s.company)
}

func (s *System) stopBroker(ctx context.Context) error {
	var err error
	if s.nats != nil {
		err = s.nats.Stop(ctx)
		s.nats = nil
	}
	if s.lifeline != nil {
		s.lifeline.Close()
		s.lifeline = nil
	}
	return err
}

// spawn starts every service as a process of its own.
func (s *System) spawn(ctx context.Context) error {
	if err := s.prepare(); err != nil {
		return fmt.Errorf("%w: %w", service.ErrEnvironment, err)
	}
	parts := s.parts()
	envs := map[string]map[string]string{}
	for _, p := range parts {
		addr, variable, err := s.place(ctx, p)
		if err != nil {
			return err
		}
		envs[p.name] = map[string]string{variable: addr}
		s.urls.set(p.name, reachable(addr))
	}
	everybody, err := json.Marshal(s.urls.all())
	if err != nil {
		return err
	}
	for _, p := range parts {
		env := envs[p.name]
		s.settings(p.name, env)
		if p.name == console.Name {
			env["MUSTER_SERVICES"] = string(everybody)
		}
		c, err := s.start(p.name, append([]string{"service"}, p.args...), env)
		if err != nil {
			return err
		}
		s.services = append(s.services, &running{name: p.name, last: p.last(), stop: c.Stop})
	}
	return nil
}

// place is the fixed address of a service, and the variable that tells it.
func (s *System) place(ctx context.Context, p part) (addr, variable string, err error) {
	variable = "MUSTER_" + strings.ToUpper(p.args[0]) + "_ADDR"
	if addr = s.env[variable]; addr != "" {
		return addr, variable, nil
	}
	addr = s.Getenv(variable)
	if addr == "" || p.args[0] == "delivery" { // there are several of them
		addr = "127.0.0.1:0"
	}
	addr, err = fixed(ctx, variable, addr)
	return addr, variable, err
}

// settings are what a service is told by its environment: what all need, and
// what it alone may know.
func (s *System) settings(name string, env map[string]string) {
	env["MUSTER_CONFIG"] = s.company
	env["MUSTER_DATA"] = s.Data
	env["MUSTER_NATS_URL"] = s.env["MUSTER_NATS_URL"]
	env["MUSTER_NATS_NKEY"] = filepath.Join(s.Data, "nkeys", name+".nk")
	env["MUSTER_MASTER_KEY"] = s.env["MUSTER_MASTER_KEY"]
	env["MUSTER_CONSOLE_OTLP"] = reachable(s.env["MUSTER_CONSOLE_ADDR"])
	if s.Sandbox {
		env["MUSTER_SANDBOX"] = reachable(s.env["MUSTER_SANDBOX_ADDR"])
		env["MUSTER_SANDBOX_DOORS"] = s.env["MUSTER_SANDBOX_DOORS"]
		env["MUSTER_CLOCK"] = filepath.Join(s.Data, "clock")
	}
	switch name {
	case audit.Name, console.Name:
		env["MUSTER_DATABASE_URL"] = s.env["MUSTER_DATABASE_URL"]
	case sandbox.Name:
		env["MUSTER_INGRESS_URL"] = reachable(s.env["MUSTER_INGRESS_ADDR"])
	}
	if name == console.Name {
		for variable, file := range tokenFiles {
			if env[variable] = s.Getenv(variable); env[variable] == "" {
				env[variable] = "file:" + filepath.Join(s.Data, file)
			}
		}
	}
}

// private are variables that only those get whom settings gives them.
var private = []string{"MUSTER_DATABASE_URL", "MUSTER_API_TOKEN", "MUSTER_APPROVER_TOKEN", "MUSTER_MASTER_KEY", "MUSTER_SERVICES", "MUSTER_SANDBOX", "MUSTER_SANDBOX_DOORS", "MUSTER_CLOCK", "MUSTER_NATS_NKEY"}

// start starts one process and keeps it running.
func (s *System) start(name string, args []string, own map[string]string) (*child.Child, error) {
	var env []string
	for _, v := range os.Environ() {
		variable, _, _ := strings.Cut(v, "=")
		if !slices.Contains(private, variable) {
			env = append(env, v)
		}
	}
	for variable, v := range own {
		env = append(env, variable+"="+v) // the last one counts
	}
	c, err := child.Start(child.Spec{
		Name: name, Path: s.Program, Args: args, Env: env, Output: s.Log, Lifeline: s.lifeline, Log: s.log,
		Started: func(pid int) { s.started(name, pid) },
		Final:   func(code int) bool { return code == service.ExitConfig },
		Failed:  func(err error) { s.failed <- fmt.Errorf("%w: %w", service.ErrConfig, err) },
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", service.ErrEnvironment, err)
	}
	return c, nil
}

// started notes a process and, once the addresses are out, tells its number.
func (s *System) started(name string, pid int) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.pids.set(name, pid)
	if !s.published {
		return
	}
	if err := s.writeAddresses(); err != nil {
		s.log.Error("addresses.json does not tell the new process", "process", name, "err", err)
	}
}
