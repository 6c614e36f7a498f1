package clock_test

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/muster-hr/muster/libs/clock"
)

func near(t *testing.T, what string, got, want time.Time) {
	t.Helper()
	if d := got.Sub(want); d < -time.Second || d > time.Second {
		t.Errorf("%s is %s off", what, d)
	}
}

func TestFileMovesEverybodyWhoFollows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clock")
	setter, follower := clock.Follow(path), clock.Follow(path)
	near(t, "a clock without a file", follower.Now(), time.Now())
	week := time.Now().Add(7 * 24 * time.Hour)
	if !setter.Set(week) {
		t.Fatal("not moved")
	}
	near(t, "the setter", setter.Now(), week)
	near(t, "the follower", follower.Now(), week) // at once: Set waited for what it had read before
	near(t, "a clock that comes later", clock.Follow(path).Now(), week)
}

func TestFileIsNeverMovedBack(t *testing.T) {
	synctest.Test(t, neverBack)
}

func neverBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clock")
	week := time.Now().Add(7 * 24 * time.Hour)
	c := clock.Follow(path)
	if !c.Set(week) || c.Set(week.Add(-time.Hour)) {
		t.Error("it went back")
	}
	if clock.Follow(path).Set(week.Add(-time.Hour)) {
		t.Error("one that had not looked yet moved it back")
	}
	if err := os.WriteFile(path, []byte("1h0m0s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	time.Sleep(60 * time.Millisecond) // what was read is out of date
	near(t, "the clock after somebody wrote less", c.Now(), week)
}

func TestFileThatCannotBeReadOrWrittenChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clock")
	if err := os.WriteFile(path, []byte("soon"), 0o600); err != nil {
		t.Fatal(err)
	}
	near(t, "a clock with a broken file", clock.Follow(path).Now(), time.Now())
	missing := clock.Follow(filepath.Join(t.TempDir(), "no", "clock"))
	if missing.Set(time.Now().Add(time.Hour)) {
		t.Error("moved without a file")
	}
	near(t, "it", missing.Now(), time.Now())
}
