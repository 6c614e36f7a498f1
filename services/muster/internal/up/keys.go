package up

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/muster-hr/muster/libs/bus"
	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/seal"
	"github.com/muster-hr/muster/libs/service"
)

// users lists everybody on the bus: the admin, each service, each team.
func (s *System) users() []string {
	users := []string{bus.UserAdmin, "ingress", "poller", "transform", "audit", "console"}
	for _, t := range s.Company.TargetNames() {
		users = append(users, "delivery-"+t)
	}
	for _, team := range s.teams() {
		users = append(users, "team-"+team)
	}
	return users
}

// teams are the downstream teams with a stream of their own.
func (s *System) teams() []string {
	var teams []string
	for _, name := range s.Company.TargetNames() {
		if team := teamOf(s.Company.Targets[name]); team != "" {
			teams = append(teams, team)
		}
	}
	return teams
}

// teamOf is the team that a target serves, "" if it is a vendor's account.
func teamOf(t *config.Target) string {
	team, _ := t.Settings["team"].(string)
	if t.Connector != "nats" {
		return ""
	}
	return team
}

// tokenFiles are the files of the API tokens by the variable that names another.
var tokenFiles = map[string]string{"MUSTER_API_TOKEN": "api.token", "MUSTER_APPROVER_TOKEN": "approver.token"}

// keys makes the master key, the users' seeds and the API tokens on the first
// start and reads them on every other.
func (s *System) keys(context.Context) error {
	if err := s.masterKey(); err != nil {
		return err
	}
	if err := s.userSeeds(); err != nil {
		return err
	}
	return s.tokens()
}

func (s *System) masterKey() error {
	s.env["MUSTER_MASTER_KEY"] = s.Getenv("MUSTER_MASTER_KEY")
	if s.env["MUSTER_MASTER_KEY"] == "" {
		path := filepath.Join(s.Data, "master.key")
		if _, err := kept(path, func() (string, error) { return seal.NewMaster().Reveal(), nil }); err != nil {
			return err
		}
		s.env["MUSTER_MASTER_KEY"] = "file:" + path
	}
	return nil
}

// userSeeds makes or reads the seed of each user, which is all that a broker needs.
func (s *System) userSeeds() error {
	s.seeds = map[string]string{}
	s.Addresses.NATS.NKeys = map[string]string{}
	for _, user := range s.users() {
		path := filepath.Join(s.Data, "nkeys", user+".nk")
		seed, err := kept(path, func() (string, error) {
			seed, _, err := bus.NewUser(user)
			return seed, err
		})
		if err != nil {
			return err
		}
		s.seeds[user] = seed
		if user == bus.UserAdmin || strings.HasPrefix(user, "team-") {
			s.Addresses.NATS.NKeys[user] = path
		}
	}
	return nil
}

// tokens makes or reads the API tokens that are not set by hand. Here they are
// the tokens themselves, also where a reference names them: clients read them
// from addresses.json.
func (s *System) tokens() error {
	e := service.NewEnv(s.Getenv)
	for variable, file := range tokenFiles {
		token := e.Token(variable).Reveal()
		if s.Getenv(variable) == "" {
			var err error
			if token, err = kept(filepath.Join(s.Data, file), randomToken); err != nil {
				return err
			}
		}
		s.env[variable] = token
	}
	if err := e.Err(); err != nil {
		return err
	}
	s.Addresses.APIToken, s.Addresses.ApproverToken = s.env["MUSTER_API_TOKEN"], s.env["MUSTER_APPROVER_TOKEN"]
	return nil
}

func randomToken() (string, error) {
	b := make([]byte, 24)
	_, err := rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b), err
}

// kept reads a secret file or makes it, readable by its owner alone.
func kept(path string, make func() (string, error)) (string, error) {
	b, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(b)), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("%w: %w", service.ErrEnvironment, err)
	}
	v, err := make()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("%w: %w", service.ErrEnvironment, err)
	}
	return v, writeAtomic(path, []byte(v+"\n"))
}

// writeAtomic replaces a file whole or not at all.
func writeAtomic(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("%w: %w", service.ErrEnvironment, err)
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the error that matters is the first
		return fmt.Errorf("%w: write %s: %w", service.ErrEnvironment, path, err)
	}
	return nil
}
