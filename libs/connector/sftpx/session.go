package sftpx

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path"
	"time"

	"github.com/pkg/sftp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/crypto/ssh"

	"github.com/muster-hr/muster/libs/fault"
)

const spanName = "github.com/muster-hr/muster/libs/connector/sftpx"

// File is one regular file of a folder.
type File struct {
	Name     string // without the folder
	Size     int64
	Modified time.Time // by the server's clock, to the second
}

// Session is one login. It is used by one goroutine at a time.
type Session struct {
	client *Client
	ctx    context.Context // of the call of With that it lives in
	raw    net.Conn        // closed to end a call that waits
	ssh    *ssh.Client
	files  *sftp.Client
}

// close ends the connection first. The client of SFTP waits until the server has
// ended its side, which one that has fallen silent never does.
func (s *Session) close() {
	_ = s.ssh.Close() // whatever they say, they are closed
	_ = s.files.Close()
}

// call makes one call with its span and gives its error as a fault. SFTP has no
// place for a trace context, so the trace ends here. When the context ends the
// connection is closed: the client knows no other way to stop waiting.
func (s *Session) call(op string, f func() error) error {
	ctx, span := trace.SpanFromContext(s.ctx).TracerProvider().Tracer(spanName).Start(s.ctx, "SFTP "+op,
		trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
			attribute.String("network.protocol.name", "sftp"), attribute.String("server.address", s.client.address)))
	defer span.End()
	if s.raw != nil {
		stop := context.AfterFunc(ctx, func() { _ = s.raw.Close() })
		defer stop()
	}
	err := ctx.Err()
	if err == nil {
		err = f()
	}
	x := classify(ctx, op, err)
	if x == nil {
		return nil
	}
	span.SetAttributes(attribute.String("error.type", x.Reason))
	span.SetStatus(codes.Error, "")
	return x
}

// List gives the regular files of a folder, by name. Links and folders are left
// out.
func (s *Session) List(folder string) (out []File, err error) {
	err = s.call("list", func() error {
		found, err := s.files.ReadDirContext(s.ctx, at(folder))
		for _, f := range found {
			if f.Mode().IsRegular() {
				out = append(out, File{f.Name(), f.Size(), f.ModTime().UTC()})
			}
		}
		return err
	})
	return out, err
}

// Stat looks at one file; false if there is none.
func (s *Session) Stat(name string) (f File, there bool, err error) {
	err = s.call("stat", func() error {
		info, err := s.files.Stat(at(name))
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		f, there = File{path.Base(name), info.Size(), info.ModTime().UTC()}, true
		return nil
	})
	return f, there, err
}

// Read reads a whole file. One above limit bytes is a fault of class Record,
// reason [ReasonTooLarge], and is not read to its end.
func (s *Session) Read(name string, limit int64) (out []byte, err error) {
	err = s.call("read", func() error {
		f, err := s.files.Open(at(name))
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // it was only read
		var b bytes.Buffer
		info, err := f.Stat()
		switch {
		case err != nil:
			return err
		case info.Size() > limit:
			return tooLarge(limit)
		case info.Size() > 0:
			b.Grow(int(info.Size()) + bytes.MinRead)
		}
		// The limit stands whatever the size said: the file may be growing.
		n, err := f.WriteTo(&capped{to: &b, left: limit + 1})
		if n > limit || errors.Is(err, errCapped) {
			return tooLarge(limit)
		}
		out = b.Bytes()
		return err
	})
	return out, err
}

func tooLarge(limit int64) error {
	return fault.New(fault.Record, ReasonTooLarge, "a file is above the limit of %d bytes", limit)
}

var errCapped = errors.New("above the limit")

// capped takes so many bytes and no more.
type capped struct {
	to   io.Writer
	left int64
}

// Write refuses what is above the limit.
func (c *capped) Write(p []byte) (int, error) {
	if int64(len(p)) > c.left {
		return 0, errCapped
	}
	c.left -= int64(len(p))
	return c.to.Write(p)
}

// Put brings a file to the server under its name, whole or not at all: it is
// uploaded under a temporary name in the same folder, its size is checked, and
// then it is renamed. already says that a file with these very bytes had the
// name before: nothing was done. Another file of the name is a fault of class
// Record, reason [ReasonExists]: what was delivered is never overwritten.
//
// The temporary file of an earlier attempt that was cut off is ours and is
// written anew.
func (s *Session) Put(name string, data []byte) (already bool, err error) {
	if already, err = s.has(name, data); already || err != nil {
		return already, err
	}
	temporary := name + s.client.temporary
	if s.client.rename == "none" {
		temporary = name
	}
	if err := s.upload(temporary, data); err != nil {
		return false, err
	}
	if s.client.rename == "none" {
		return false, nil
	}
	err = s.call("rename", func() error {
		if s.client.rename == "posix" {
			return s.files.PosixRename(at(temporary), at(name))
		}
		return s.files.Rename(at(temporary), at(name))
	})
	if err == nil {
		return false, nil
	}
	// The server may have renamed and lost its answer, or somebody was first.
	if done, lookErr := s.has(name, data); done || is(lookErr, ReasonExists) {
		_ = s.Remove(temporary) // ours; gone if the rename was done
		return done, lookErr
	}
	return false, err
}

// has tells whether the server has a file of this name with these bytes.
func (s *Session) has(name string, data []byte) (bool, error) {
	f, there, err := s.Stat(name)
	if err != nil || !there {
		return false, err
	}
	if f.Size == int64(len(data)) {
		got, err := s.Read(name, f.Size)
		if err != nil || bytes.Equal(got, data) {
			return err == nil, err
		}
	}
	if s.client.rename == "none" && f.Size < int64(len(data)) {
		got, err := s.Read(name, f.Size)
		if err != nil || bytes.HasPrefix(data, got) {
			return false, err // what an upload of ours that was cut off has left
		}
	}
	return false, fault.New(fault.Record, ReasonExists, "another file has this name and is not overwritten")
}

func (s *Session) upload(name string, data []byte) error {
	err := s.call("write", func() error {
		f, err := s.files.OpenFile(at(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
		if err != nil {
			return err
		}
		_, err = f.ReadFrom(bytes.NewReader(data))
		return errors.Join(err, f.Close()) // a server with a full disk may say so at the end
	})
	if err != nil {
		return err
	}
	f, there, err := s.Stat(name)
	if err == nil && (!there || f.Size != int64(len(data))) {
		err = fault.New(fault.Transient, ReasonSize, "the server has not the bytes that were sent")
	}
	return err
}

// Move gives a file another name, which may be in another folder, and never
// overwrites: if the name is taken the fault is of class Record, reason
// [ReasonExists]. A file that has moved already is done.
func (s *Session) Move(from, to string) error {
	_, there, err := s.Stat(from)
	if err != nil {
		return err
	}
	_, taken, err := s.Stat(to)
	switch {
	case err != nil:
		return err
	case !there && taken:
		return nil
	case taken:
		return fault.New(fault.Record, ReasonExists, "another file has this name and is not overwritten")
	}
	return s.call("rename", func() error { return s.files.Rename(at(from), at(to)) })
}

// Remove takes a file away. One that is gone is done.
func (s *Session) Remove(name string) error {
	return s.call("remove", func() error {
		err := s.files.Remove(at(name))
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	})
}

// at is a path as the server takes it: "" is the folder of the login.
func at(name string) string {
	if name == "" {
		return "."
	}
	return path.Clean(name)
}
