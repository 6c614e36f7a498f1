package compose

import (
	"encoding/json"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connectors"
)

const root = "../../.."

// project is the compose file as Docker would read it, with an environment.
func project(t *testing.T, env ...string) *types.Project {
	t.Helper()
	o, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")}, cli.WithEnv(env), cli.WithInterpolation(true), cli.WithConsistency(true))
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func company(t *testing.T) *config.Company {
	t.Helper()
	c, problems := config.Load(filepath.Join(root, "deploy", "acme"), connectors.All)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return c
}

// programs are our services that stay; once are those that end; foreign are
// not ours.
var (
	programs = []string{"ingress", "poller", "transform", "audit", "console", "sandbox"}
	once     = []string{"keys", "streams"}
	foreign  = []string{"nats", "postgres", "collector"}
)

// staying are all programs of ours, deliveries included.
func staying(t *testing.T) []string {
	out := slices.Clone(programs)
	for _, target := range company(t).TargetNames() {
		out = append(out, "delivery-"+target)
	}
	return out
}

func TestEveryServiceIsThere(t *testing.T) {
	p := project(t)
	want := slices.Concat(staying(t), once, foreign)
	slices.Sort(want)
	got := p.ServiceNames()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("services %v\nwant     %v", got, want)
	}
	for name, s := range p.Services {
		program, _, _ := strings.Cut(name, "-")
		if slices.Contains(foreign, name) {
			if s.Build != nil || strings.HasSuffix(s.Image, ":latest") || !strings.Contains(s.Image, ":") {
				t.Errorf("%s: the image %s has no fixed version", name, s.Image)
			}
			continue
		}
		if slices.Contains(once, name) {
			program = "muster"
		}
		if s.Build == nil || s.Build.Args["SERVICE"] == nil || *s.Build.Args["SERVICE"] != program {
			t.Fatalf("%s is not built from %s", name, program)
		}
		if _, err := os.Stat(filepath.Join(root, "services", program, "cmd", program, "main.go")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestVariablesExist: each of our variables is one that a program reads.
func TestVariablesExist(t *testing.T) {
	read := map[string]bool{}
	word := regexp.MustCompile(`"(MUSTER_[A-Z_]+|OTEL_[A-Z_]+)"`)
	for _, dir := range []string{"libs", "services"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			for _, m := range word.FindAllStringSubmatch(string(b), -1) {
				read[m[1]] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(read) < 15 {
		t.Fatalf("only %d variables were found in the programs", len(read))
	}
	for name, s := range project(t).Services {
		for variable := range s.Environment {
			if (strings.HasPrefix(variable, "MUSTER_") || strings.HasPrefix(variable, "OTEL_")) && !read[variable] {
				t.Errorf("%s sets %s, which no program reads", name, variable)
			}
		}
	}
}

func value(s types.ServiceConfig, variable string) string {
	if v := s.Environment[variable]; v != nil {
		return *v
	}
	return ""
}

// TestSettings: each program knows its own key, address and target, and only
// who needs it the database.
func TestSettings(t *testing.T) {
	p := project(t)
	for _, name := range staying(t) {
		s := p.Services[name]
		kind, target, _ := strings.Cut(name, "-")
		addr := "MUSTER_" + strings.ToUpper(kind) + "_ADDR"
		if host, port, ok := strings.Cut(value(s, addr), ":"); !ok || host != "0.0.0.0" || port == "0" {
			t.Errorf("%s listens at %q", name, value(s, addr))
		}
		if got := value(s, "MUSTER_TARGET"); got != target {
			t.Errorf("%s delivers to %q", name, got)
		}
		if database := name == "audit" || name == "console"; (value(s, "MUSTER_DATABASE_URL") != "") != database {
			t.Errorf("%s has the database: %t", name, !database)
		}
		if (value(s, "MUSTER_API_TOKEN") != "") != (name == "console") {
			t.Errorf("%s has the API token: %t", name, name != "console")
		}
		if name == "sandbox" {
			continue
		}
		if got, want := value(s, "MUSTER_NATS_NKEY"), "/data/nkeys/"+name+".nk"; got != want {
			t.Errorf("%s has the key %s", name, got)
		}
		if got := value(s, "MUSTER_NATS_URL"); got != "nats://nats:4222" {
			t.Errorf("%s looks for the bus at %s", name, got)
		}
		if got := value(s, "MUSTER_SANDBOX"); got != "http://sandbox:8090" {
			t.Errorf("%s takes %q for the vendors", name, got)
		}
	}
	if got := value(project(t, "MUSTER_SANDBOX=").Services["delivery-okta"], "MUSTER_SANDBOX"); got != "" {
		t.Errorf("with MUSTER_SANDBOX empty deliveries still take %q for the vendors", got)
	}
	var all map[string]string
	if err := json.Unmarshal([]byte(value(p.Services["console"], "MUSTER_SERVICES")), &all); err != nil {
		t.Fatalf("MUSTER_SERVICES: %v", err)
	}
	for _, name := range staying(t) {
		if name == "console" || name == "sandbox" {
			continue
		}
		u, err := url.Parse(all[name])
		kind, _, _ := strings.Cut(name, "-")
		if err != nil || u.Hostname() != name || !strings.HasSuffix(value(p.Services[name], "MUSTER_"+strings.ToUpper(kind)+"_ADDR"), ":"+u.Port()) {
			t.Errorf("the console looks for %s at %q", name, all[name])
		}
		delete(all, name)
	}
	if len(all) > 0 {
		t.Errorf("the console looks for services that are not there: %v", all)
	}
}

func TestPortsAreOnThisMachineOnly(t *testing.T) {
	published := map[string]bool{}
	for name, s := range project(t).Services {
		for _, port := range s.Ports {
			published[name] = true
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s is published at %q:%s", name, port.HostIP, port.Published)
			}
		}
	}
	for _, name := range []string{"ingress", "console", "sandbox", "nats"} {
		if !published[name] {
			t.Errorf("%s is not published", name)
		}
	}
	if len(published) != 4 {
		t.Errorf("published: %v", published)
	}
}

func TestHealth(t *testing.T) {
	p := project(t)
	for _, name := range slices.Concat(staying(t), []string{"nats", "postgres"}) {
		h := p.Services[name].HealthCheck
		if h == nil || len(h.Test) == 0 || h.Disable {
			t.Errorf("nobody asks %s for its health", name)
			continue
		}
		if ours := slices.Contains(staying(t), name); ours && !slices.Equal(h.Test, []string{"CMD", "/service", "ready"}) {
			t.Errorf("%s is asked by %v: its image has nothing but /service", name, h.Test)
		}
	}
}

// TestOrder: nobody starts before what they need at once, and who waits for a
// health waits for one that somebody asks for.
func TestOrder(t *testing.T) {
	p := project(t)
	for _, name := range staying(t) {
		s := p.Services[name]
		if name == "sandbox" {
			continue
		}
		if s.DependsOn["streams"].Condition != types.ServiceConditionCompletedSuccessfully || s.DependsOn["nats"].Condition != types.ServiceConditionHealthy {
			t.Errorf("%s does not wait for the streams: %v", name, s.DependsOn)
		}
		if value(s, "MUSTER_DATABASE_URL") != "" && s.DependsOn["postgres"].Condition != types.ServiceConditionHealthy {
			t.Errorf("%s does not wait for the database", name)
		}
		if *s.StopGracePeriod < 20e9 {
			t.Errorf("%s is killed before it has drained", name)
		}
	}
	for _, name := range []string{"nats", "postgres"} {
		if p.Services[name].DependsOn["keys"].Condition != types.ServiceConditionCompletedSuccessfully {
			t.Errorf("%s does not wait for its keys", name)
		}
	}
	for name, s := range p.Services {
		for on, d := range s.DependsOn {
			if d.Condition == types.ServiceConditionHealthy && p.Services[on].HealthCheck == nil {
				t.Errorf("%s waits for the health of %s, which nobody asks for", name, on)
			}
			if slices.Contains(once, on) && d.Condition != types.ServiceConditionCompletedSuccessfully {
				t.Errorf("%s does not wait for the end of %s", name, on)
			}
		}
	}
}

// TestNoSecretsInline: what opens something is named, never written.
func TestNoSecretsInline(t *testing.T) {
	secretive := regexp.MustCompile(`(KEY|TOKEN|PASSWORD|SECRET|NKEY)(_FILE)?$`)
	for name, s := range project(t).Services {
		for variable := range s.Environment {
			v := value(s, variable)
			if secretive.MatchString(variable) && !strings.HasPrefix(v, "file:/data/") && !strings.HasPrefix(v, "/data/") {
				t.Errorf("%s: %s is not a reference", name, variable)
			}
			if u, err := url.Parse(v); err == nil && u.User != nil {
				if _, has := u.User.Password(); has {
					t.Errorf("%s: %s holds a password", name, variable)
				}
			}
		}
	}
}

// TestServicesAreShutIn: not root, nothing to write on, keys to read only.
func TestServicesAreShutIn(t *testing.T) {
	p := project(t)
	for _, name := range staying(t) {
		s := p.Services[name]
		if !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") || s.User != "" || s.Privileged {
			t.Errorf("%s is not shut in", name)
		}
		for _, v := range s.Volumes {
			if !v.ReadOnly {
				t.Errorf("%s may write to %s", name, v.Target)
			}
		}
	}
	file, err := os.ReadFile(filepath.Join(root, "deploy", "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	stages := strings.Split(string(file), "\nFROM ")
	for _, stage := range stages[1:] {
		if strings.Contains(stage, "ENTRYPOINT") && (!strings.HasPrefix(stage, "scratch AS ") || !strings.Contains(stage, "USER 65532:65532")) {
			t.Errorf("an image is more than its program, or runs as root:\n%s", stage)
		}
	}
	for _, s := range p.Services {
		if s.Build != nil && !strings.Contains(string(file), " AS "+s.Build.Target+"\n") {
			t.Errorf("the Dockerfile has no stage %s", s.Build.Target)
		}
	}
}

// TestBroker: the server is of the version that the tests run against, and
// reads the users that keys wrote.
func TestBroker(t *testing.T) {
	p := project(t)
	if s := p.Services["nats"]; !slices.Equal(s.Command, []string{"-c", "/data/nats.conf"}) {
		t.Errorf("the broker runs %v", s.Command)
	}
	mod, err := os.ReadFile(filepath.Join(root, "libs", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`nats-server/v2 v(\d+\.\d+)`).FindStringSubmatch(string(mod))
	if version == nil || p.Services["nats"].Image != "nats:"+version[1]+"-alpine" {
		t.Errorf("the broker is %s, the tests run against %v", p.Services["nats"].Image, version)
	}
	if !slices.Contains(p.Services["keys"].Command, "--store") || !slices.Contains(p.Services["keys"].Command, "/jetstream") {
		t.Errorf("keys tells the broker another place: %v", p.Services["keys"].Command)
	}
}
