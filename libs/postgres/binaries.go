package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// oldest is the first version with row triggers on partitioned tables, which
// keep the audit append-only.
const oldest = 13

// Where distributions and installers put the programs.
var usual = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/usr/lib64/pgsql*/bin",
	"/opt/homebrew/opt/postgresql*/bin",
	"/usr/local/opt/postgresql*/bin",
	"/usr/local/pgsql/bin",
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

// binaries finds the folder of initdb, pg_ctl and postgres: from the PATH, the
// usual folders (newest first), the cache, and else fetched into the cache.
// Data that exists already needs the major version that made it.
func binaries(ctx context.Context, o Options, major int, as *owner) (string, error) {
	var found []string
	for _, dir := range candidates(ctx, usual) {
		if v := version(ctx, dir, as); v >= oldest {
			if major == 0 || v == major {
				return dir, nil
			}
			found = append(found, strconv.Itoa(v))
		}
	}
	dir, err := cached(ctx, o, as)
	if err != nil {
		if len(found) > 0 {
			return "", fmt.Errorf("the data in %s was made by Postgres %d, this machine has %s: install Postgres %d or set MUSTER_DATABASE_URL: %w", o.Dir, major, strings.Join(found, " and "), major, err)
		}
		return "", fmt.Errorf("no Postgres on this machine: install Postgres %d or later or npm, or set MUSTER_DATABASE_URL: %w", oldest, err)
	}
	if v := version(ctx, dir, as); major != 0 && v != major {
		return "", fmt.Errorf("the data in %s was made by Postgres %d, at hand is %d: install Postgres %d or set MUSTER_DATABASE_URL", o.Dir, major, v, major)
	}
	return dir, nil
}

// candidates lists folders in the order of preference, real or not.
func candidates(ctx context.Context, patterns []string) []string {
	var dirs []string
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	if p, err := exec.LookPath("postgres"); err == nil {
		if real, err := filepath.EvalSymlinks(p); err == nil { // initdb lies beside the real one
			p = real
		}
		dirs = append(dirs, filepath.Dir(p))
	}
	for _, pattern := range patterns {
		some, _ := filepath.Glob(pattern)
		sort.SliceStable(some, func(i, j int) bool { return digits(some[i]) > digits(some[j]) })
		dirs = append(dirs, some...)
	}
	return dirs
}

var number = regexp.MustCompile(`\d+(\.\d+)?`)

// digits is the last version number in a path that says one, 9.6 before 10.
func digits(path string) float64 {
	all := number.FindAllString(path, -1)
	if len(all) == 0 {
		return 0
	}
	v, _ := strconv.ParseFloat(all[len(all)-1], 64)
	return v
}

// version is the major version of the programs in a folder; 0 if they are not
// all there or the server's user cannot run them.
func version(ctx context.Context, dir string, as *owner) int {
	for _, name := range []string{"initdb", "pg_ctl", "postgres"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.IsDir() || info.Mode().Perm()&0o111 == 0 {
			return 0
		}
	}
	c := cluster{bin: dir, dir: "/", as: as}
	out, err := c.command(ctx, "postgres", "--version").Output()
	if err != nil {
		return 0
	}
	v, _ := strconv.ParseFloat(number.FindString(string(out)), 64)
	return int(v)
}

// cacheDir chooses where fetched programs are kept: a cache of this user, or
// where nobody else can get into that (root's home), the machine's.
func cacheDir(o Options, as *owner) (string, error) {
	var some []string
	if o.Cache != "" {
		some = append(some, o.Cache)
	} else {
		if dir, err := os.UserCacheDir(); err == nil {
			some = append(some, filepath.Join(dir, "muster", "postgres"))
		}
		if as != nil {
			some = append(some, "/var/cache/muster/postgres")
		}
	}
	var errs []error
	for _, dir := range some {
		err := os.MkdirAll(dir, 0o755)
		if err == nil {
			err = onlyOurs(dir)
		}
		if err == nil && !as.reaches(dir) {
			err = fmt.Errorf("user nobody cannot reach %s", dir)
		}
		if err == nil {
			return dir, nil
		}
		errs = append(errs, err)
	}
	return "", fmt.Errorf("no folder for fetched programs: %w", errors.Join(errs...))
}
