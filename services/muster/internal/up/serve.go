package up

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/secret"
	"github.com/muster-hr/muster/libs/service"
	"github.com/muster-hr/muster/services/audit"
	"github.com/muster-hr/muster/services/console"
	"github.com/muster-hr/muster/services/delivery"
	"github.com/muster-hr/muster/services/ingress"
	"github.com/muster-hr/muster/services/poller"
	"github.com/muster-hr/muster/services/sandbox"
	"github.com/muster-hr/muster/services/transform"
)

// broker starts the embedded server unless one is named, and makes the streams.
func (s *System) broker(ctx context.Context) error {
	options := bus.Options{Name: bus.UserAdmin, NKeySeed: s.seeds[bus.UserAdmin], Log: s.log}
	if url := s.Getenv("MUSTER_NATS_URL"); url != "" {
		options.URL, s.Addresses.NATS.URL = url, url
		s.env["MUSTER_NATS_URL"] = url
	} else {
		server, err := s.embedded()
		if err != nil {
			return fmt.Errorf("%w: %w", service.ErrEnvironment, err)
		}
		s.server = server
		options.Server, s.Addresses.NATS.URL = server, server.ClientURL()
	}
	admin, err := bus.Connect(ctx, options)
	if err != nil {
		return fmt.Errorf("%w: connect to the bus: %w", service.ErrEnvironment, err)
	}
	plan := bus.PlanFor(bus.Names{Sources: s.Company.SourceNames(), Targets: s.Company.TargetNames(), Teams: s.teams()})
	err = bus.Ensure(ctx, admin, plan)
	if err == nil {
		err = s.tokenSecret(ctx, admin)
	}
	return errors.Join(err, admin.Close())
}

// tokenSecret makes the secret behind all tokens on the first start. No
// service may: whoever could write it could make every person a stranger.
func (s *System) tokenSecret(ctx context.Context, admin *bus.Bus) error {
	v, err := secret.Ref(s.env["MUSTER_MASTER_KEY"]).Resolve(s.Getenv)
	if err != nil {
		return fmt.Errorf("%w: %w", service.ErrConfig, err)
	}
	master, err := seal.ParseMaster(v)
	if err != nil {
		return fmt.Errorf("%w: MUSTER_MASTER_KEY: %w", service.ErrConfig, err)
	}
	if _, err = seal.New(ctx, service.KeysOn(admin, s.Company.Name), master, seal.Options{}); err != nil {
		return fmt.Errorf("%w: %w", service.ErrEnvironment, err)
	}
	return nil
}

func (s *System) embedded() (*bus.Server, error) {
	var users []bus.User
	for _, name := range s.users() {
		public, err := bus.PublicKey(s.seeds[name])
		if err != nil {
			return nil, err
		}
		u := bus.User{Name: name, PublicKey: public}
		u.Publish, u.Subscribe = bus.Rights(name, s.grants(name)...)
		users = append(users, u)
	}
	port := 0
	if v := s.Getenv("MUSTER_NATS_PORT"); v != "" {
		var err error
		if port, err = strconv.Atoi(v); err != nil {
			return nil, fmt.Errorf("MUSTER_NATS_PORT is not a number")
		}
	}
	return bus.StartServer(bus.ServerOptions{
		StoreDir: filepath.Join(s.Data, "nats"), Port: port, Users: users, Log: s.log, SyncAlways: s.Getenv("MUSTER_DURABILITY") != "os",
	})
}

// grants are the rights of a user that depend on the company: a delivery gets
// at restricted keys only if an integration of its target needs them.
func (s *System) grants(user string) []bus.Grant {
	var out []bus.Grant
	for _, t := range s.Company.TargetNames() {
		if user != delivery.Name(t) {
			continue
		}
		for _, i := range s.Company.For(t) {
			if i.Restricted(s.Company.Custom) {
				return append(out, bus.Restricted)
			}
		}
	}
	if user == bus.UserAudit {
		for _, team := range s.teams() {
			out = append(out, bus.Trims(team))
		}
	}
	return out
}

// host is the surroundings of one service.
func (s *System) host() service.Host {
	return service.Host{
		Getenv: s.getenv, Stdout: s.Log, Clock: s.clock, Server: s.server, Seeds: s.seeds, Company: s.Company,
		ConsoleOTLP: "http://" + s.env["MUSTER_CONSOLE_ADDR"], Listening: s.urls.set, Services: s.configured,
	}
}

func (s *System) getenv(name string) string {
	if v, ok := s.env[name]; ok {
		return v
	}
	return s.Getenv(name)
}

// configured lists every service with its address; one that has not told its
// address yet is there without one.
func (s *System) configured() map[string]string {
	out := map[string]string{}
	known := s.urls.all()
	for _, r := range s.services {
		out[r.name] = known[r.name]
	}
	return out
}

// serve starts the services against the flow, so that each finds those behind
// it: who is started last is stopped first.
func (s *System) serve(ctx context.Context) error {
	type part struct {
		name string
		run  func(context.Context, service.Host) error
	}
	parts := []part{{console.Name, console.Run}, {audit.Name, audit.Run}}
	if s.Sandbox {
		parts = append(parts, part{sandbox.Name, sandbox.RunWith(sandbox.Options{SetClock: s.clock.Set, Ingress: func() string { return s.urls.all()[ingress.Name] }})})
	}
	for _, t := range s.Company.TargetNames() {
		parts = append(parts, part{delivery.Name(t), delivery.RunTarget(t)})
	}
	parts = append(parts, part{transform.Name, transform.Run}, part{poller.Name, poller.Run}, part{ingress.Name, ingress.Run})
	base := context.WithoutCancel(ctx) // ended by Stop, in order
	contexts := make([]context.Context, len(parts))
	for i, p := range parts { // the console asks for the whole list as soon as it runs
		var stop context.CancelFunc
		contexts[i], stop = context.WithCancel(base)
		s.services = append(s.services, &running{name: p.name, stop: stop, done: make(chan struct{})})
	}
	for i, p := range parts {
		done := s.services[i].done
		go func() {
			defer close(done)
			if err := p.run(contexts[i], s.host()); err != nil {
				s.failed <- fmt.Errorf("%s: %w", p.name, err)
			}
		}()
	}
	return nil
}

// ready waits until every service says so.
func (s *System) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		missing, err := s.missing(ctx)
		if err == nil && missing == "" {
			return nil
		}
		select {
		case err := <-s.failed:
			return err
		case <-ctx.Done():
			return fmt.Errorf("%w: not ready after %s: %s", service.ErrEnvironment, readyTimeout, missing)
		case <-time.After(30 * time.Millisecond):
		}
	}
}

// missing asks the console, which asks everybody.
func (s *System) missing(ctx context.Context) (string, error) {
	url := s.urls.all()[console.Name]
	if url == "" {
		return "console", nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "console", err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	var ready service.Ready
	if err := json.NewDecoder(resp.Body).Decode(&ready); err != nil {
		return "console", err
	}
	if ready.Ready {
		return "", nil
	}
	return fmt.Sprint(ready.Checks), nil
}
