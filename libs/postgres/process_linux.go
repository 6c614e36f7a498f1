package postgres

import "syscall"

// dieWithUs asks the kernel to end the server when we are gone, even by
// kill -9. SIGINT is the fast shutdown: SIGTERM would wait for every client to
// leave, and somebody's open psql would keep the server for ever.
func dieWithUs(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGINT }
