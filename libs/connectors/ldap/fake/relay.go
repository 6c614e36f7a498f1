package fake

import (
	"bytes"
	"io"
	"net"

	ber "github.com/go-asn1-ber/asn1-ber"
)

// Relay is a session that passes everything on to another server, so that a
// test can disturb a real one and look at what it is sent. Sent, if set, is
// told of every answer.
type Relay struct {
	Conn net.Conn
	Sent func(q *Request, code int)
}

// Answer passes a request on and waits for the whole answer.
func (r *Relay) Answer(q *Request) ([][]byte, int, error) {
	if _, err := r.Conn.Write(q.Raw); err != nil {
		return nil, 0, err
	}
	var messages [][]byte
	for {
		var raw bytes.Buffer
		p, err := ber.ReadPacket(io.TeeReader(r.Conn, &raw))
		if err != nil {
			return nil, 0, err
		}
		messages = append(messages, raw.Bytes())
		if len(p.Children) < 2 || p.Children[1].Tag != q.answer || len(p.Children[1].Children) == 0 {
			continue // an entry of a search
		}
		code := int(number(p.Children[1].Children[0]))
		if r.Sent != nil {
			r.Sent(q, code)
		}
		return messages, code, nil
	}
}

// Close ends the connection to the other server.
func (r *Relay) Close() { _ = r.Conn.Close() }
