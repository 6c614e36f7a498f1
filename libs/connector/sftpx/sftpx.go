// Package sftpx is the client that all connectors of files share: SFTP version 3
// (draft-ietf-secsh-filexfer-02, what OpenSSH speaks) over SSH, with the
// account's dial guard, a pinned host key, and errors that are faults.
//
// There is one session at a time: servers allow few, and some lock an account
// that opens many. Errors never hold the name of a file, which others chose, or
// a server's text.
package sftpx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/secret"
)

// Schemes are what base_url may begin with.
var Schemes = []string{"sftp"}

const (
	loginTimeout   = 30 * time.Second
	sessionTimeout = 10 * time.Minute // of everything that is done in one session
)

// Settings are those that every connector of files has.
func Settings() map[string]connector.Setting {
	return map[string]connector.Setting{
		"user":        {Kind: connector.SettingText, Required: true, Doc: "Name that we log in with."},
		"host_key":    {Kind: connector.SettingList, Required: true, Doc: "Host keys that the server may show, as `ssh-ed25519 AAAA…` or as fingerprint `SHA256:…`; two while one is being replaced. Any other stops the account."},
		"temporary":   {Kind: connector.SettingText, Default: ".part", Doc: "What the name of a file ends with while it is being uploaded; the receiver must not take such files."},
		"rename":      {Kind: connector.SettingText, Default: "plain", Words: []string{"plain", "posix", "none"}, Doc: "How an uploaded file gets its name: plain never overwrites; posix uses OpenSSH's extension, which does; none uploads under the final name, for servers that forbid renames."},
		"login_pause": {Kind: connector.SettingDuration, Default: 5 * time.Minute, Doc: "How long no login is tried after one was refused, so that our own account is not locked out."},
	}
}

// Secrets are those that every connector of files has: one of them, or both
// where the server asks for both.
func Secrets() map[string]connector.SecretUse {
	return map[string]connector.SecretUse{
		"private_key": {API: true, Optional: true, Doc: "Our private key as PEM text, without a passphrase."},
		"password":    {API: true, Optional: true, Doc: "Our password, where the server takes no keys."},
	}
}

// Client opens sessions of one account.
type Client struct {
	address   string
	config    ssh.ClientConfig
	dial      connector.Dial
	now       func() time.Time
	temporary string
	rename    string
	pause     time.Duration

	turn chan struct{} // held by the one session

	mu     sync.Mutex
	barred time.Time // until then no login is tried
	why    error
}

// New makes a client of an account; its settings and secrets are [Settings] and
// [Secrets].
func New(a connector.Account) (*Client, error) {
	c := &Client{
		dial: a.Dial, now: a.Now, temporary: a.Text("temporary"), rename: a.Text("rename"),
		pause: a.Duration("login_pause"), turn: make(chan struct{}, 1),
	}
	if c.dial == nil {
		c.dial = new(net.Dialer).DialContext
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.temporary == "" {
		c.temporary = ".part"
	}
	u, err := url.Parse(a.BaseURL)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "sftp":
		return nil, errors.New("base_url: write sftp://HOST or sftp://HOST:PORT")
	case u.Path != "" && u.Path != "/":
		return nil, errors.New("base_url: write the folder into its own setting, not into the address")
	case a.Text("user") == "":
		return nil, errors.New("user is missing")
	case strings.Contains(c.temporary, "/"):
		return nil, errors.New("temporary: a file is uploaded into its own folder, so this holds no slash")
	}
	port := u.Port()
	if port == "" {
		port = "22"
	}
	c.address = net.JoinHostPort(u.Hostname(), port)
	c.config = ssh.ClientConfig{User: a.Text("user"), ClientVersion: "SSH-2.0-Muster"}
	if err := c.pin(a.List("host_key")); err != nil {
		return nil, err
	}
	c.config.Auth, err = methods(a.Secrets["private_key"], a.Secrets["password"])
	return c, err
}

// methods are tried in this order: the key, then the password, typed in or
// asked for (RFC 4256).
func methods(key, password secret.Value) ([]ssh.AuthMethod, error) {
	var out []ssh.AuthMethod
	if !key.Empty() {
		signer, err := ssh.ParsePrivateKey([]byte(key.Reveal()))
		if _, locked := errors.AsType[*ssh.PassphraseMissingError](err); locked {
			return nil, errors.New("the secret private_key has a passphrase: take it off (`ssh-keygen -p`) and keep the key in your secret store")
		}
		if err != nil { // its text may quote the key
			return nil, errors.New("the secret private_key is not a private key in PEM form")
		}
		out = append(out, ssh.PublicKeys(signer))
	}
	if !password.Empty() {
		out = append(out, ssh.Password(password.Reveal()), ssh.KeyboardInteractive(
			func(_, _ string, questions []string, _ []bool) ([]string, error) {
				answers := make([]string, len(questions))
				for i := range answers {
					answers[i] = password.Reveal()
				}
				return answers, nil
			}))
	}
	if len(out) == 0 {
		return nil, errors.New("there is no secret to log in with: private_key or password")
	}
	return out, nil
}

// pin lets only these host keys pass.
func (c *Client) pin(pinned []string) error {
	var keys [][]byte
	prints := map[string]bool{}
	for _, text := range pinned {
		if strings.HasPrefix(text, "SHA256:") {
			prints[strings.TrimRight(text, "=")] = true
			continue
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text))
		if err != nil {
			return errors.New("host_key: write `ssh-ed25519 AAAA…`, as `ssh-keyscan HOST` prints it behind the host's name, or its fingerprint `SHA256:…`")
		}
		keys = append(keys, key.Marshal())
		c.config.HostKeyAlgorithms = append(c.config.HostKeyAlgorithms, algorithms(key.Type())...)
	}
	if len(keys)+len(prints) == 0 {
		return errors.New("host_key is missing: no server is trusted at first sight")
	}
	if len(prints) > 0 { // they do not say of what kind their key is
		c.config.HostKeyAlgorithms = nil
	}
	c.config.HostKeyCallback = func(_ string, _ net.Addr, shown ssh.PublicKey) error {
		for _, k := range keys {
			if bytes.Equal(k, shown.Marshal()) {
				return nil
			}
		}
		if prints[ssh.FingerprintSHA256(shown)] {
			return nil
		}
		return errHostKey
	}
	return nil
}

// algorithms are the signatures that a kind of host key may make; SHA-1 is not
// among them.
func algorithms(kind string) []string {
	if kind == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{kind}
}

// With opens a session, works in it and closes it. Others wait meanwhile.
// Errors are faults.
func (c *Client) With(ctx context.Context, work func(*Session) error) error {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return classify(ctx, "wait", ctx.Err())
	}
	defer func() { <-c.turn }()
	if err := c.refused(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sessionTimeout)
	defer cancel()
	s, err := c.login(ctx)
	c.judge(err)
	if err != nil {
		return err
	}
	defer s.close()
	return work(s)
}

// refused is the reason why no login is tried now.
func (c *Client) refused() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why != nil && c.now().Before(c.barred) {
		return c.why
	}
	return nil
}

func (c *Client) judge(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.why = nil
	if f := fault.Of(err); f != nil && f.Reason == ReasonAuth {
		c.why, c.barred = err, c.now().Add(c.pause)
	}
}

// login connects, proves both sides to each other and starts SFTP.
func (c *Client) login(ctx context.Context) (*Session, error) {
	s := &Session{client: c, ctx: ctx}
	err := s.call("login", func() error {
		inTime, cancel := context.WithTimeout(ctx, loginTimeout)
		defer cancel()
		raw, err := c.dial(inTime, "tcp", c.address)
		if err != nil {
			return err
		}
		stop := context.AfterFunc(inTime, func() { _ = raw.Close() })
		defer stop()
		config := c.config
		conn, channels, requests, err := ssh.NewClientConn(raw, c.address, &config)
		if err != nil {
			_ = raw.Close() // the first error counts
			return inTimeOr(inTime, err)
		}
		client := ssh.NewClient(conn, channels, requests)
		// Sequential writes leave no holes, and a server may hand out a file once.
		files, err := sftp.NewClient(client, sftp.UseFstat(true))
		if err != nil {
			_ = client.Close()
			return inTimeOr(inTime, fmt.Errorf("%w: %w", errSubsystem, err))
		}
		s.raw, s.ssh, s.files = raw, client, files
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// inTimeOr says that the time is over, where that is why err came.
func inTimeOr(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ctx.Err()
	}
	return err
}
