package sshd_test

import (
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/muster-hr/muster/libs/testkit/sshd"
)

// TestStart: the server takes its key and gives nothing but SFTP.
func TestStart(t *testing.T) {
	s := sshd.Start(t)
	host, _, _, _, err := ssh.ParseAuthorizedKey([]byte(s.HostKey))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParsePrivateKey([]byte(s.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	c, err := ssh.Dial("tcp", s.Address, &ssh.ClientConfig{User: s.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: ssh.FixedHostKey(host)})
	if err != nil {
		t.Fatalf("%v\n%s", err, s.Log())
	}
	defer c.Close()
	session, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if out, err := session.CombinedOutput("id"); err == nil || strings.Contains(string(out), "uid=") {
		t.Errorf("a shell command was run: %s", out)
	}
}
