package up

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/config"
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
	} else if s.Program != "" {
		url, err := s.startBroker(ctx)
		if err != nil {
			return err
		}
		options.URL, s.Addresses.NATS.URL = url, url
		s.env["MUSTER_NATS_URL"] = url
	} else {
		server, err := s.embedded(ctx)
		if err != nil {
			return fmt.Errorf("%w: %w", service.ErrEnvironment, err)
		}
		s.server = server
		options.Server, s.Addresses.NATS.URL = server, server.ClientURL()
	}
	if err := s.streams(ctx, options); err != nil {
		return err
	}
	if s.env["MUSTER_NATS_URL"] == "" || s.Program != "" { // ours, and it has its streams now
		s.stage(ctx)
	}
	return nil
}

func (s *System) plan() bus.Plan {
	return bus.PlanFor(bus.Names{Sources: s.Company.SourceNames(), Targets: s.Company.TargetNames(), Teams: s.teams()})
}

// stage has the broker stage batches in memory where it may. Where it cannot,
// they cost more.
func (s *System) stage(ctx context.Context) {
	staged, err := bus.Stage(s.streamFiles(), s.plan().Streams)
	if err != nil {
		s.log.WarnContext(ctx, "batches are staged on the disk", "err", err)
	}
	if staged {
		s.env["MUSTER_NATS_STAGED"] = "on"
	}
}

// streamFiles is where the broker keeps the streams.
func (s *System) streamFiles() string { return filepath.Join(s.Data, "nats") }

// streams makes what is missing on the broker.
func (s *System) streams(ctx context.Context, options bus.Options) error {
	waiting, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	admin, err := bus.Connect(waiting, options)
	if err != nil {
		return fmt.Errorf("%w: connect to the bus: %w", service.ErrEnvironment, err)
	}
	err = bus.Ensure(ctx, admin, s.plan())
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

// minProcs is how many threads may run Go beside a broker. Its loops go to the
// disk all the time, and who comes back from a system call lines up for such a
// thread behind all that compute. With more of them than cores the kernel
// chooses, and it prefers who has waited: a third more throughput on two cores.
const minProcs = 8

// embedded starts the server in this process. Its store is locked: a server
// of an earlier process may be about to end.
func (s *System) embedded(ctx context.Context) (*bus.Server, error) {
	if err := s.lockStore(ctx); err != nil {
		return nil, err
	}
	users, err := s.allowed()
	if err != nil {
		return nil, err
	}
	if s.getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(minProcs, 2*runtime.NumCPU()))
	}
	if s.getenv("GOGC") == "" && s.getenv("GOMEMLIMIT") == "" {
		boundMemory()
	}
	port, err := s.natsPort()
	if err != nil {
		return nil, err
	}
	server, err := bus.StartServer(bus.ServerOptions{
		StoreDir: s.streamFiles(), Port: port, Users: users, Log: s.log, SyncAlways: s.Getenv("MUSTER_DURABILITY") != "os",
	})
	if err == nil {
		s.stage(ctx)
	}
	return server, err
}

// natsPort is the broker's port as set by hand, 0 if it was not.
func (s *System) natsPort() (int, error) {
	v := s.getenv("MUSTER_NATS_PORT")
	if v == "" {
		return 0, nil
	}
	port, err := strconv.Atoi(v)
	if err != nil || port < 0 || port > 65535 {
		return 0, fmt.Errorf("%w: MUSTER_NATS_PORT is not a port: write a whole number up to 65535", service.ErrConfig)
	}
	return port, nil
}

// allowed are the users of the bus with their rights.
func (s *System) allowed() ([]bus.User, error) {
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
	return users, nil
}

// grants are the rights of a user that depend on the company: a delivery gets
// at restricted keys only if an integration of its target needs them.
func (s *System) grants(user string) []bus.Grant {
	var out []bus.Grant
	for _, name := range s.Company.TargetNames() {
		if user != delivery.Name(name) {
			continue
		}
		t := s.Company.Targets[name]
		if slices.ContainsFunc(s.Company.For(name), func(i *config.Integration) bool { return i.Restricted(s.Company.Custom) }) {
			out = append(out, bus.Restricted)
		}
		if t.Source != "" {
			out = append(out, bus.Links(t.Source))
		}
		if team := teamOf(t); team != "" {
			out = append(out, bus.Serves(team))
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
		ConsoleOTLP: reachable(s.env["MUSTER_CONSOLE_ADDR"]), Listening: s.urls.set, Services: s.configured,
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

// part is one service.
type part struct {
	name string
	args []string // of the hidden verb `service`
	run  func(context.Context, service.Host) error
}

// last tells whether the other services lean on it to their end: where their
// records and traces go, and what stands for the vendors.
func (p part) last() bool {
	return slices.Contains([]string{console.Name, audit.Name, sandbox.Name}, p.name)
}

// parts lists the services against the flow, so that each finds those behind it.
func (s *System) parts() []part {
	all := []part{{console.Name, []string{console.Name}, console.Run}, {audit.Name, []string{audit.Name}, audit.Run}}
	if s.Sandbox {
		options := sandbox.Options{SetClock: s.clock.Set, Ingress: func() string { return s.urls.all()[ingress.Name] }}
		all = append(all, part{sandbox.Name, []string{sandbox.Name}, sandbox.RunWith(options)})
	}
	for _, t := range s.Company.TargetNames() {
		all = append(all, part{delivery.Name(t), []string{"delivery", "--target", t}, delivery.RunTarget(t)})
	}
	return append(all, part{transform.Name, []string{transform.Name}, transform.Run}, part{poller.Name, []string{poller.Name}, poller.Run}, part{ingress.Name, []string{ingress.Name}, ingress.Run})
}

// serve starts the services.
func (s *System) serve(ctx context.Context) error {
	if s.Program != "" {
		return s.spawn(ctx)
	}
	base := context.WithoutCancel(ctx) // ended by Stop, in order
	var begin []func()
	for _, p := range s.parts() { // the console asks for the whole list as soon as it runs
		ctx, cancel := context.WithCancel(base)
		done := make(chan struct{})
		stop := func(within context.Context) error {
			cancel()
			select {
			case <-done:
				return nil
			case <-within.Done():
				return fmt.Errorf("stop %s: it did not end in time", p.name)
			}
		}
		s.services = append(s.services, &running{name: p.name, last: p.last(), stop: stop})
		begin = append(begin, func() {
			defer close(done)
			if err := p.run(ctx, s.host()); err != nil {
				s.failed <- fmt.Errorf("%s: %w", p.name, err)
			}
		})
	}
	for _, f := range begin {
		go f()
	}
	return nil
}

// ready waits until every service says so.
func (s *System) ready(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		missing, err := s.missing(waiting)
		if err == nil && missing == "" {
			return nil
		}
		select {
		case err := <-s.failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-waiting.Done():
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
