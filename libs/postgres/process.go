//go:build unix

package postgres

import (
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is a child that we wait for.
type process struct {
	pid  int
	done chan struct{} // closed when it has ended and been waited for
}

// spawn starts a child from a thread of its own. The kernel's "signal me when
// my parent dies" (see dieWithUs) means the thread that forked, not the
// process, so that thread must live as long as the child: the goroutine is
// locked to it and stays in Wait.
func spawn(cmd *exec.Cmd) (*process, error) {
	dieWithUs(cmd.SysProcAttr)
	p := &process{done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended stands in its log
		}
	}()
	return p, <-started
}

// signal reaches the child only: the number cannot have gone to another
// process before done is closed.
func (p *process) signal(sig syscall.Signal) error {
	select {
	case <-p.done:
		return nil
	default:
		return syscall.Kill(p.pid, sig)
	}
}

// stop signals the child and kills it if it has not ended in time.
func (p *process) stop(sig syscall.Signal, within time.Duration) {
	_ = p.signal(sig)
	select {
	case <-p.done:
	case <-time.After(within):
		_ = p.signal(syscall.SIGKILL)
		<-p.done
	}
}
