package up

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// headroom is what may be allocated between two collections. Go's own rule, as
// much as lives, lets a company of 100,000 hold twice its index, and collects a
// small one all the time. A fixed room costs about the same CPU whatever lives.
const (
	headroom   = 160 << 20 // bytes
	minPercent = 25        // of what lives: collecting it costs in proportion
	maxPercent = 400
)

// percent is the GOGC that leaves the headroom above what lives.
func percent(live uint64) int {
	return int(min(max(headroom*100/max(live, 1), minPercent), maxPercent))
}

// keepHeadroom sets GOGC after each collection, for as long as the process
// lives. Who sets GOGC or GOMEMLIMIT decides otherwise.
var keepHeadroom = sync.OnceFunc(func() {
	var follow func(struct{})
	now := maxPercent
	debug.SetGCPercent(now)
	follow = func(struct{}) {
		if p := percent(liveHeap()); p != now {
			now = p
			debug.SetGCPercent(now)
		}
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
