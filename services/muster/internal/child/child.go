// Package child keeps other programs running as children of this one: one that
// ends, however it ends, is started again until it is told to stop, and none
// outlives us.
//
// The lifeline is a pipe whose writing end only we hold. It is every child's
// standard input: when we are gone, even by kill -9, the kernel closes it and
// each child ends at once (see [Watch]). Unlike the signal that Linux can send
// at a parent's death it works on every system and does not hang on the thread
// that started the child.
package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Spec says what to run.
type Spec struct {
	Name     string // as it is called in errors and logs
	Path     string // the program
	Args     []string
	Env      []string  // the whole environment, NAME=value
	Output   io.Writer // standard output and error; a file is handed on as it is
	Lifeline *Lifeline
	Log      *slog.Logger

	Started func(pid int)       // told each process, from the first on; must not call the Child
	Final   func(code int) bool // tells whether this exit code is for good: trying again would end the same way
	Failed  func(error)         // told once if it is for good
}

// A child that ends is started again after firstPause, twice that if it ends
// soon again, at most maxPause. One that ran for calm starts at firstPause.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 5 * time.Second
	calm       = 10 * time.Second
)

// Child is a program that is kept running.
type Child struct {
	spec Spec

	mu       sync.Mutex
	cmd      *exec.Cmd // the present or the last process
	stopping bool

	stop chan struct{} // closed by Stop
	done chan struct{} // closed when nothing runs and nothing will
	err  error         // how the last process ended after it was told to stop; read after done
}

// Start starts the program and keeps it running until Stop.
func Start(s Spec) (*Child, error) {
	c := &Child{spec: s, stop: make(chan struct{}), done: make(chan struct{})}
	if err := c.spawn(); err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	go c.keep()
	return c, nil
}

var errStopping = errors.New("stopping")

func (c *Child) spawn() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopping {
		return errStopping
	}
	cmd := exec.CommandContext(context.Background(), c.spec.Path, c.spec.Args...) // Stop ends it, in its own way
	cmd.Env = append(c.spec.Env, lifelineEnv+"=stdin")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.spec.Lifeline.read, c.spec.Output, c.spec.Output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us: we stop them in order
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return err
	}
	c.cmd = cmd
	if c.spec.Started != nil {
		c.spec.Started(cmd.Process.Pid)
	}
	return nil
}

// keep waits for the process and starts the next.
func (c *Child) keep() {
	defer close(c.done)
	pause := firstPause
	for {
		began := time.Now()
		err := c.cmd.Wait() // nobody else changes cmd
		if c.stopped() {
			c.err = ended(err)
			return
		}
		if code := c.cmd.ProcessState.ExitCode(); c.spec.Final != nil && c.spec.Final(code) {
			c.spec.Failed(fmt.Errorf("%s ended with exit code %d; its log says why", c.spec.Name, code))
			return
		}
		if time.Since(began) >= calm {
			pause = firstPause
		}
		c.spec.Log.Warn("a process ended and is started again", "process", c.spec.Name, "how", c.cmd.ProcessState.String(), "pause", pause.String())
		for {
			select {
			case <-c.stop:
				return
			case <-time.After(pause):
			}
			pause = min(2*pause, maxPause)
			err := c.spawn()
			if errors.Is(err, errStopping) {
				return
			}
			if err == nil {
				break
			}
			c.spec.Log.Error("a process could not be started", "process", c.spec.Name, "err", err)
		}
	}
}

func (c *Child) stopped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopping
}

// ended is nil for a process that ended well, or by the signal to stop before
// it could listen to it.
func ended(err error) error {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGTERM {
			return nil
		}
	}
	return err
}

// Stop tells the process to end and waits until it has. When ctx ends first it
// is killed, which is an error. Nothing is started any more. Safe twice.
func (c *Child) Stop(ctx context.Context) error {
	c.mu.Lock()
	if !c.stopping {
		c.stopping = true
		close(c.stop)
	}
	process := c.cmd.Process
	c.mu.Unlock()
	_ = process.Signal(syscall.SIGTERM) // it has ended already
	select {
	case <-c.done:
		if c.err != nil {
			return fmt.Errorf("stop %s: %w", c.spec.Name, c.err)
		}
		return nil
	case <-ctx.Done():
		_ = process.Kill() // it has ended just now
		<-c.done
		return fmt.Errorf("stop %s: it did not end in time and was killed", c.spec.Name)
	}
}
