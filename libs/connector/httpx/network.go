package httpx

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/muster-hr/muster/libs/fault"
)

// network classifies an error of a call that got no (whole) answer.
func network(ctx context.Context, err error) *fault.Error {
	f, isFault := errors.AsType[*fault.Error](err)
	_, isUnknownCA := errors.AsType[x509.UnknownAuthorityError](err)
	_, isHostname := errors.AsType[x509.HostnameError](err)
	_, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	_, isVerify := errors.AsType[*tls.CertificateVerificationError](err)
	_, isPlain := errors.AsType[tls.RecordHeaderError](err) // the other side speaks no TLS
	_, isDNS := errors.AsType[*net.DNSError](err)
	op, isOp := errors.AsType[*net.OpError](err)
	ne, isNet := errors.AsType[net.Error](err)
	class, reason := fault.Transient, "network"
	switch {
	case isFault: // the dial guard's refusal
		return f
	case ctx.Err() != nil: // the caller's end, not the deadline of the call
		err = ctx.Err()
		reason = "canceled"
		if errors.Is(err, context.DeadlineExceeded) {
			reason = "timeout"
		}
	case isUnknownCA || isHostname || isInvalid || isVerify || isPlain ||
		(isOp && (op.Op == "remote error" || op.Op == "local error")): // crypto/tls names alerts so
		class, reason = fault.Target, "tls"
	case isDNS:
		reason = "dns"
	case isOp && op.Op == "dial":
		reason = "connect"
	case errors.Is(err, context.DeadlineExceeded) || (isNet && ne.Timeout()):
		reason = "timeout"
	case errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed):
		reason = "reset"
	}
	return &fault.Error{Class: class, Reason: reason, Err: err}
}
