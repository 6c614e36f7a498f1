// Command muster is Muster's command line.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/muster-hr/muster/services/muster"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // a second signal kills at once
	}()
	os.Exit(muster.Run(ctx, muster.Env{Args: os.Args[1:], Getenv: os.Getenv, Stdout: os.Stdout, Stderr: os.Stderr}))
}
