package up

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/service"
)

// Addresses is addresses.json: where everything of a running Muster is.
type Addresses struct {
	Version       int                `json:"version"`
	PID           int                `json:"pid"`
	Ingress       string             `json:"ingress"`
	Console       string             `json:"console"`
	Sandbox       string             `json:"sandbox,omitempty"`
	Doors         map[string]string  `json:"doors,omitempty"` // HOST:PORT of the fakes that do not speak HTTP
	NATS          NATS               `json:"nats"`
	Postgres      string             `json:"postgres"`
	APIToken      string             `json:"api_token"`
	ApproverToken string             `json:"approver_token"`
	Services      map[string]Service `json:"services"`
	Sources       map[string]Source  `json:"sources"`
}

// NATS is the broker; PID is 0 when it is no child of ours. NKeys are seed files.
type NATS struct {
	URL   string            `json:"url"`
	PID   int               `json:"pid"`
	NKeys map[string]string `json:"nkeys"`
}

// Service is where one service answers.
type Service struct {
	URL string `json:"url"`
	PID int    `json:"pid"`
}

// Source is where a vendor pushes to; Secret only with the sandbox.
type Source struct {
	Webhook string `json:"webhook"`
	Secret  string `json:"secret,omitempty"`
}

// publishAddresses tells everybody where everything is.
func (s *System) publishAddresses(context.Context) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	a := s.Addresses
	urls := s.urls.all()
	a.Version, a.PID = 1, os.Getpid()
	a.Ingress, a.Console, a.Sandbox = urls["ingress"], urls["console"], urls["sandbox"]
	a.Postgres = s.env["MUSTER_DATABASE_URL"]
	if s.Sandbox {
		doors, err := config.ParseDoors(s.env["MUSTER_SANDBOX_DOORS"])
		if err != nil {
			return err
		}
		a.Doors = doors
	}
	a.Sources = map[string]Source{}
	for _, name := range s.Company.SourceNames() {
		src := s.Company.Sources[name]
		if !src.Webhook {
			continue
		}
		where := Source{Webhook: a.Ingress + "/webhooks/" + name}
		if s.Sandbox {
			where.Secret = config.SandboxSecret(src.SandboxName(), "webhook").Reveal()
		}
		a.Sources[name] = where
	}
	s.Addresses = a
	s.published = true
	return s.writeAddresses()
}

// writeAddresses writes the files with the numbers of the present processes.
// The caller holds s.writing.
func (s *System) writeAddresses() error {
	a := s.Addresses
	a.NATS.PID = s.pids.of(brokerName)
	a.Services = map[string]Service{}
	for name, url := range s.urls.all() {
		pid := a.PID
		if s.Program != "" {
			pid = s.pids.of(name)
		}
		a.Services[name] = Service{url, pid}
	}
	b, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return err
	}
	for _, path := range s.addressFiles() {
		if err := writeAtomic(path, append(b, '\n')); err != nil {
			return err
		}
	}
	return nil
}

func (s *System) addressFiles() []string {
	files := []string{filepath.Join(s.Data, "addresses.json")}
	if s.AddressesFile != "" {
		files = append(files, s.AddressesFile)
	}
	return files
}

// removeAddresses takes the files away: nobody shall find what is not there.
func (s *System) removeAddresses() {
	if s.lock == nil {
		return // another Muster's files
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	s.published = false
	for _, path := range s.addressFiles() {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.log.Warn("addresses could not be removed", "err", err)
		}
	}
}

// ReadAddresses finds a running Muster by its data folder.
func ReadAddresses(data string) (Addresses, error) {
	var a Addresses
	b, err := os.ReadFile(filepath.Join(data, "addresses.json"))
	if errors.Is(err, os.ErrNotExist) {
		return a, fmt.Errorf("%w: no Muster runs on %s: start one with `muster up`, or name its folder with --data", service.ErrEnvironment, data)
	}
	if err != nil {
		return a, fmt.Errorf("%w: %w", service.ErrEnvironment, err)
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return a, fmt.Errorf("%w: %s/addresses.json: %w", service.ErrEnvironment, data, err)
	}
	return a, nil
}
