package ldap

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	goldap "github.com/go-ldap/ldap/v3"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/fault"
)

// Object identifiers.
const (
	oidStartTLS  = "1.3.6.1.4.1.1466.20037" // RFC 4511 section 4.14
	oidPostRead  = "1.3.6.1.1.13.2"         // RFC 4527
	oidAssertion = "1.3.6.1.1.12"           // RFC 4528
	callTimeout  = 30 * time.Second         // of one call, where the context has no end
	maxAnswer    = 1 << 20                  // of StartTLS and of a post-read
	spanName     = "github.com/muster-hr/muster/libs/connectors/ldap"
)

// conn is one connection that is logged in. It has one call under way at most.
type conn struct {
	ldap *goldap.Conn
	raw  net.Conn // closed to end a call that waits
	tap  *tap
	dead bool
	used bool // it was kept from an earlier call: the other side may have left

	host             string
	postRead, assert bool // what the server can
}

func (c *conn) close() {
	_ = c.raw.Close() // whatever it says, it is closed
	_ = c.ldap.Close()
}

// open connects, makes the connection private and logs in. Errors are faults.
func open(ctx context.Context, s settings, dial connector.Dial) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	raw, err := dial(ctx, "tcp", s.target())
	if err != nil {
		return nil, classify(ctx, err, nil)
	}
	private, err := secure(ctx, s, raw)
	if err != nil {
		_ = raw.Close() // the first error counts
		return nil, err
	}
	t := &tap{Conn: private}
	c := &conn{ldap: goldap.NewConn(t, true), raw: raw, tap: t, host: s.host}
	c.ldap.SetTimeout(callTimeout)
	c.ldap.Start()
	err = c.call(ctx, "bind", nil, func() error { return c.ldap.Bind(s.bind, s.password.Reveal()) })
	if err == nil {
		err = c.features(ctx)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// secure gives a connection inside TLS whose certificate was verified: from the
// first byte, or by StartTLS, which must succeed. A server on this very machine
// that has no TLS is spoken to without.
func secure(ctx context.Context, s settings, raw net.Conn) (net.Conn, error) {
	if !s.tls {
		offered, err := startTLS(ctx, raw)
		switch {
		case err != nil:
			return nil, classify(ctx, err, nil)
		case !offered && s.loopback():
			return raw, nil
		case !offered:
			return nil, fault.New(fault.Target, "tls", "the server refused StartTLS, and a password is not sent in clear")
		}
	}
	t := tls.Client(raw, &tls.Config{ServerName: s.host, RootCAs: s.roots, MinVersion: tls.VersionTLS12})
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, classify(ctx, err, nil)
	}
	return t, nil
}

// startTLS asks for TLS on a fresh connection. go-ldap could do it, but takes
// no context, and its own TLS would lie between it and the tap.
func startTLS(ctx context.Context, raw net.Conn) (offered bool, err error) {
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	m := ber.NewSequence("LDAPMessage")
	m.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, 1, "messageID"))
	q := ber.Encode(ber.ClassApplication, ber.TypeConstructed, goldap.ApplicationExtendedRequest, nil, "ExtendedRequest")
	q.AppendChild(ber.NewString(ber.ClassContext, ber.TypePrimitive, 0, oidStartTLS, "requestName"))
	m.AppendChild(q)
	if _, err := raw.Write(m.Bytes()); err != nil {
		return false, err
	}
	answer, err := ber.ReadPacket(io.LimitReader(raw, maxAnswer)) // reads no further: what follows belongs to TLS
	if err != nil {
		return false, err
	}
	err = goldap.GetLDAPError(answer)
	if e, ok := errors.AsType[*goldap.Error](err); ok && e.ResultCode >= 200 {
		return false, err // it is not LDAP what the other side speaks
	}
	return err == nil, nil
}

// features asks what the server can (RFC 4512 section 5.1).
func (c *conn) features(ctx context.Context) error {
	found, err := c.search(ctx, goldap.NewSearchRequest("", goldap.ScopeBaseObject, goldap.NeverDerefAliases, 1, 0, false,
		"(objectClass=*)", []string{"supportedControl"}, nil))
	if err != nil && !is(err, reasonMissing) {
		return err
	}
	for _, e := range found {
		c.postRead = slices.Contains(e.all("supportedControl"), oidPostRead)
		c.assert = slices.Contains(e.all("supportedControl"), oidAssertion)
	}
	return nil
}
