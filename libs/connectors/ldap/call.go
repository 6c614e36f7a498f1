package ldap

import (
	"context"

	ber "github.com/go-asn1-ber/asn1-ber"
	goldap "github.com/go-ldap/ldap/v3"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/muster-hr/muster/libs/fault"
)

// call makes one call with its span and gives its error as a fault. LDAP has no
// place for a trace context, so the trace ends here. When ctx ends the
// connection is closed: go-ldap knows no other way to stop waiting.
func (c *conn) call(ctx context.Context, name string, sent []string, f func() error) error {
	ctx, span := trace.SpanFromContext(ctx).TracerProvider().Tracer(spanName).Start(ctx, "LDAP "+name,
		trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
			attribute.String("network.protocol.name", "ldap"), attribute.String("server.address", c.host)))
	defer span.End()
	stop := context.AfterFunc(ctx, func() { _ = c.raw.Close() })
	err := ctx.Err()
	if err == nil {
		err = f()
	}
	if !stop() || c.ldap.IsClosing() {
		c.dead = true
	}
	x := classify(ctx, err, sent)
	if x == nil {
		return nil
	}
	if x.Reason == reasonNetwork || x.Reason == reasonSession || ctx.Err() != nil {
		c.dead = true
	}
	if x.Class != fault.Done {
		span.SetAttributes(attribute.String("error.type", x.Reason))
		span.SetStatus(codes.Error, "")
	}
	return x
}

// search gives what was found. A size limit that was hit is no error: what came
// before it is enough to see that it is not one.
func (c *conn) search(ctx context.Context, q *goldap.SearchRequest) ([]*entry, error) {
	var out []*entry
	err := c.call(ctx, "search", nil, func() error {
		r, err := c.ldap.Search(q)
		if goldap.IsErrorWithCode(err, goldap.LDAPResultSizeLimitExceeded) {
			err = nil
		}
		if r != nil {
			for _, e := range r.Entries {
				out = append(out, known(e))
			}
		}
		return err
	})
	return out, err
}

// at reads one entry by its name; nil if there is none.
func (c *conn) at(ctx context.Context, dn string, attributes []string) (*entry, error) {
	found, err := c.search(ctx, goldap.NewSearchRequest(dn, goldap.ScopeBaseObject, goldap.NeverDerefAliases, 1, 0, false, "(objectClass=*)", attributes, nil))
	if is(err, reasonMissing) {
		return nil, nil
	}
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}

// write makes a call that changes the entry e and gives it as it is
// afterwards: from the answer where the server can (RFC 4527), else by reading
// it. Where the server can, it only changes what is still as we read it (RFC
// 4528): OpenLDAP knows the state of an entry as entryCSN.
//
// OpenLDAP's overlay unique looks for other entries on behalf of the same call
// and lets them fail our assertion. So a failed one is only believed when the
// entry has changed; else the call is made without it.
func (c *conn) write(ctx context.Context, name string, e *entry, to string, attributes, sent []string, f func([]goldap.Control) error) (*entry, error) {
	csn := e.one("entryCSN")
	asserts := c.assert && csn != ""
	after, err := c.written(ctx, name, to, attributes, sent, f, c.controls(attributes, csn, asserts))
	if !asserts || !is(err, reasonChanged) {
		return after, err
	}
	now, lookErr := c.at(ctx, e.dn, []string{"entryCSN"})
	if lookErr != nil || now == nil || now.one("entryCSN") != csn {
		return nil, err
	}
	return c.written(ctx, name, to, attributes, sent, f, c.controls(attributes, csn, false))
}

func (c *conn) controls(attributes []string, csn string, asserts bool) []goldap.Control {
	var out []goldap.Control
	if asserts {
		if filter, err := goldap.CompileFilter(clause("entryCSN", csn)); err == nil {
			out = append(out, goldap.NewControlString(oidAssertion, true, string(filter.Bytes())))
		}
	}
	if c.postRead {
		out = append(out, goldap.NewControlString(oidPostRead, false, selection(attributes)))
	}
	return out
}

func (c *conn) written(ctx context.Context, name, to string, attributes, sent []string, f func([]goldap.Control) error, controls []goldap.Control) (*entry, error) {
	c.tap.listen()
	err := c.call(ctx, name, sent, func() error { return f(controls) })
	said := c.tap.heard()
	if err != nil {
		return nil, err
	}
	if after, ok := postRead(said); ok && c.postRead {
		return known(after), nil
	}
	after, err := c.at(ctx, to, attributes)
	if err == nil && after == nil {
		err = fault.New(fault.Transient, reasonMissing, "what was written a moment ago is not there")
	}
	return after, err
}

// selection is the value of a post-read: the attributes that are wanted.
func selection(attributes []string) string {
	p := ber.NewSequence("AttributeSelection")
	for _, a := range attributes {
		p.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, a, "attribute"))
	}
	return string(p.Bytes())
}
