package sftpx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/muster-hr/muster/libs/fault"
)

// Reasons that callers act on.
const (
	ReasonAuth       = "auth"       // the login was refused
	ReasonHostKey    = "host_key"   // the server is not the one that was pinned
	ReasonMissing    = "not_found"  // there is no such file or folder
	ReasonPermission = "permission" // we may not
	ReasonExists     = "exists"     // another file has this name
	ReasonTooLarge   = "too_large"  // a file is above the limit
	ReasonSize       = "size"       // the server has not what was sent
)

var (
	errHostKey   = errors.New("the server shows another host key than the one that is pinned")
	errSubsystem = errors.New("the server does not speak SFTP")
)

// classify says what an error of a call means. The server's own text is never
// passed on.
func classify(ctx context.Context, op string, err error) *fault.Error {
	if err == nil {
		return nil
	}
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f
	}
	status, isStatus := errors.AsType[*sftp.StatusError](err)
	_, isDNS := errors.AsType[*net.DNSError](err)
	_, isAlgorithm := errors.AsType[*ssh.AlgorithmNegotiationError](err)
	dial, isOp := errors.AsType[*net.OpError](err)
	switch {
	case errors.Is(err, errHostKey):
		return fault.New(fault.Target, ReasonHostKey, "%s: %w", op, errHostKey)
	case errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(err, context.DeadlineExceeded):
		return fault.New(fault.Transient, "timeout", "%s took too long: %w", op, context.DeadlineExceeded)
	case ctx.Err() != nil:
		return fault.New(fault.Transient, "canceled", "%s was given up: %w", op, ctx.Err())
	case errors.Is(err, os.ErrNotExist):
		return fault.New(fault.Target, ReasonMissing, "%s: there is no such file or folder", op)
	case errors.Is(err, os.ErrPermission):
		return fault.New(fault.Target, ReasonPermission, "%s: the account may not", op)
	case isStatus:
		f := fault.New(fault.Transient, "refused", "%s: the server answered %d", op, status.Code)
		f.Rule = fmt.Sprintf("sftp_%d", status.Code)
		if errors.Is(status.FxCode(), sftp.ErrSSHFxOpUnsupported) {
			f.Class, f.Reason = fault.Target, "unsupported"
		}
		return f
	case isAlgorithm:
		return fault.New(fault.Target, "algorithms", "%s: the server and we have no algorithm in common, or its host key is of another kind than the pinned one", op)
	case strings.Contains(err.Error(), "unable to authenticate"): // x/crypto has no type for it
		return fault.New(fault.Target, ReasonAuth, "%s: the server refused the key or password", op)
	case isDNS:
		return fault.New(fault.Transient, "dns", "%s: the host's name was not resolved", op)
	case isOp && dial.Op == "dial":
		return fault.New(fault.Transient, "connect", "%s: the server cannot be reached", op)
	case errors.Is(err, errSubsystem) && !errors.Is(err, io.EOF):
		return fault.New(fault.Target, "subsystem", "%s: %w", op, errSubsystem)
	}
	return fault.New(fault.Transient, "network", "%s: the connection ended without an answer", op)
}

// is tells whether an error is the fault of that reason.
func is(err error, reason string) bool { return err != nil && fault.Of(err).Reason == reason }
