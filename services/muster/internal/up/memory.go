package up

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// Go's own rule lets a heap grow to twice what lives: with 100,000 employees
// that is a gigabyte after an import, and a small company is collected all the
// time. A fixed limit collects without end once more lives than it. So what
// lives may grow fivefold, up to a limit that is at least leastMemory and leaves
// a quarter of what lives.
const (
	leastMemory = 512 << 20 // bytes
	growth      = 400       // GOGC
)

// memoryLimit is the process's limit in bytes while so many live in its heap.
func memoryLimit(live uint64) int64 { return int64(max(leastMemory, live+live/4)) }

// boundMemory sets the limit after each collection, for as long as the process
// lives. Who sets GOGC or GOMEMLIMIT decides otherwise.
var boundMemory = sync.OnceFunc(func() {
	debug.SetGCPercent(growth)
	var follow func(struct{})
	follow = func(struct{}) {
		debug.SetMemoryLimit(memoryLimit(liveHeap()))
		// A thing that nobody holds is found by the next collection.
		runtime.AddCleanup(new([16]byte), follow, struct{}{})
	}
	follow(struct{}{})
})

// liveHeap is what the last collection found in use, in bytes.
func liveHeap() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
