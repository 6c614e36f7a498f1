// Package fake is the partner behind an account of files: the SFTP server of all
// fakes (see sftpserver for its settings and faults), a person who drops files,
// and for an account that we write to a payroll that takes change files. Its
// state has the people beside the files, and a write for each row that was
// applied.
//
// Settings: those of the account ("folder", "name", "delimiter", "archive",
// "refused"; of a payroll also "file_name", "manifest", "ack", "ack_folder",
// "ack_name", "rejects_name", "encoding", "clear"), and "deduction_codes" (those
// that the payroll knows, with commas; unset: all).
//
// Verbs: `drop` lays a file down: {"name", "text"}, or {"columns": […], "rows":
// [{…}], "delimiter", "encoding"}. Without a name the next one that fits the
// account's pattern is taken. `remove` takes one away.
package fake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"sync"

	"github.com/muster-hr/muster/libs/connector/fake"
	"github.com/muster-hr/muster/libs/connector/fake/sftpserver"
)

// server is the memory.
type server struct {
	*sftpserver.Server
	o fake.Options

	mu   sync.Mutex
	next uint64 // sequence of what is dropped without a name
}

// New makes a server with the folder of its account and nothing in it.
func New(o fake.Options) fake.Vendor {
	s := &server{Server: sftpserver.New(o, o.Settings["folder"], o.Settings["archive"], o.Settings["refused"], o.Settings["ack_folder"]), o: o}
	if o.Settings["file_name"] != "" { // which only accounts have that we write to
		s.Arrived = newPayroll(s.Server, o).arrived
	}
	return s
}

// Do lays files down and takes them away.
func (v *server) Do(_ context.Context, verb string, args map[string]any) (map[string]any, error) {
	switch verb {
	case "drop":
		name, data, err := v.content(args)
		if err != nil {
			return nil, err
		}
		v.Lay(name, data)
		return map[string]any{"id": name}, nil
	case "remove":
		name, _ := args["name"].(string)
		name = at(path.Join(v.o.Settings["folder"], name))
		if !v.Take(name) {
			return nil, fmt.Errorf("there is no file %s", name)
		}
		return map[string]any{"id": name}, nil
	}
	return nil, fake.ErrUnknownVerb(verb)
}

func hash(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

// at is a full path.
func at(name string) string { return sftpserver.At(name) }

// HostKey is the fake's host key as an account pins it.
func HostKey() string { return sftpserver.HostKey() }

// ClientKey is the private key, in PEM, that the fake lets in.
func ClientKey() string { return sftpserver.ClientKey() }
