package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

// maxFile is the largest file that is read; real ones have a few kilobytes.
const maxFile = 1 << 20

// The folders of a company, each with what one of its files is.
var folders = map[string]string{
	"sources":      "an account we read from",
	"targets":      "an account we write to",
	"integrations": "what one target receives",
	"mappings":     "rules from record to person or from person to target",
}

// rootFiles are the files beside the folders.
var rootFiles = []string{"muster.yaml", "authority.yaml"}

// readFolder reads every file that means something: path with forward slashes
// → bytes. What means nothing is a problem, because it is mostly a typo.
// Hidden files, *.md, LICENSE and mappings/*.test are other people's.
func readFolder(dir string, p *problems) map[string][]byte {
	files := map[string][]byte{}
	root, err := os.ReadDir(dir)
	if err != nil {
		p.add(place{file: dir}, CodeUnreadable, "name a folder that holds muster.yaml", "cannot read the folder: %s", reason(err))
		return files
	}
	for _, e := range root {
		name := e.Name()
		if ignored(name) {
			continue
		}
		if isDir(dir, e) {
			if _, ok := folders[name]; !ok {
				p.add(place{file: name}, CodeUnknownFile, renameTo(name, slices.Sorted(maps.Keys(folders))), "the folder %s means nothing here", name)
				continue
			}
			readBelow(dir, name, files, p)
			continue
		}
		if !slices.Contains(rootFiles, name) {
			p.add(place{file: name}, CodeUnknownFile, renameTo(name, rootFiles), "the file %s means nothing here", name)
			continue
		}
		readFile(dir, name, files, p)
	}
	return files
}

func readBelow(dir, folder string, files map[string][]byte, p *problems) {
	entries, err := os.ReadDir(path.Join(dir, folder))
	if err != nil {
		p.add(place{file: folder}, CodeUnreadable, "make the folder readable", "cannot read the folder: %s", reason(err))
		return
	}
	for _, e := range entries {
		rel := path.Join(folder, e.Name())
		sub := isDir(dir+"/"+folder, e)
		switch {
		case ignored(e.Name()), sub && folder == "mappings" && strings.HasSuffix(e.Name(), ".test"):
		case sub || !strings.HasSuffix(e.Name(), ".yaml"):
			p.add(place{file: rel}, CodeUnknownFile, "name it NAME.yaml or move it elsewhere", "%s is not %s", rel, folders[folder])
		default:
			readFile(dir, rel, files, p)
		}
	}
}

func readFile(dir, rel string, files map[string][]byte, p *problems) {
	full := path.Join(dir, rel)
	info, err := os.Stat(full)
	if err == nil && info.Size() > maxFile {
		p.add(place{file: rel}, CodeUnreadable, "split it; no file may exceed 1 MiB", "the file is too large")
		return
	}
	src, err := os.ReadFile(full)
	if err != nil {
		p.add(place{file: rel}, CodeUnreadable, "make the file readable", "cannot read the file: %s", reason(err))
		return
	}
	files[rel] = src
}

// isDir follows links, because a mounted Kubernetes volume consists of them.
func isDir(dir string, e fs.DirEntry) bool {
	if e.Type()&fs.ModeSymlink == 0 {
		return e.IsDir()
	}
	info, err := os.Stat(path.Join(dir, e.Name()))
	return err == nil && info.IsDir()
}

func ignored(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".md") || name == "LICENSE"
}

func renameTo(got string, known []string) string {
	if c, ok := closest(got, known); ok {
		return fmt.Sprintf("rename it to %s", c)
	}
	return "remove it; known are " + strings.Join(known, ", ")
}

// reason is the cause without the path, which the problem names already.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// version is the first 12 hex digits of SHA-256 over the files: path, length
// and bytes of each, in order of the paths.
func version(files map[string][]byte) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		_, _ = fmt.Fprintf(h, "%s %d\n", name, len(files[name])) // a hash takes everything
		h.Write(files[name])
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}
