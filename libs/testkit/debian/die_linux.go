package debian

import "syscall"

// DieWithParent ends a server with the test process, however that ends.
func DieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
