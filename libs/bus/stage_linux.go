package bus

import "syscall"

// inMemory tells whether a folder is one of tmpfs.
func inMemory(path string) bool {
	const tmpfs = 0x01021994 // TMPFS_MAGIC of statfs(2)
	var s syscall.Statfs_t
	return syscall.Statfs(path, &s) == nil && int64(s.Type) == tmpfs
}
