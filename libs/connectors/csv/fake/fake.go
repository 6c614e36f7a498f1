// Package fake is an SFTP server with memory: folders and files, a login by
// password or key, and faults on demand. It serves every connector that speaks
// SFTP. Its host key is the same everywhere and known to everybody: it guards
// nothing.
//
// Settings: those of the account ("user", "folder", "name", "password" as a
// secret; unset: any user, any password but the empty one); "rename" ("refuse":
// the server forbids renames), "read_once" ("yes": a file is gone once it was
// read).
//
// Verbs: `drop` lays a file down: {"name", "text"}, or {"columns": […], "rows":
// [{…}], "delimiter", "encoding"}. Without a name the next one that fits the
// account's pattern is taken. `remove` takes one away.
//
// Faults: the methods are login, list, stat, get, put, rename, remove, mkdir;
// the path is the file's, and status 401 or 403 answers "permission denied",
// 404 "no such file", any other "failure".
package fake

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/muster-hr/muster/libs/connector/fake"
)

// server is the memory.
type server struct {
	o   fake.Options
	log fake.Log

	mu      sync.Mutex
	files   map[string]*file
	folders map[string]time.Time
	next    uint64 // sequence of what is dropped without a name
}

// file is one of the server's.
type file struct {
	name     string
	data     []byte
	modified time.Time
}

// New makes a server with the folder of its account and nothing in it.
func New(o fake.Options) fake.Vendor {
	v := &server{o: o, files: map[string]*file{}, folders: map[string]time.Time{"/": o.Time()}}
	for _, setting := range []string{"folder", "archive", "refused"} {
		for dir := at(o.Settings[setting]); dir != "/"; dir = path.Dir(dir) {
			v.folders[dir] = o.Time()
		}
	}
	return v
}

// at is a full path.
func at(name string) string { return path.Clean("/" + name) }

// Log is the memory that the sandbox shows.
func (v *server) Log() *fake.Log { return &v.log }

// ServeHTTP has nothing to serve.
func (v *server) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "this fake speaks SFTP, at a door of its own", http.StatusNotFound)
}

// Do lays files down and takes them away.
func (v *server) Do(_ context.Context, verb string, args map[string]any) (map[string]any, error) {
	switch verb {
	case "drop":
		name, data, err := v.content(args)
		if err != nil {
			return nil, err
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		v.put(name, data)
		return map[string]any{"id": name}, nil
	case "remove":
		name, _ := args["name"].(string)
		v.mu.Lock()
		defer v.mu.Unlock()
		name = at(path.Join(v.o.Settings["folder"], name))
		if v.files[name] == nil {
			return nil, fmt.Errorf("there is no file %s", name)
		}
		v.drop(name)
		return map[string]any{"id": name}, nil
	}
	return nil, fake.ErrUnknownVerb(verb)
}

// put keeps a file; the caller holds the lock.
func (v *server) put(name string, data []byte) {
	f := &file{name, slices.Clone(data), v.o.Time()}
	v.files[name] = f
	for dir := path.Dir(name); v.folders[dir].IsZero(); dir = path.Dir(dir) {
		v.folders[dir] = f.modified
	}
	v.show(f)
}

// show puts a file into the memory that the sandbox shows.
func (v *server) show(f *file) {
	hash := sha256.Sum256(f.data)
	v.log.Put(f.name, map[string]any{"size": len(f.data), "sha256": hex.EncodeToString(hash[:]), "modified": f.modified.Format(time.RFC3339)})
}

func (v *server) drop(name string) {
	delete(v.files, name)
	v.log.Put(name, nil)
}

// Info is what a listing says of a file.
type info struct {
	name     string
	size     int64
	modified time.Time
	dir      bool
}

func (i info) Name() string       { return path.Base(i.name) }
func (i info) Size() int64        { return i.size }
func (i info) ModTime() time.Time { return i.modified }
func (i info) IsDir() bool        { return i.dir }
func (i info) Sys() any           { return nil }
func (i info) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o755
	}
	return 0o644
}

// look gives a file or folder.
func (v *server) look(name string) (info, bool) {
	if f := v.files[name]; f != nil {
		return info{name, int64(len(f.data)), f.modified, false}, true
	}
	at, ok := v.folders[name]
	return info{name, 0, at, true}, ok
}

// list gives what is in a folder, by name.
func (v *server) list(folder string) []fs.FileInfo {
	var out []fs.FileInfo
	for name := range v.files {
		if path.Dir(name) == folder {
			i, _ := v.look(name)
			out = append(out, i)
		}
	}
	for name := range v.folders {
		if path.Dir(name) == folder && name != folder {
			i, _ := v.look(name)
			out = append(out, i)
		}
	}
	slices.SortFunc(out, func(a, b fs.FileInfo) int { return strings.Compare(a.Name(), b.Name()) })
	return out
}

// key makes a key that everybody can make.
func key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("muster sandbox " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// HostKey is the fake's host key as an account pins it.
func HostKey() string {
	signer, err := ssh.NewSignerFromKey(key("host"))
	if err != nil {
		panic(err) // a key of this kind is always a signer
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
}

// ClientKey is the private key, in PEM, that the fake lets in.
func ClientKey() string {
	block, err := ssh.MarshalPrivateKey(key("client"), "sandbox")
	if err != nil {
		panic(err) // a key of this kind always encodes
	}
	return string(pem.EncodeToMemory(block))
}
