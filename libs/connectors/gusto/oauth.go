package gusto

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/httpx"
	"github.com/muster-hr/muster/libs/fault"
)

const tokenPath = "/oauth/token"

// credential is the access token in use. A refresh gives a new refresh token
// too, and the old one is used up; the pair is kept in a file, if one is named.
type credential struct {
	clientID, clientSecret string
	canRefresh             bool
	from                   string // digest of the refresh token that is configured
	file                   string
	log                    *slog.Logger

	renewing sync.Mutex
	mu       sync.Mutex // of access
	access   string
	refresh  string // read and written while renewing only
}

// tokens are what the file holds, and what Gusto answers. From, in the file
// alone, is the configured token that they came from: when the company was
// connected again there is another, and the file's are of no use any more.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	From    string `json:"from,omitempty"`
}

func newCredential(a connector.Account) *credential {
	c := &credential{
		clientID: a.Secrets["client_id"].Reveal(), clientSecret: a.Secrets["client_secret"].Reveal(),
		access: a.Secrets["token"].Reveal(), refresh: a.Secrets["refresh_token"].Reveal(),
		file: a.Text("token_file"), log: cmp.Or(a.Log, slog.New(slog.DiscardHandler)),
	}
	if a.Dry {
		c.file = ""
	}
	c.canRefresh, c.from = c.refresh != "", hash([]byte(c.refresh))
	c.adopt()
	return c
}

// adopt takes over the tokens in the file, if they came from the configured one
// and are others than those in use.
func (c *credential) adopt() bool {
	kept, err := c.load()
	if err != nil || !c.renews() || kept.Refresh == "" || kept.Refresh == c.refresh || kept.From != "" && kept.From != c.from {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.access, c.refresh = kept.Access, kept.Refresh
	return true
}

func (c *credential) renews() bool {
	return c.clientID != "" && c.clientSecret != "" && c.canRefresh
}

func (c *credential) current() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.access
}

// renew exchanges the refresh token, unless another call did so since the
// refused one was sent. A refresh that Gusto refuses may have been made by
// another process, which then left its tokens in the file; else it stops the
// account: a person has to connect it again.
func (c *credential) renew(ctx context.Context, h *httpx.Client, refused string) error {
	c.renewing.Lock() // one at a time: a refresh token is used up by the first
	defer c.renewing.Unlock()
	if c.current() != refused {
		return nil
	}
	a, err := h.Do(ctx, httpx.Call{
		Method: http.MethodPost, Path: tokenPath, Template: tokenPath,
		JSON: map[string]string{
			"client_id": c.clientID, "client_secret": c.clientSecret, "refresh_token": c.refresh, "grant_type": "refresh_token",
		},
	})
	if err != nil {
		if f := fault.Of(err); f.Class == fault.Record || f.Reason == "auth" {
			if c.adopt() {
				return nil
			}
			return fault.New(fault.Target, "auth", "the refresh token was refused: the company has to be connected again")
		}
		return err
	}
	var got tokens
	if err := a.Decode(&got); err != nil {
		return err
	}
	if got.Access == "" {
		return fault.New(fault.Target, "auth", "the refresh gave no access token")
	}
	c.mu.Lock()
	c.access, c.refresh = got.Access, cmp.Or(got.Refresh, c.refresh)
	c.mu.Unlock()
	if err := c.save(); err != nil {
		c.log.ErrorContext(ctx, "the renewed tokens could not be kept: after a restart the company may have to be connected again", "err", err)
	}
	return nil
}

func (c *credential) load() (tokens, error) {
	var t tokens
	if c.file == "" {
		return t, nil
	}
	b, err := os.ReadFile(c.file)
	if err == nil {
		err = json.Unmarshal(b, &t)
	}
	return t, err
}

func (c *credential) save() error {
	if c.file == "" {
		return nil
	}
	b, err := json.Marshal(tokens{c.access, c.refresh, c.from})
	if err != nil {
		return err
	}
	return writePrivate(c.file, b)
}

// writePrivate replaces a file that only we may read, whole or not at all.
func writePrivate(file string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".gusto-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(file), err)
	}
	_, err = f.Write(b)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
