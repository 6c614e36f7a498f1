package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// Why a program could not do its work, for its exit code.
var (
	// ErrConfig: settings or the company's folder are invalid. Exit code 2.
	ErrConfig = errors.New("invalid configuration")
	// ErrEnvironment: something around the program is missing, the broker, a
	// port, a folder. Exit code 3.
	ErrEnvironment = errors.New("environment")
	// ErrCalledOff: it was told to stop before its work had begun, so there was
	// nothing to drain. Exit code 0.
	ErrCalledOff = errors.New("told to stop while starting")
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
	case err == nil, errors.Is(err, ErrCalledOff):
		return ExitDone
	case errors.Is(err, ErrConfig):
		return ExitConfig
	case errors.Is(err, ErrEnvironment):
		return ExitEnvironment
	}
	return ExitFailed
}

// Main is the whole main function of a service. It runs until SIGINT or
// SIGTERM and never returns; a second signal kills at once. With the argument
// `ready` it asks the same program that runs beside it whether it is ready, for
// containers that have no other program to ask with.
func Main(name string, run func(context.Context, Host) error) {
	if len(os.Args) == 2 && os.Args[1] == "ready" {
		err := askReady(name, os.Getenv)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		}
		os.Exit(ExitCode(err))
	}
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

// askReady asks the service on this machine by the address it was given.
func askReady(name string, getenv func(string) string) error {
	kind, _, _ := strings.Cut(name, "-") // delivery-okta is a delivery
	variable := "MUSTER_" + strings.ToUpper(kind) + "_ADDR"
	host, port, err := net.SplitHostPort(getenv(variable))
	if err != nil || port == "0" {
		return fmt.Errorf("%w: %s names no port to ask at", ErrConfig, variable)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() { // it listens on all
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout+time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // the status says it
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %d", resp.StatusCode)
	}
	return nil
}
