//go:build unix && !linux

package postgres

import "syscall"

// dieWithUs cannot be had here: the next Start stops what was left running.
func dieWithUs(*syscall.SysProcAttr) {}
