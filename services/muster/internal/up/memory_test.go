package up

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

func TestPercent(t *testing.T) {
	for live, want := range map[uint64]int{0: 400, 10 << 20: 400, 160 << 20: 100, 320 << 20: 50, 640 << 20: 25, 8 << 30: 25} {
		if got := percent(live); got != want {
			t.Errorf("with %d MB alive GOGC is %d, want %d", live>>20, got, want)
		}
	}
}

// TestHeadroomFollowsWhatLives: what is set belongs to the newest collection,
// also when it is not the first.
func TestHeadroomFollowsWhatLives(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	keepHeadroom()
	for _, size := range []int{64 << 20, 256 << 20, 1 << 20} {
		held := make([]byte, size)
		for deadline := time.Now().Add(20 * time.Second); ; {
			runtime.GC()
			set := []metrics.Sample{{Name: "/gc/gogc:percent"}}
			metrics.Read(set)
			if got, want := int(set[0].Value.Uint64()), percent(liveHeap()); abs(got-want) <= 1+want/10 {
				break
			} else if time.Now().After(deadline) {
				t.Fatalf("with %d MB held GOGC is %d, want about %d", size>>20, got, want)
			}
			runtime.Gosched() // the hook runs beside us
		}
		runtime.KeepAlive(held)
	}
}

func abs(n int) int { return max(n, -n) }
