package ldap

import (
	"bytes"
	"net"
	"sync"

	ber "github.com/go-asn1-ber/asn1-ber"
	goldap "github.com/go-ldap/ldap/v3"
)

// tap keeps what the server says to a write: go-ldap hands out no controls of
// the answer to an add or a rename, and the post-read is in them.
type tap struct {
	net.Conn

	mu   sync.Mutex
	on   bool
	said []byte
}

// Read is the connection's.
func (t *tap) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.mu.Lock()
	if t.on && len(t.said) < maxAnswer {
		t.said = append(t.said, p[:n]...)
	}
	t.mu.Unlock()
	return n, err
}

// listen keeps what is said from now on. There is no other call under way, so
// it begins with a message.
func (t *tap) listen() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.on, t.said = true, nil
}

// heard stops listening and gives what was said.
func (t *tap) heard() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	said := t.said
	t.on, t.said = false, nil
	return said
}

// postRead finds the entry of a post-read among a server's messages.
func postRead(said []byte) (*goldap.Entry, bool) {
	r := bytes.NewReader(said)
	for r.Len() > 0 {
		m, err := ber.ReadPacket(r)
		if err != nil {
			return nil, false
		}
		if len(m.Children) < 3 || m.Children[2].ClassType != ber.ClassContext || m.Children[2].Tag != 0 {
			continue
		}
		for _, control := range m.Children[2].Children {
			if len(control.Children) < 2 || str(control.Children[0]) != oidPostRead {
				continue
			}
			value := control.Children[len(control.Children)-1]
			if e, ok := searchEntry(octets(value)); ok {
				return e, true
			}
		}
	}
	return nil, false
}

// searchEntry reads a SearchResultEntry (RFC 4511 section 4.5.2).
func searchEntry(b []byte) (*goldap.Entry, bool) {
	p, err := ber.ReadPacket(bytes.NewReader(b))
	if err != nil || len(p.Children) < 2 {
		return nil, false
	}
	e := &goldap.Entry{DN: str(p.Children[0])}
	for _, a := range p.Children[1].Children {
		if len(a.Children) < 2 {
			return nil, false
		}
		attribute := &goldap.EntryAttribute{Name: str(a.Children[0])}
		for _, v := range a.Children[1].Children {
			attribute.Values = append(attribute.Values, str(v))
			attribute.ByteValues = append(attribute.ByteValues, octets(v))
		}
		e.Attributes = append(e.Attributes, attribute)
	}
	return e, e.DN != ""
}

func octets(p *ber.Packet) []byte {
	if p.Data == nil {
		return nil
	}
	return p.Data.Bytes()
}

func str(p *ber.Packet) string { return string(octets(p)) }
