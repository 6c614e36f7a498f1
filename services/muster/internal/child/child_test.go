package child

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain is also the child: CHILD says how it behaves.
func TestMain(m *testing.M) {
	switch how := os.Getenv("CHILD"); how {
	case "":
		os.Exit(m.Run())
	case "parent": // starts a child, tells its number, and hangs
		l, _ := NewLifeline()
		_, err := Start(spec(l, "sleep", func(pid int) { _, _ = os.Stdout.WriteString(strconv.Itoa(pid) + "\n") }))
		if err != nil {
			os.Exit(9)
		}
		select {}
	case "sleep":
		Watch(os.Getenv, os.Stdin, func() { os.Exit(1) })
		time.Sleep(time.Minute)
	case "deaf":
		ignoreSignals()
		_, _ = os.Stdout.WriteString("deaf\n")
		time.Sleep(time.Minute)
	default:
		code, _ := strconv.Atoi(how)
		os.Exit(code)
	}
}

func spec(l *Lifeline, how string, started func(int)) Spec {
	return Spec{
		Name: "it", Path: os.Args[0], Env: append(os.Environ(), "CHILD="+how), Lifeline: l,
		Log: slog.New(slog.DiscardHandler), Started: started,
	}
}

func lifeline(t *testing.T) *Lifeline {
	t.Helper()
	l, err := NewLifeline()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func next(t *testing.T, pids <-chan int) int {
	t.Helper()
	select {
	case pid := <-pids:
		return pid
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was started")
		return 0
	}
}

func TestKilledChildIsStartedAgain(t *testing.T) {
	pids := make(chan int, 8)
	c, err := Start(spec(lifeline(t), "sleep", func(pid int) { pids <- pid }))
	if err != nil {
		t.Fatal(err)
	}
	first := next(t, pids)
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := next(t, pids)
	if second == first {
		t.Error("the same process was told twice")
	}
	if err := c.Stop(within(t, 10*time.Second)); err != nil {
		t.Error(err)
	}
	if syscall.Kill(second, 0) == nil {
		t.Error("it still runs after Stop")
	}
	if err := c.Stop(within(t, time.Second)); err != nil {
		t.Errorf("a second Stop: %v", err)
	}
	select {
	case pid := <-pids:
		t.Errorf("process %d was started after Stop", pid)
	case <-time.After(3 * firstPause):
	}
}

func TestFinalExitCodeIsNotTriedAgain(t *testing.T) {
	s := spec(lifeline(t), "2", nil)
	failed := make(chan error, 2)
	starts := 0
	s.Started = func(int) { starts++ }
	s.Final, s.Failed = func(code int) bool { return code == 2 }, func(err error) { failed <- err }
	c, err := Start(s)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-failed:
		if !strings.Contains(err.Error(), "exit code 2") {
			t.Errorf("told %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nobody was told")
	}
	if err := c.Stop(within(t, time.Second)); err != nil {
		t.Error(err)
	}
	if starts != 1 {
		t.Errorf("%d starts", starts)
	}
}

func TestOtherExitCodesAreTriedAgainWithAPause(t *testing.T) {
	pids := make(chan int, 64)
	s := spec(lifeline(t), "3", func(pid int) { pids <- pid })
	s.Final = func(code int) bool { return code == 2 }
	c, err := Start(s)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for range 3 {
		next(t, pids)
	}
	if d := time.Since(begin); d < firstPause+2*firstPause {
		t.Errorf("three starts within %s: no pause that grows", d)
	}
	if err := c.Stop(within(t, 10*time.Second)); err != nil && !strings.Contains(err.Error(), "exit status 3") {
		t.Error(err)
	}
}

func TestOneThatDoesNotStopIsKilled(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := spec(lifeline(t), "deaf", nil)
	s.Output = w
	c, err := Start(s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 5)); err != nil { // it is deaf from now on
		t.Fatal(err)
	}
	err = c.Stop(within(t, 50*time.Millisecond))
	if err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("Stop said %v", err)
	}
	if syscall.Kill(c.cmd.Process.Pid, 0) == nil {
		t.Error("it still runs")
	}
}

// TestNoOrphans kills the parent: its child must be gone too.
func TestNoOrphans(t *testing.T) {
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), "CHILD=parent")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 32)
	n, err := out.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	for deadline := time.Now().Add(10 * time.Second); runs(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatal("the child outlived its parent")
		}
	}
}

// runs tells whether a process is alive: one that nobody has waited for yet is not.
func runs(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || !strings.Contains(string(b), ") Z ")
}

func ignoreSignals() { signal.Ignore(syscall.SIGTERM) }
