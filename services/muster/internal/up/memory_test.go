package up

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestMemoryLimit(t *testing.T) {
	for live, want := range map[uint64]int64{0: 512, 100 << 20: 512, 400 << 20: 512, 800 << 20: 1000, 8 << 30: 10 << 10} {
		if got := memoryLimit(live) >> 20; got != want {
			t.Errorf("with %d MB alive the limit is %d MB, want %d", live>>20, got, want)
		}
	}
}

// TestTheLimitFollowsWhatLives: up, and down again.
func TestTheLimitFollowsWhatLives(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	defer debug.SetMemoryLimit(math.MaxInt64)
	boundMemory()
	for _, size := range []int{600 << 20, 1 << 20} {
		held := make([]byte, size)
		for deadline := time.Now().Add(20 * time.Second); ; {
			runtime.GC()
			limit := debug.SetMemoryLimit(-1) // only read
			if above := limit > leastMemory; above == (size > leastMemory) {
				break
			} else if time.Now().After(deadline) {
				t.Fatalf("with %d MB held the limit is %d MB", size>>20, limit>>20)
			}
			runtime.Gosched() // the hook runs beside us
		}
		runtime.KeepAlive(held)
	}
}
