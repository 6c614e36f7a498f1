package fake

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	ber "github.com/go-asn1-ber/asn1-ber"
)

// Op is the kind of a request, as the request log and faults name it.
type Op string

// The requests that are told apart.
const (
	OpBind     Op = "BIND"
	OpUnbind   Op = "UNBIND"
	OpSearch   Op = "SEARCH"
	OpModify   Op = "MODIFY"
	OpAdd      Op = "ADD"
	OpDelete   Op = "DELETE"
	OpRename   Op = "MODRDN"
	OpCompare  Op = "COMPARE"
	OpAbandon  Op = "ABANDON"
	OpExtended Op = "EXTENDED"
)

// ops are the requests by their tag, with the tag of the answer (RFC 4511
// section 4.2 and following).
var ops = map[ber.Tag]struct {
	op     Op
	answer ber.Tag
}{
	0: {OpBind, 1}, 2: {OpUnbind, 0}, 3: {OpSearch, 5}, 6: {OpModify, 7}, 8: {OpAdd, 9}, 10: {OpDelete, 11},
	12: {OpRename, 13}, 14: {OpCompare, 15}, 16: {OpAbandon, 0}, 23: {OpExtended, 24},
}

// Attribute is an attribute with its values.
type Attribute struct {
	Name   string
	Values []string
}

// Change is one part of a modify: 0 adds, 1 deletes, 2 replaces.
type Change struct {
	Kind int64
	Attribute
}

// Control is an extension of a request or an answer (RFC 4511 section 4.1.11).
type Control struct {
	OID      string
	Critical bool
	Value    []byte
}

// Request is one message of a client.
type Request struct {
	ID  int64
	Op  Op
	Raw []byte // as it came

	DN          string
	Password    string // of a bind
	Scope       int64  // of a search: 0 the entry, 1 those right below, 2 all below
	SizeLimit   int64
	Filter      *ber.Packet
	Wanted      []string    // attributes of a search
	Attributes  []Attribute // of an add
	Changes     []Change    // of a modify
	NewRDN      string      // of a rename
	DeleteOld   bool
	NewSuperior string
	Name        string // object identifier of an extended request
	Controls    []Control

	answer ber.Tag
}

var errMalformed = errors.New("the message is not LDAP")

// maxMessage bounds what a client may send at once.
const maxMessage = 4 << 20

// ReadRequest reads the next message of a client.
func ReadRequest(r io.Reader) (*Request, error) {
	var raw bytes.Buffer
	p, err := ber.ReadPacket(io.TeeReader(io.LimitReader(r, maxMessage), &raw))
	if err != nil {
		return nil, err
	}
	q, err := decode(p)
	if err == nil {
		q.Raw = raw.Bytes()
	}
	return q, err
}

func decode(p *ber.Packet) (*Request, error) {
	if len(p.Children) < 2 || p.Children[1].ClassType != ber.ClassApplication {
		return nil, errMalformed
	}
	body := p.Children[1]
	known, ok := ops[body.Tag]
	if !ok {
		return nil, fmt.Errorf("%w: request %d", errMalformed, body.Tag)
	}
	q := &Request{ID: number(p.Children[0]), Op: known.op, answer: known.answer}
	if len(p.Children) > 2 {
		q.Controls = decodeControls(p.Children[2])
	}
	f := body.Children
	need := map[Op]int{OpBind: 3, OpSearch: 8, OpModify: 2, OpAdd: 2, OpRename: 3, OpCompare: 2, OpExtended: 1}[q.Op]
	if len(f) < need {
		return nil, errMalformed
	}
	switch q.Op {
	case OpBind:
		q.DN, q.Password = text(f[1]), text(f[2])
	case OpSearch:
		q.DN, q.Scope, q.SizeLimit, q.Filter = text(f[0]), number(f[1]), number(f[3]), f[6]
		for _, a := range f[7].Children {
			q.Wanted = append(q.Wanted, text(a))
		}
	case OpModify:
		q.DN = text(f[0])
		for _, c := range f[1].Children {
			if len(c.Children) < 2 {
				return nil, errMalformed
			}
			a, ok := decodeAttribute(c.Children[1])
			if !ok {
				return nil, errMalformed
			}
			q.Changes = append(q.Changes, Change{number(c.Children[0]), a})
		}
	case OpAdd:
		q.DN = text(f[0])
		for _, x := range f[1].Children {
			a, ok := decodeAttribute(x)
			if !ok {
				return nil, errMalformed
			}
			q.Attributes = append(q.Attributes, a)
		}
	case OpDelete:
		q.DN = text(body)
	case OpRename:
		q.DN, q.NewRDN, q.DeleteOld = text(f[0]), text(f[1]), number(f[2]) != 0
		if len(f) > 3 {
			q.NewSuperior = text(f[3])
		}
	case OpCompare:
		q.DN = text(f[0])
	case OpExtended:
		q.Name = text(f[0])
	case OpUnbind, OpAbandon:
	}
	return q, nil
}

func decodeAttribute(p *ber.Packet) (Attribute, bool) {
	if len(p.Children) < 2 {
		return Attribute{}, false
	}
	a := Attribute{Name: text(p.Children[0])}
	for _, v := range p.Children[1].Children {
		a.Values = append(a.Values, text(v))
	}
	return a, a.Name != ""
}

func decodeControls(p *ber.Packet) []Control {
	var out []Control
	for _, c := range p.Children {
		if len(c.Children) == 0 {
			continue
		}
		x := Control{OID: text(c.Children[0])}
		for _, f := range c.Children[1:] {
			if f.Tag == ber.TagBoolean {
				x.Critical = number(f) != 0
			} else {
				x.Value = []byte(text(f))
			}
		}
		out = append(out, x)
	}
	return out
}

func text(p *ber.Packet) string {
	if p.Data == nil {
		return ""
	}
	return p.Data.String()
}

func number(p *ber.Packet) int64 {
	if p.Data == nil {
		return 0
	}
	n, err := ber.ParseInt64(p.Data.Bytes())
	if err != nil {
		return 0
	}
	return n
}

// Answer is the last message of an answer.
type Answer struct {
	Code     int
	Matched  string // how far the name exists, with code 32
	Text     string
	Controls []Control
}

// encode writes an answer to a request.
func (a Answer) encode(q *Request) []byte {
	body := ber.Encode(ber.ClassApplication, ber.TypeConstructed, q.answer, nil, "")
	body.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, int64(a.Code), ""))
	body.AppendChild(octets(a.Matched))
	body.AppendChild(octets(a.Text))
	m := message(q.ID, body)
	if len(a.Controls) > 0 {
		list := ber.Encode(ber.ClassContext, ber.TypeConstructed, 0, nil, "")
		for _, c := range a.Controls {
			x := ber.NewSequence("")
			x.AppendChild(octets(c.OID))
			x.AppendChild(octets(string(c.Value)))
			list.AppendChild(x)
		}
		m.AppendChild(list)
	}
	return m.Bytes()
}

func message(id int64, body *ber.Packet) *ber.Packet {
	m := ber.NewSequence("")
	m.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	m.AppendChild(body)
	return m
}

func octets(s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
}

// found is a SearchResultEntry.
func found(dn string, attributes []Attribute) *ber.Packet {
	body := ber.Encode(ber.ClassApplication, ber.TypeConstructed, 4, nil, "")
	body.AppendChild(octets(dn))
	list := ber.NewSequence("")
	for _, a := range attributes {
		x := ber.NewSequence("")
		x.AppendChild(octets(a.Name))
		set := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
		for _, v := range a.Values {
			set.AppendChild(octets(v))
		}
		x.AppendChild(set)
		list.AppendChild(x)
	}
	body.AppendChild(list)
	return body
}
