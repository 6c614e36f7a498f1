//go:build !linux

package slapd

import "syscall"

// dieWithParent cannot be said here: the server ends with the test.
func dieWithParent() *syscall.SysProcAttr { return nil }
