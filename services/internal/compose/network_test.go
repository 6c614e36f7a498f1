package compose

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/jackc/pgx/v5"

	"github.com/muster-hr/muster/libs/postgres"
)

// network is a bridge with every service of the file on it.
type network struct {
	t       *testing.T
	p       *types.Project
	dir     string // volumes, root folders, logs
	hosts   string // /etc/hosts of everybody
	address map[string]string
	started map[string]*container
}

// container is one service that runs.
type container struct {
	name string
	cmd  *exec.Cmd
	env  []string
	log  *os.File
	done chan struct{}
	err  error // after done
}

func (n *network) until(what string, ok func() bool) {
	n.t.Helper()
	for deadline := time.Now().Add(45 * time.Second); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			n.t.Fatalf("%s: not seen", what)
		}
	}
}

func (n *network) ipCommand(args string) {
	n.t.Helper()
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		n.t.Fatalf("ip %s: %v\n%s", args, err, out)
	}
}

// bridge gives each service an address; what is foreign and stood in for is
// here, at the bridge itself.
func (n *network) bridge() {
	n.ipCommand("link set lo up")
	n.ipCommand("link add hub type bridge")
	n.ipCommand("address add 10.77.0.1/24 dev hub")
	n.ipCommand("link set hub up")
	hosts := "127.0.0.1 localhost\n"
	for i, name := range n.p.ServiceNames() {
		n.address[name] = fmt.Sprintf("10.77.0.%d", 10+i)
		hosts += n.address[name] + " " + name + "\n"
	}
	n.hosts = hosts
	for _, name := range []string{"postgres", "collector"} {
		n.ipCommand("address add " + n.address[name] + "/24 dev hub")
	}
}

// foreign starts Postgres with the password that keys made and something that
// counts what the collector is sent.
func (n *network) foreign() *atomic.Int64 {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	pg, err := postgres.Start(ctx, postgres.Options{Dir: filepath.Join(n.dir, "postgres"), Settings: map[string]string{"fsync": "off"}})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = pg.Stop() })
	password, err := os.ReadFile(filepath.Join(n.dir, "keys", "postgres.password"))
	if err != nil {
		n.t.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, pg.DSN)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, "ALTER ROLE muster PASSWORD '"+string(bytes.TrimSpace(password))+"'"); err != nil {
		n.t.Fatal(err)
	}
	door, err := net.Listen("tcp", n.address["postgres"]+":5432")
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = door.Close() })
	go func() {
		for {
			in, err := door.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(pg.Port))
			if err != nil {
				_ = in.Close()
				continue
			}
			go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
			go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
		}
	}()

	var spans atomic.Int64
	collector := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/traces" && r.ContentLength > 0 {
			spans.Add(1)
		}
	}))
	_ = collector.Listener.Close()
	if collector.Listener, err = net.Listen("tcp", n.address["collector"]+":4318"); err != nil {
		n.t.Fatal(err)
	}
	collector.Start()
	n.t.Cleanup(collector.Close)
	return &spans
}

// folder makes the root of a service and gives the commands that mount it.
func (n *network) folder(name string, s types.ServiceConfig) (string, []string) {
	at := filepath.Join(n.dir, "root-"+name)
	program := "muster"
	if s.Build != nil {
		program = *s.Build.Args["SERVICE"]
	} else if name == "nats" {
		program = "nats-server"
	}
	must := func(err error) {
		n.t.Helper()
		if err != nil {
			n.t.Fatal(err)
		}
	}
	for _, dir := range []string{"etc", "dev", "proc"} {
		must(os.MkdirAll(filepath.Join(at, dir), 0o755))
	}
	must(os.WriteFile(filepath.Join(at, "etc", "hosts"), []byte(n.hosts), 0o644))
	must(os.Link(filepath.Join(os.Getenv(inside), program), filepath.Join(at, "service")))
	mounts := []string{"mount --make-rprivate /", "mount --bind " + at + " " + at, "mount --bind /dev " + at + "/dev", "mount --bind /proc " + at + "/proc"}
	for _, v := range s.Volumes {
		source, target := v.Source, filepath.Join(at, v.Target)
		if v.Type == types.VolumeTypeVolume {
			source = filepath.Join(n.dir, v.Source)
			must(os.MkdirAll(source, 0o755))
		}
		must(os.MkdirAll(target, 0o755))
		mounts = append(mounts, "mount --bind "+source+" "+target)
		if v.ReadOnly {
			mounts = append(mounts, "mount -o remount,bind,ro "+target)
		}
	}
	if s.ReadOnly {
		mounts = append(mounts, "mount -o remount,bind,ro "+at)
	}
	return at, mounts
}

// start runs a service of the file.
func (n *network) start(name string) *container {
	n.t.Helper()
	s := n.p.Services[name]
	at, mounts := n.folder(name, s)
	user := s.User
	if user == "" {
		user = "65532:65532"
	}
	if name == "nats" {
		user = "0:0" // its image runs as root
	}
	script := strings.Join(append(mounts, "read -r go", "ip link set lo up",
		`exec setpriv --no-new-privs chroot --userspec=`+user+` --groups= `+at+` /service "$@"`), " && ")
	c := &container{name: name, cmd: exec.Command("sh", append([]string{"-c", script, name}, s.Command...)...), done: make(chan struct{})}
	for k, v := range s.Environment {
		if v != nil {
			c.env = append(c.env, k+"="+*v)
		}
	}
	c.cmd.Env = append(slices.Clone(c.env), "PATH="+os.Getenv("PATH"), "HOME=/")
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	var err error
	if c.log, err = os.Create(filepath.Join(n.dir, name+".log")); err != nil {
		n.t.Fatal(err)
	}
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	begin, err := c.cmd.StdinPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		n.t.Fatalf("%s: %v", name, err)
	}
	n.started[name] = c
	n.t.Cleanup(func() {
		if n.t.Failed() {
			b, _ := os.ReadFile(c.log.Name())
			n.t.Logf("log of %s:\n%s", name, b[max(0, len(b)-2000):])
		}
		_ = c.cmd.Process.Kill()
		<-c.done
	})
	if s.NetworkMode != "none" {
		pid, cable := strconv.Itoa(c.cmd.Process.Pid), "v"+n.address[name][len("10.77.0."):]
		n.ipCommand("link add " + cable + " type veth peer name eth0 netns " + pid)
		n.ipCommand("link set " + cable + " master hub up")
		n.inside(c, "ip", "address", "add", n.address[name]+"/24", "dev", "eth0")
		n.inside(c, "ip", "link", "set", "eth0", "up")
	}
	_, _ = io.WriteString(begin, "\n")
	_ = begin.Close()
	go func() { c.err = c.cmd.Wait(); close(c.done) }()
	return c
}

func (n *network) inside(c *container, args ...string) {
	n.t.Helper()
	if out, err := exec.Command("nsenter", append([]string{"--net", "--target", strconv.Itoa(c.cmd.Process.Pid)}, args...)...).CombinedOutput(); err != nil {
		n.t.Fatalf("%s: %v: %v\n%s", c.name, args, err, out)
	}
}

// once runs a service that ends.
func (n *network) once(name string) {
	n.t.Helper()
	c := n.start(name)
	select {
	case <-c.done:
		if c.err != nil {
			n.t.Fatalf("%s: %v", name, c.err)
		}
	case <-time.After(30 * time.Second):
		n.t.Fatalf("%s does not end", name)
	}
}

// healthy asks as the container engine would: by the file's command, in there.
func (n *network) healthy(name string) bool {
	n.t.Helper()
	c := n.started[name]
	select {
	case <-c.done:
		n.t.Fatalf("%s ended: %v", name, c.err)
	default:
	}
	pid := strconv.Itoa(c.cmd.Process.Pid)
	ask := exec.Command("nsenter", append([]string{"--net", "--mount", "--target", pid, "--root=/proc/" + pid + "/root", "--setuid=65532", "--setgid=65532"},
		n.p.Services[name].HealthCheck.Test[1:]...)...)
	ask.Env = c.env
	return ask.Run() == nil
}

// stop ends everybody as the container engine would.
func (n *network) stop() {
	n.t.Helper()
	names := append(staying(n.t), "nats")
	for _, name := range names {
		c := n.started[name]
		if name == "nats" {
			for _, other := range names[:len(names)-1] {
				<-n.started[other].done
			}
		}
		if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			n.t.Fatal(err)
		}
		go func() {
			grace := time.Duration(*n.p.Services[name].StopGracePeriod)
			select {
			case <-c.done:
			case <-time.After(grace):
				n.t.Errorf("%s did not stop within %s", name, grace)
				_ = c.cmd.Process.Kill()
			}
		}()
	}
	for _, name := range names {
		c := n.started[name]
		if <-c.done; c.err != nil && name != "nats" { // a stopped broker says 1
			n.t.Errorf("%s: %v", name, c.err)
		}
	}
}

// at is the address of a service's port as those in the network have it.
func (n *network) at(name, path string) string {
	port := map[string]string{"sandbox": "8090", "console": "8081"}[name]
	return "http://" + net.JoinHostPort(n.address[name], port) + path
}

func (n *network) post(name, path string, body any) {
	n.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		n.t.Fatal(err)
	}
	resp, err := http.Post(n.at(name, path), "application/json", bytes.NewReader(b))
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		n.t.Fatalf("%s%s answered %d: %s", name, path, resp.StatusCode, text)
	}
}

func (n *network) get(name, path, token string, out any) {
	n.t.Helper()
	req, err := http.NewRequestWithContext(n.t.Context(), http.MethodGet, n.at(name, path), nil)
	if err != nil {
		n.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return // not there yet
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		n.t.Fatal(err)
	}
}

// people are those at a fake.
func (n *network) people(vendor string) map[string]map[string]any {
	n.t.Helper()
	var v struct {
		People map[string]map[string]any `json:"people"`
	}
	n.get("sandbox", "/_sandbox/"+vendor+"/state", "", &v)
	return v.People
}
