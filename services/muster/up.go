package muster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/service"
	"github.com/muster-hr/muster/services/muster/internal/demo"
	"github.com/muster-hr/muster/services/muster/internal/up"
)

func (o *output) up() *cobra.Command {
	var dir, data, addresses string
	var sandbox, processes bool
	c := &cobra.Command{
		Use: "up", Short: "Start every service, in one process or each in its own", Args: maximum(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			company, err := load(dir)
			if err != nil {
				return err
			}
			options := up.Options{Company: company, Data: data, Sandbox: sandbox, AddressesFile: addresses, Getenv: o.Getenv, Log: o.Stderr}
			if processes {
				if options.Program, err = os.Executable(); err != nil {
					return fmt.Errorf("%w: %w", service.ErrEnvironment, err)
				}
			}
			s, err := up.Start(cmd.Context(), options)
			if err != nil {
				return err
			}
			if !o.quiet {
				_, _ = fmt.Fprintf(o.Stdout, "muster is up: webhooks at %s/webhooks/{source}, console at %s\n", s.Addresses.Ingress, s.Addresses.Console) // the services run all the same
			}
			return stay(cmd.Context(), s)
		},
	}
	c.Flags().StringVar(&dir, "config", "deploy/acme", "the company's folder")
	c.Flags().StringVar(&data, "data", ".muster", "folder for keys, streams and the database")
	c.Flags().BoolVar(&sandbox, "sandbox", false, "use fakes instead of the vendors")
	c.Flags().BoolVar(&processes, "processes", false, "run each service and the broker as a process of its own, which is started again when it ends")
	c.Flags().StringVar(&addresses, "addresses", "", "write the addresses to this file too")
	return c
}

// stay waits for the end: a signal, which is a good one, or a service's failure.
func stay(ctx context.Context, s *up.System) error {
	select {
	case <-ctx.Done():
		return s.Stop()
	case err := <-s.Failed():
		if stopErr := s.Stop(); stopErr != nil {
			return fmt.Errorf("%w (and while stopping: %w)", err, stopErr)
		}
		return err
	}
}

func (o *output) demo() *cobra.Command {
	var dir, data string
	var keep bool
	c := &cobra.Command{
		Use: "demo", Short: "Start everything with fakes, play one hire end to end, show what each system received", Args: maximum(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.playDemo(cmd.Context(), dir, data, keep) },
	}
	c.Flags().StringVar(&dir, "config", "deploy/acme", "the company's folder")
	c.Flags().StringVar(&data, "data", "", "data folder, emptied of an earlier demo; default a fresh one, which is removed afterwards unless something failed")
	c.Flags().BoolVar(&keep, "keep", false, "stay up after the scenario")
	return c
}

func (o *output) playDemo(ctx context.Context, dir, data string, keep bool) error {
	company, err := load(dir)
	if err != nil {
		return err
	}
	fresh := data == ""
	if fresh {
		if data, err = os.MkdirTemp("", "muster-demo-"); err != nil {
			return fmt.Errorf("%w: %w", service.ErrEnvironment, err)
		}
	}
	if err := up.DemoFolder(data); err != nil {
		return err
	}
	log, err := openLog(data)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()                              // every line was written
	if err := o.playIn(ctx, company, data, log, keep); err != nil { // the folder stays: it holds why
		return fmt.Errorf("%w; the log is %s", err, filepath.Join(data, logFile))
	}
	if fresh {
		_ = os.RemoveAll(data) // a temporary folder
	}
	return nil
}

var errCalledOff = errors.New("the demo was stopped before it could be played")

func (o *output) playIn(ctx context.Context, company *config.Company, data string, log io.Writer, keep bool) error {
	s, err := up.Start(ctx, up.Options{Company: company, Data: data, Sandbox: true, Getenv: o.Getenv, Log: log})
	if errors.Is(err, service.ErrCalledOff) { // no success: nothing was seen
		return errCalledOff
	}
	if err != nil {
		return err
	}
	where := demo.Where{
		Sandbox: s.Addresses.Sandbox, Console: s.Addresses.Console, Postgres: s.Addresses.Postgres,
		NATS: s.Addresses.NATS.URL, TeamSeed: s.Addresses.NATS.NKeys["team-bi"],
	}
	result, err := demo.Play(ctx, where, demo.Person{Given: "Zofia", Family: "Wiśniewska-O'Brien", Salary: "91234.56"})
	if err != nil {
		return join(err, s.Stop())
	}
	if err := demo.Print(o.Stdout, where, result); err != nil {
		return join(err, s.Stop())
	}
	if !result.OK() {
		return join(fmt.Errorf("not every expected effect was seen"), s.Stop())
	}
	if !keep {
		return s.Stop()
	}
	o.addresses(s)
	return stay(ctx, s)
}

func (o *output) addresses(s *up.System) {
	a := s.Addresses
	_, _ = fmt.Fprintf(o.Stdout, "console   %s   (token %s)\nwebhooks  %s/webhooks/{source}\nsandbox   %s\nlogs      %s\nstop with Ctrl-C\n", // the services run all the same
		a.Console, a.APIToken, a.Ingress, a.Sandbox, filepath.Join(s.Data, logFile))
}

const logFile = "muster.log"

func openLog(data string) (io.WriteCloser, error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w", service.ErrEnvironment, err)
	}
	f, err := os.OpenFile(filepath.Join(data, logFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", service.ErrEnvironment, err)
	}
	return f, nil
}

func join(first, second error) error {
	if second == nil {
		return first
	}
	return fmt.Errorf("%w (and while stopping: %w)", first, second)
}
