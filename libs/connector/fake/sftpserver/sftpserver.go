// Package sftpserver is the SFTP server that the fakes of all connectors of files
// share: folders and files in memory, a login by password or key, and faults on
// demand. Its host key is the same everywhere and known to everybody: it guards
// nothing.
//
// Settings: those of the account ("user", "password" as a secret, "temporary";
// unset: any user, any password but the empty one); "rename" ("refuse": the
// server forbids renames), "read_once" ("yes": a file is gone once it was read).
//
// Faults: the methods are login, list, stat, get, put, rename, remove, mkdir;
// the path is the file's, and status 401 or 403 answers "permission denied",
// 404 "no such file", any other "failure".
package sftpserver

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
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

// Server is the memory.
type Server struct {
	// Arrived is called for each file that somebody has brought, when it has its
	// own name and before the caller hears of it. Set it before Serve.
	Arrived func(name string, data []byte)

	o   fake.Options
	log fake.Log

	mu      sync.Mutex
	files   map[string]*file
	folders map[string]time.Time
}

// file is one of the server's.
type file struct {
	name     string
	data     []byte
	modified time.Time
}

// New makes a server with these folders and nothing in them.
func New(o fake.Options, folders ...string) *Server {
	v := &Server{o: o, files: map[string]*file{}, folders: map[string]time.Time{"/": o.Time()}}
	for _, folder := range folders {
		for dir := At(folder); dir != "/"; dir = path.Dir(dir) {
			v.folders[dir] = o.Time()
		}
	}
	return v
}

// At is a full path.
func At(name string) string { return path.Clean("/" + name) }

// Log holds the files with size and hash, and what was done to them.
func (v *Server) Log() *fake.Log { return &v.log }

// ServeHTTP has nothing to serve.
func (v *Server) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "this fake speaks SFTP, at a door of its own", http.StatusNotFound)
}

// Lay puts a file down, with its folders.
func (v *Server) Lay(name string, data []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.put(At(name), data)
}

// Take takes a file away; false if there is none.
func (v *Server) Take(name string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.files[At(name)] == nil {
		return false
	}
	v.drop(At(name))
	return true
}

// put keeps a file; the caller holds the lock.
func (v *Server) put(name string, data []byte) {
	f := &file{name, slices.Clone(data), v.o.Time()}
	v.files[name] = f
	for dir := path.Dir(name); v.folders[dir].IsZero(); dir = path.Dir(dir) {
		v.folders[dir] = f.modified
	}
	v.show(f)
}

// show puts a file into the memory that the sandbox shows.
func (v *Server) show(f *file) {
	hash := sha256.Sum256(f.data)
	v.log.Put(f.name, map[string]any{"size": len(f.data), "sha256": hex.EncodeToString(hash[:]), "modified": f.modified.Format(time.RFC3339)})
}

func (v *Server) drop(name string) {
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
func (v *Server) look(name string) (info, bool) {
	if f := v.files[name]; f != nil {
		return info{name, int64(len(f.data)), f.modified, false}, true
	}
	at, ok := v.folders[name]
	return info{name, 0, at, true}, ok
}

// list gives what is in a folder, by name.
func (v *Server) list(folder string) []fs.FileInfo {
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
