//go:build !linux

package bus

func inMemory(string) bool { return false }

// Nothing is staged here.
func hold(string) error    { return nil }
func release(string) error { return nil }
func sweep() error         { return nil }
