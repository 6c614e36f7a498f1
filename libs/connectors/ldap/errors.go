package ldap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/muster-hr/muster/libs/fault"
)

// Reasons that the sink acts on.
const (
	reasonExists  = "exists"    // another entry has this name or value
	reasonMissing = "not_found" // there is no such entry
	reasonChanged = "changed"   // the entry is not what we read
	reasonSession = "session"   // the server has forgotten that we are logged in
	reasonNetwork = "network"   // no answer came
	reasonAuth    = "auth"
)

var (
	// adCode is the system error that Active Directory begins a text with.
	adCode = regexp.MustCompile(`^([0-9A-Fa-f]{8}): `)
	// adData is the reason of a refused login.
	adData = regexp.MustCompile(`\bdata ([0-9a-f]{1,8})\b`)
	// attributeNamed finds the name of an attribute in a server's text:
	// "attribute 'sn'", "telephoneNumber: value #0 …", "(|(mail=…))".
	attributeNamed = regexp.MustCompile(`attribute '([A-Za-z][A-Za-z0-9-]{0,60})'|\b([A-Za-z][A-Za-z0-9-]{0,60}): value #|\(([A-Za-z][A-Za-z0-9-]{0,60})=`)
)

// classify says what an error of a call means. The server's text quotes values
// of the person: it is looked at for recognition and never passed on. sent are
// the attributes of the call, of which one may be named as the culprit.
func classify(ctx context.Context, err error, sent []string) *fault.Error {
	if err == nil {
		return nil
	}
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f
	}
	e, ok := errors.AsType[*goldap.Error](err)
	if !ok || e.ResultCode >= 200 { // go-ldap's own numbers
		return lost(ctx, err, e)
	}
	text := ""
	if e.Err != nil {
		text = e.Err.Error()
	}
	f := &fault.Error{Rule: fmt.Sprintf("ldap_%d", e.ResultCode), Err: fmt.Errorf("answered %d %s", e.ResultCode, goldap.LDAPResultCodeMap[e.ResultCode])}
	sub := ""
	if m := adCode.FindStringSubmatch(text); m != nil {
		sub = strings.TrimLeft(strings.ToLower(m[1]), "0")
	}
	f.Class, f.Reason = judge(e.ResultCode, sub, text)
	if m := adData.FindStringSubmatch(text); m != nil && e.ResultCode == goldap.LDAPResultInvalidCredentials {
		sub = m[1]
	}
	if sub != "" && sub != "0" {
		f.Rule += "_" + sub
	}
	if f.Class == fault.Record {
		f.Path = culprit(text, sent)
	}
	return f
}

// judge reads a result code, the hex code that Active Directory puts before
// its text, and the text itself where only that tells two cases apart.
func judge(code uint16, sub, text string) (fault.Class, string) {
	switch code {
	case goldap.LDAPResultOperationsError:
		if strings.Contains(text, "bind") {
			return fault.Transient, reasonSession
		}
		return fault.Transient, "operations_error"
	case goldap.LDAPResultTimeLimitExceeded, goldap.LDAPResultBusy, goldap.LDAPResultUnavailable, goldap.LDAPResultOther:
		return fault.Transient, "unavailable"
	case goldap.LDAPResultReferral:
		return fault.Target, "referral" // it leads to a host that nobody configured
	case goldap.LDAPResultConfidentialityRequired, goldap.LDAPResultStrongAuthRequired:
		return fault.Target, "tls_required"
	case goldap.LDAPResultInvalidCredentials, goldap.LDAPResultInappropriateAuthentication:
		return fault.Target, reasonAuth
	case goldap.LDAPResultNoSuchAttribute, goldap.LDAPResultAttributeOrValueExists:
		return fault.Done, "already"
	case goldap.LDAPResultConstraintViolation:
		if strings.Contains(strings.ToLower(text), "password") {
			return fault.Record, "password_policy"
		}
		return fault.Record, reasonExists
	case goldap.LDAPResultEntryAlreadyExists:
		return fault.Record, reasonExists
	case goldap.LDAPResultNoSuchObject:
		return fault.Record, reasonMissing
	case goldap.LDAPResultInsufficientAccessRights:
		return fault.Record, "permission"
	case goldap.LDAPResultAssertionFailed:
		return fault.Transient, reasonChanged
	case goldap.LDAPResultUnwillingToPerform:
		switch {
		case sub == "52d":
			return fault.Record, "password_policy"
		case sub == "524":
			return fault.Record, reasonExists
		case sub == "525":
			return fault.Record, reasonMissing
		case strings.Contains(text, "restricted"), strings.Contains(text, "read-only"):
			return fault.Target, "read_only"
		}
		return fault.Record, "unwilling"
	case goldap.LDAPResultUndefinedAttributeType, goldap.LDAPResultInvalidAttributeSyntax, goldap.LDAPResultInvalidDNSyntax,
		goldap.LDAPResultNamingViolation, goldap.LDAPResultObjectClassViolation, goldap.LDAPResultNotAllowedOnRDN,
		goldap.LDAPResultObjectClassModsProhibited, goldap.LDAPResultAffectsMultipleDSAs:
		return fault.Record, "schema"
	}
	return fault.Transient, "unclassified"
}

// culprit is the attribute that a server names, if we sent it: any other word
// of its text may be a value.
func culprit(text string, sent []string) string {
	for _, m := range attributeNamed.FindAllStringSubmatch(text, 4) {
		for _, name := range m[1:] {
			for _, s := range sent {
				if name != "" && strings.EqualFold(name, s) {
					return "attributes." + s
				}
			}
		}
	}
	return ""
}

// lost classifies a call without an answer.
func lost(ctx context.Context, err error, e *goldap.Error) *fault.Error {
	_, unknownCA := errors.AsType[x509.UnknownAuthorityError](err)
	_, hostname := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	_, verify := errors.AsType[*tls.CertificateVerificationError](err)
	_, plain := errors.AsType[tls.RecordHeaderError](err)
	_, dns := errors.AsType[*net.DNSError](err)
	op, isOp := errors.AsType[*net.OpError](err)
	switch {
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fault.New(fault.Transient, "timeout", "the call took too long: %w", ctx.Err())
	case ctx.Err() != nil:
		return fault.New(fault.Transient, "canceled", "the call was given up: %w", ctx.Err())
	case unknownCA || hostname || invalid || verify || plain || isOp && (op.Op == "remote error" || op.Op == "local error"):
		return &fault.Error{Class: fault.Target, Reason: "tls", Err: err}
	case e != nil && e.ResultCode == goldap.ErrorEmptyPassword:
		return fault.New(fault.Target, reasonAuth, "the password is empty")
	case e != nil && e.ResultCode == goldap.ErrorFilterCompile:
		return fault.New(fault.Record, "schema", "the filter cannot be written")
	case dns:
		return fault.New(fault.Transient, "dns", "the host's name was not resolved")
	case isOp && op.Op == "dial":
		return fault.New(fault.Transient, "connect", "the server cannot be reached")
	}
	return fault.New(fault.Transient, reasonNetwork, "the connection ended without an answer")
}

// is tells whether an error is the fault of that reason.
func is(err error, reason string) bool { return err != nil && fault.Of(err).Reason == reason }
