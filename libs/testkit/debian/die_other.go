//go:build !linux

package debian

import "syscall"

// DieWithParent cannot be said here: a server ends with its test.
func DieWithParent() *syscall.SysProcAttr { return nil }
