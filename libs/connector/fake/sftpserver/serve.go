package sftpserver

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/muster-hr/muster/libs/connector/fake"
)

// Serve takes connections until ctx ends.
func (v *Server) Serve(ctx context.Context, l net.Listener, f *fake.Faults) error {
	return fake.Accept(ctx, l, func(ctx context.Context, c net.Conn) { v.talk(ctx, c, f) })
}

var errDenied = errors.New("denied")

// config says who gets in.
func (v *Server) config(f *fake.Faults) (*ssh.ServerConfig, error) {
	host, err := ssh.NewSignerFromKey(key("host"))
	if err != nil {
		return nil, err
	}
	ours, err := ssh.NewSignerFromKey(key("client"))
	if err != nil {
		return nil, err
	}
	known := func(user string) bool { return v.o.Settings["user"] == "" || v.o.Settings["user"] == user }
	login := func(user string, ok bool) (*ssh.Permissions, error) {
		status := 200
		x, struck := f.Strike("login", user)
		if struck && x.Status != 0 || !ok || !known(user) {
			status = 401
		}
		f.Note(fake.Seen{At: time.Now().UTC(), Method: "login", Path: user, Status: status})
		if status != 200 {
			return nil, errDenied
		}
		return &ssh.Permissions{}, nil
	}
	c := &ssh.ServerConfig{
		PasswordCallback: func(c ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			want := v.o.Settings["password"]
			return login(c.User(), len(password) > 0 && (want == "" || subtle.ConstantTimeCompare(password, []byte(want)) == 1))
		},
		PublicKeyCallback: func(c ssh.ConnMetadata, shown ssh.PublicKey) (*ssh.Permissions, error) {
			return login(c.User(), bytes.Equal(shown.Marshal(), ours.PublicKey().Marshal()))
		},
	}
	c.AddHostKey(host)
	return c, nil
}

// talk serves one connection.
func (v *Server) talk(ctx context.Context, c net.Conn, f *fake.Faults) {
	defer func() { _ = c.Close() }()
	ctx, left := context.WithCancel(ctx)
	defer left()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	config, err := v.config(f)
	if err != nil {
		return
	}
	conn, channels, requests, err := ssh.NewServerConn(c, config)
	if err != nil {
		return
	}
	go func() {
		_ = conn.Wait() // its end is what counts
		left()
	}()
	go ssh.DiscardRequests(requests)
	var sessions sync.WaitGroup
	defer sessions.Wait()
	for open := range channels {
		if open.ChannelType() != "session" {
			_ = open.Reject(ssh.UnknownChannelType, "sessions only")
			continue
		}
		channel, requests, err := open.Accept()
		if err != nil {
			return
		}
		sessions.Go(func() {
			for r := range requests {
				ok := r.Type == "subsystem" && bytes.HasSuffix(r.Payload, []byte("sftp"))
				_ = r.Reply(ok, nil) // who asked may have left
				if !ok {
					continue
				}
				h := &handler{v: v, ctx: ctx, conn: c, faults: f}
				s := sftp.NewRequestServer(channel, sftp.Handlers{FileGet: h, FilePut: h, FileCmd: h, FileList: h})
				_ = s.Serve() // it ends when the client leaves
				_ = s.Close()
				_ = channel.Close()
			}
		})
	}
}

// handler answers the calls of one session.
type handler struct {
	v      *Server
	ctx    context.Context // of the connection
	conn   net.Conn
	faults *fake.Faults

	arrived *file // what the call under way has brought
}

// errCut is what a call comes to whose connection is cut.
var errCut = errors.New("the connection was cut")

// call makes one call, which a fault may disturb.
func (h *handler) call(method, name string, do func() error) error {
	seen := fake.Seen{At: time.Now().UTC(), Method: method, Path: name}
	defer func() { h.faults.Note(seen) }()
	x, struck := h.faults.Strike(method, name)
	if struck && x.LatencyMS > 0 {
		t := time.NewTimer(time.Duration(x.LatencyMS) * time.Millisecond)
		defer t.Stop()
		select {
		case <-t.C:
		case <-h.ctx.Done():
			return errCut
		}
	}
	if struck && x.When != fake.AfterEffect && x.Status != 0 {
		seen.Status = x.Status
		return answer(x.Status)
	}
	h.v.mu.Lock()
	err := do()
	brought := h.arrived // under the lock: calls of a session run side by side
	h.arrived = nil
	h.v.mu.Unlock()
	if brought != nil {
		h.v.arrive(brought.name, brought.data)
	}
	if struck && x.Hold && err == nil && !h.faults.Hold(h.ctx) {
		return errCut
	}
	if struck && x.When == fake.AfterEffect && !x.Hold {
		if x.Status == 0 {
			_ = h.conn.Close()
			return errCut
		}
		err = answer(x.Status)
	}
	seen.Status = status(err)
	return err
}

func answer(status int) error {
	switch status {
	case 401, 403:
		return sftp.ErrSSHFxPermissionDenied
	case 404:
		return sftp.ErrSSHFxNoSuchFile
	}
	return sftp.ErrSSHFxFailure
}

func status(err error) int {
	switch {
	case err == nil:
		return 200
	case errors.Is(err, os.ErrNotExist), errors.Is(err, sftp.ErrSSHFxNoSuchFile):
		return 404
	case errors.Is(err, sftp.ErrSSHFxPermissionDenied):
		return 403
	}
	return 400
}

// Fileread gives a file as it is now.
func (h *handler) Fileread(r *sftp.Request) (out io.ReaderAt, err error) {
	err = h.call("get", r.Filepath, func() error {
		f := h.v.files[r.Filepath]
		if f == nil {
			return os.ErrNotExist
		}
		out = bytes.NewReader(f.data)
		if h.v.o.Settings["read_once"] == "yes" {
			h.v.drop(f.name)
		}
		return nil
	})
	return out, err
}

// Filewrite takes a file; it is there, and empty, from now on.
func (h *handler) Filewrite(r *sftp.Request) (out io.WriterAt, err error) {
	err = h.call("put", r.Filepath, func() error {
		if _, there := h.v.folders[path.Dir(r.Filepath)]; !there {
			return os.ErrNotExist
		}
		if h.v.files[r.Filepath] != nil && r.Pflags().Excl {
			return sftp.ErrSSHFxFailure
		}
		h.v.put(r.Filepath, nil)
		out = &upload{h: h, name: r.Filepath}
		return nil
	})
	return out, err
}

// upload is a file that is being written: it grows where others see it.
type upload struct {
	h    *handler
	name string
}

// WriteAt puts bytes into the file.
func (u *upload) WriteAt(p []byte, off int64) (int, error) {
	v := u.h.v
	v.mu.Lock()
	defer v.mu.Unlock()
	f := v.files[u.name]
	if f == nil || off < 0 || off > 1<<30 {
		return 0, sftp.ErrSSHFxFailure
	}
	data := f.data
	if grown := int(off) + len(p); grown > len(data) {
		data = append(data, make([]byte, grown-len(data))...)
	}
	copy(data[off:], p)
	f.data, f.modified = data, v.o.Time()
	return len(p), nil
}

// Close notes what was written. What has a temporary name is noted when it gets
// its own.
func (u *upload) Close() error {
	v := u.h.v
	v.mu.Lock()
	f := v.files[u.name]
	if f == nil {
		v.mu.Unlock()
		return nil
	}
	data := slices.Clone(f.data)
	v.show(f)
	whole := !v.temporary(u.name)
	if whole {
		v.log.Wrote(fake.Write{At: v.o.Time(), Key: u.name, Op: fake.Create, Body: string(data)})
	}
	v.mu.Unlock()
	if whole {
		v.arrive(u.name, data)
	}
	return nil
}

func (v *Server) arrive(name string, data []byte) {
	if v.Arrived != nil {
		v.Arrived(name, data)
	}
}

func (v *Server) temporary(name string) bool {
	suffix := v.o.Settings["temporary"]
	if suffix == "" {
		suffix = ".part"
	}
	return strings.HasSuffix(name, suffix)
}

// Filecmd renames, removes and makes folders.
func (h *handler) Filecmd(r *sftp.Request) error {
	v := h.v
	switch r.Method {
	case "Rename", "PosixRename":
		return h.call("rename", r.Filepath, func() error {
			f := v.files[r.Filepath]
			_, folder := v.folders[path.Dir(r.Target)]
			switch {
			case v.o.Settings["rename"] == "refuse":
				return sftp.ErrSSHFxPermissionDenied
			case f == nil || !folder:
				return os.ErrNotExist
			case v.files[r.Target] != nil && r.Method == "Rename": // draft-02 section 6.5
				return sftp.ErrSSHFxFailure
			}
			v.drop(r.Filepath)
			f.name = r.Target
			v.files[r.Target] = f
			v.show(f)
			w := fake.Write{At: v.o.Time(), Key: r.Target, Op: fake.Other, Body: map[string]any{"was": r.Filepath}}
			if v.temporary(r.Filepath) {
				w.Op, w.Body = fake.Create, string(f.data)
				h.arrived = &file{f.name, slices.Clone(f.data), f.modified}
			}
			v.log.Wrote(w)
			return nil
		})
	case "Remove":
		return h.call("remove", r.Filepath, func() error {
			if v.files[r.Filepath] == nil {
				return os.ErrNotExist
			}
			v.drop(r.Filepath)
			v.log.Wrote(fake.Write{At: v.o.Time(), Key: r.Filepath, Op: fake.Delete})
			return nil
		})
	case "Mkdir":
		return h.call("mkdir", r.Filepath, func() error {
			if _, there := v.look(r.Filepath); there {
				return sftp.ErrSSHFxFailure
			}
			v.folders[r.Filepath] = v.o.Time()
			return nil
		})
	case "Setstat":
		return nil
	}
	return sftp.ErrSSHFxOpUnsupported
}

// PosixRename overwrites (OpenSSH's posix-rename@openssh.com).
func (h *handler) PosixRename(r *sftp.Request) error { return h.Filecmd(r) }

// Filelist lists and looks.
func (h *handler) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	var out listing
	var err error
	switch r.Method {
	case "List":
		err = h.call("list", r.Filepath, func() error {
			if _, there := h.v.folders[r.Filepath]; !there {
				return os.ErrNotExist
			}
			out = h.v.list(r.Filepath)
			return nil
		})
	case "Stat":
		err = h.call("stat", r.Filepath, func() error {
			i, there := h.v.look(r.Filepath)
			if !there {
				return os.ErrNotExist
			}
			out = listing{i}
			return nil
		})
	default:
		err = sftp.ErrSSHFxOpUnsupported
	}
	return out, err
}

// listing hands out what it has.
type listing []fs.FileInfo

// ListAt copies from a place on.
func (l listing) ListAt(to []fs.FileInfo, from int64) (int, error) {
	if from >= int64(len(l)) {
		return 0, io.EOF
	}
	n := copy(to, l[from:])
	if from+int64(n) >= int64(len(l)) {
		return n, io.EOF
	}
	return n, nil
}
