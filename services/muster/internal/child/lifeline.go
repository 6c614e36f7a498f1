package child

import (
	"io"
	"os"
)

// lifelineEnv tells a child that its standard input is the lifeline, and not
// the terminal or nothing at all.
const lifelineEnv = "MUSTER_LIFELINE"

// Lifeline is held by a parent as long as its children may live.
type Lifeline struct{ read, write *os.File }

// NewLifeline makes one. Its ends are closed in children that do not get them.
func NewLifeline() (*Lifeline, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return &Lifeline{r, w}, nil
}

// Close ends every child that still runs.
func (l *Lifeline) Close() {
	_ = l.read.Close()  // pipes of our own: nothing is lost
	_ = l.write.Close() //
}

// Watch calls gone when the parent is gone. It returns at once, and does
// nothing in a program that was not started by [Start].
func Watch(getenv func(string) string, stdin io.Reader, gone func()) {
	if getenv(lifelineEnv) != "stdin" {
		return
	}
	go func() {
		_, _ = io.Copy(io.Discard, stdin) // nothing is ever sent: it ends with the parent
		gone()
	}()
}
