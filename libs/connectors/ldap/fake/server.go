package fake

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net"
	"strconv"
	"time"

	"github.com/muster-hr/muster/libs/connector/fake"
)

// Session answers the requests of one connection, in order.
type Session interface {
	// Answer gives whole messages and the result code of the last one. An error
	// cuts the connection.
	Answer(q *Request) (messages [][]byte, code int, err error)
	Close()
}

// Server speaks LDAP on connections and lets faults loose on them. What stands
// behind it is the faked directory, or a real server that a test looks at.
type Server struct {
	Open   func(ctx context.Context) (Session, error) // one per connection
	TLS    *tls.Config                                // for StartTLS; nil: it is refused
	Faults *fake.Faults
	Saw    func(*Request) // each request as it arrives; may be nil
}

// oidStartTLS asks for TLS on a connection (RFC 4511 section 4.14).
const oidStartTLS = "1.3.6.1.4.1.1466.20037"

// Serve takes connections until ctx ends, then closes them all and l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error { return fake.Accept(ctx, l, s.talk) }

// line is one connection with its client.
type line struct {
	net.Conn               // inside TLS after StartTLS
	requests chan *Request // closed when the client has left
	resume   chan struct{} // after the answer to StartTLS
	left     context.CancelFunc
}

// read takes requests ahead of their answers, so that it shows at once when the
// client leaves.
func (l *line) read(ctx context.Context) {
	defer close(l.requests)
	defer l.left()
	for {
		q, err := ReadRequest(l.Conn)
		if err != nil || q.Op == OpUnbind {
			return
		}
		select {
		case l.requests <- q:
		case <-ctx.Done():
			return
		}
		if q.Op == OpExtended && q.Name == oidStartTLS { // what follows may be TLS
			select {
			case <-l.resume:
			case <-ctx.Done():
				return
			}
		}
	}
}

// talk serves one connection.
func (s *Server) talk(ctx context.Context, c net.Conn) {
	defer func() { _ = c.Close() }()
	ctx, left := context.WithCancel(ctx)
	defer left()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	session, err := s.Open(ctx)
	if err != nil {
		return
	}
	defer session.Close()
	l := &line{Conn: c, requests: make(chan *Request), resume: make(chan struct{}), left: left}
	go l.read(ctx)
	for q := range l.requests {
		if s.Saw != nil {
			s.Saw(q)
		}
		if q.Op == OpAbandon {
			continue
		}
		messages, ok := s.answer(ctx, session, q)
		if !ok {
			return
		}
		for _, m := range messages {
			if _, err := l.Write(m); err != nil {
				return
			}
		}
		if q.Op == OpExtended && q.Name == oidStartTLS {
			if s.TLS != nil {
				l.Conn = tls.Server(c, s.TLS)
			}
			select {
			case l.resume <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}
}

// answer lets faults strike before or after the effect; false cuts the
// connection.
func (s *Server) answer(ctx context.Context, session Session, q *Request) ([][]byte, bool) {
	seen := fake.Seen{At: time.Now().UTC(), Method: string(q.Op), Path: q.DN}
	defer func() { s.Faults.Note(seen) }()
	x, struck := s.Faults.Strike(seen.Method, seen.Path)
	if struck && x.LatencyMS > 0 {
		t := time.NewTimer(time.Duration(x.LatencyMS) * time.Millisecond)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil, false
		}
	}
	instead, answers := disturbed(x)
	answers = answers && struck
	if answers && x.When != fake.AfterEffect {
		seen.Status = status(instead.Code)
		return [][]byte{instead.encode(q)}, true
	}
	messages, code, err := s.real(session, q)
	if err != nil {
		return nil, false
	}
	if struck && x.Hold {
		if code == 0 && !s.Faults.Hold(ctx) {
			return nil, false
		}
		struck = answers // else the real answer goes out
	}
	if struck && x.When == fake.AfterEffect {
		if !answers {
			return nil, false
		}
		messages, code = [][]byte{instead.encode(q)}, instead.Code
	}
	seen.Status = status(code)
	return messages, true
}

func (s *Server) real(session Session, q *Request) ([][]byte, int, error) {
	if q.Op != OpExtended || q.Name != oidStartTLS {
		return session.Answer(q)
	}
	a := Answer{}
	if s.TLS == nil {
		a = Answer{Code: 2, Text: "unsupported extended operation"}
	}
	return [][]byte{a.encode(q)}, a.Code, nil
}

// codes translate the statuses of faults, which are HTTP's, and back for the
// request log: 0 would be a cut connection there.
var codes = []struct{ status, code int }{
	{200, 0}, {401, 49}, {403, 50}, {404, 32}, {409, 68}, {409, 19}, {412, 122}, {422, 21}, {422, 65}, {422, 64}, {422, 53},
	{429, 51}, {500, 80}, {503, 52}, {502, 52}, {504, 52},
}

func status(code int) int {
	for _, c := range codes {
		if c.code == code {
			return c.status
		}
	}
	return 400
}

// disturbed is the answer that a fault gives instead: its header Result names
// the code, else the status is translated; its body, a JSON text, is the
// diagnostic message.
func disturbed(x fake.Fault) (Answer, bool) {
	if x.Status == 0 && x.Response == nil {
		return Answer{}, false
	}
	want := x.Status
	a := Answer{Code: 80}
	if x.Response != nil {
		if x.Response.Status != 0 {
			want = x.Response.Status
		}
		_ = json.Unmarshal(x.Response.Body, &a.Text) // no text: none is said
	}
	for _, c := range codes {
		if c.status == want {
			a.Code = c.code
			break
		}
	}
	if x.Response != nil {
		if n, err := strconv.Atoi(x.Response.Headers["Result"]); err == nil {
			a.Code = n
		}
	}
	return a, true
}
