package muster

import (
	"context"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/muster-hr/muster/libs/service"
	"github.com/muster-hr/muster/services/audit"
	"github.com/muster-hr/muster/services/console"
	"github.com/muster-hr/muster/services/delivery"
	"github.com/muster-hr/muster/services/ingress"
	"github.com/muster-hr/muster/services/muster/internal/child"
	"github.com/muster-hr/muster/services/muster/internal/up"
	"github.com/muster-hr/muster/services/poller"
	"github.com/muster-hr/muster/services/sandbox"
	"github.com/muster-hr/muster/services/transform"
)

// services are what `muster service` can run: the same as the programs of the
// same names, so that one file is enough for `muster up --processes`.
var services = map[string]func(context.Context, service.Host) error{
	ingress.Name: ingress.Run, poller.Name: poller.Run, transform.Name: transform.Run, "delivery": delivery.Run,
	audit.Name: audit.Run, console.Name: console.Run, sandbox.Name: sandbox.Run,
}

// service is how `muster up --processes` starts each service.
func (o *output) service() *cobra.Command {
	var target string
	c := &cobra.Command{
		Use: "service NAME", Short: "Run one service", Hidden: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || services[args[0]] == nil {
				return usage("muster service NAME: name one service")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.watchParent()
			getenv := func(name string) string {
				if name == "MUSTER_TARGET" && target != "" {
					return target
				}
				return o.Getenv(name)
			}
			return services[args[0]](cmd.Context(), service.Host{Getenv: getenv, Stdout: o.Stdout})
		},
	}
	c.Flags().StringVar(&target, "target", "", "the target to deliver to; default MUSTER_TARGET")
	return c
}

// broker is how `muster up --processes` starts the broker.
func (o *output) broker() *cobra.Command {
	var dir, data string
	c := &cobra.Command{
		Use: "broker", Short: "Run the embedded broker", Hidden: true, Args: maximum(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.watchParent()
			company, err := load(dir)
			if err != nil {
				return err
			}
			return up.Broker(cmd.Context(), up.Options{Company: company, Data: data, Getenv: o.Getenv, Log: o.Stdout})
		},
	}
	c.Flags().StringVar(&dir, "config", "deploy/acme", "the company's folder")
	c.Flags().StringVar(&data, "data", ".muster", "folder for keys and streams")
	return c
}

// prepare is for programs that are not started by `muster up`: the compose file
// runs it once before the broker, and once with it.
func (o *output) prepare() *cobra.Command {
	var dir, data, store string
	var owner int
	var streams bool
	c := &cobra.Command{
		Use: "prepare", Short: "Make the keys and the broker's configuration, or the streams", Hidden: true, Args: maximum(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			company, err := load(dir)
			if err != nil {
				return err
			}
			if data, err = filepath.Abs(data); err != nil {
				return err
			}
			options := up.Options{Company: company, Data: data, Getenv: o.Getenv, Log: o.Stderr}
			if streams {
				return up.Streams(cmd.Context(), options)
			}
			return up.Prepare(cmd.Context(), options, store, owner)
		},
	}
	c.Flags().StringVar(&dir, "config", "deploy/acme", "the company's folder")
	c.Flags().StringVar(&data, "data", ".muster", "folder for keys and tokens")
	c.Flags().StringVar(&store, "store", "/jetstream", "the broker's own folder for its streams")
	c.Flags().IntVar(&owner, "owner", -1, "number of the user who shall own the files; -1: who makes them")
	c.Flags().BoolVar(&streams, "streams", false, "make the streams on MUSTER_NATS_URL")
	return c
}

// watchParent ends this process when the one that started it is gone, as that
// one ended: at once. Whoever starts next finds nobody in the way.
func (o *output) watchParent() {
	child.Watch(o.Getenv, os.Stdin, func() { os.Exit(service.ExitFailed) })
}
