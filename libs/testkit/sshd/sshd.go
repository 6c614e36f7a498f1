// Package sshd starts a real OpenSSH server for a test: SFTP only, keys of its
// own, one folder. It runs as who runs the test, root or not, and is gone with
// the test.
package sshd

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/muster-hr/muster/libs/testkit/debian"
)

var program = debian.Program{Name: "sshd", Package: "openssh-server", Places: []string{"/usr/sbin/sshd", "/usr/local/sbin/sshd", "/opt/homebrew/sbin/sshd"}}

// Server is a running sshd.
type Server struct {
	Address    string // HOST:PORT
	User       string
	PrivateKey string // PEM: who has it may log in
	HostKey    string // `ssh-ed25519 AAAA…`
	Folder     string // where a login stands, on this machine

	cmd   *exec.Cmd
	ended chan struct{}
	log   logged
}

const conf = `Port %s
ListenAddress 127.0.0.1
HostKey %s/host
PidFile none
AuthorizedKeysFile %[2]s/authorized
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowTcpForwarding no
X11Forwarding no
PermitTTY no
LogLevel VERBOSE
Subsystem sftp internal-sftp -d %[3]s
ForceCommand internal-sftp -d %[3]s
`

// Start gives a fresh server. Where sshd is missing and is not ours to install,
// the test fails and names the command.
func Start(t testing.TB) *Server {
	t.Helper()
	path, err := program.Path()
	if err != nil {
		t.Fatal(err)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // where its unprivileged half is shut in
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for try := 1; ; try++ {
		s := &Server{User: me.Username, Folder: t.TempDir()}
		err := s.start(t, path, t.TempDir())
		if err == nil {
			return s
		}
		if try == 3 { // another process may take a port between the look and the start
			t.Fatal(err)
		}
	}
}

func (s *Server) start(t testing.TB, path, dir string) error {
	host, hostLine, err := pair()
	if err != nil {
		return err
	}
	client, clientLine, err := pair()
	if err != nil {
		return err
	}
	s.HostKey, s.PrivateKey = strings.TrimSpace(hostLine), client
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.Address = l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(s.Address)
	for name, text := range map[string]string{"host": host, "authorized": clientLine, "conf": fmt.Sprintf(conf, port, dir, s.Folder)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	s.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), path, "-D", "-e", "-f", filepath.Join(dir, "conf"))
	s.cmd.Stderr, s.cmd.SysProcAttr, s.ended = &s.log, debian.DieWithParent(), make(chan struct{})
	// Who is logged in holds the log open: it is not waited for.
	s.cmd.WaitDelay = time.Second
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go func() {
		defer close(s.ended)
		_ = s.cmd.Wait() // that it ended is what counts
	}()
	t.Cleanup(s.Stop)
	return s.await(t.Context())
}

// Stop ends the server before its test does; nobody new gets in.
func (s *Server) Stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-s.ended:
	case <-time.After(5 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
}

// Log is what the server has logged so far.
func (s *Server) Log() string { return s.log.String() }

// pair makes a key: PEM, and its public half as a line.
func pair() (private, public string, err error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", err
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		return "", "", err
	}
	line, err := ssh.NewPublicKey(pub)
	if err != nil {
		return "", "", err
	}
	return string(pem.EncodeToMemory(block)), string(ssh.MarshalAuthorizedKey(line)), nil
}

// await waits until the server greets.
func (s *Server) await(ctx context.Context) error {
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); {
		select {
		case <-s.ended:
			return fmt.Errorf("sshd ended\n%s", s.Log())
		case <-time.After(10 * time.Millisecond):
		}
		c, err := new(net.Dialer).DialContext(ctx, "tcp", s.Address)
		if err != nil {
			continue
		}
		_ = c.SetReadDeadline(time.Now().Add(2 * time.Second))
		hello := make([]byte, 4)
		_, err = c.Read(hello)
		_ = c.Close()
		if err == nil && string(hello) == "SSH-" {
			return nil
		}
	}
	return fmt.Errorf("sshd does not answer\n%s", s.Log())
}

// logged is a log that may be read while it is written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends.
func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String is all of it.
func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
