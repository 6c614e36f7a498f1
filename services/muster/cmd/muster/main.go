// Command muster is Muster's command line.
package main

import (
	"context"
	"fmt"
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
	if addr := os.Getenv("MUSTER_PPROF_ADDR"); addr != "" {
		if err := profile(addr); err != nil {
			fmt.Fprintln(os.Stderr, "muster:", err)
			os.Exit(2)
		}
	}
	os.Exit(muster.Run(ctx, muster.Env{Args: os.Args[1:], Getenv: os.Getenv, Stdout: os.Stdout, Stderr: os.Stderr}))
}
