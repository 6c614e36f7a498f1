package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Why a program could not do its work, for its exit code.
var (
	// ErrConfig: settings or the company's folder are invalid. Exit code 2.
	ErrConfig = errors.New("invalid configuration")
	// ErrEnvironment: something around the program is missing, the broker, a
	// port, a folder. Exit code 3.
	ErrEnvironment = errors.New("environment")
)

// Exit codes of every program.
const (
	ExitDone        = 0
	ExitFailed      = 1
	ExitConfig      = 2
	ExitEnvironment = 3
)

// ExitCode is the exit code that an error asks for.
func ExitCode(err error) int {
	switch {
	case err == nil:
		return ExitDone
	case errors.Is(err, ErrConfig):
		return ExitConfig
	case errors.Is(err, ErrEnvironment):
		return ExitEnvironment
	}
	return ExitFailed
}

// Main is the whole main function of a service. It runs until SIGINT or
// SIGTERM and never returns; a second signal kills at once.
func Main(name string, run func(context.Context, Host) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop()
	}()
	err := run(ctx, Host{Getenv: os.Getenv, Stdout: os.Stdout})
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
	}
	os.Exit(ExitCode(err))
}
