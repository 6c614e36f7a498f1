package bus

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// ServerOptions say how to run the embedded server.
type ServerOptions struct {
	StoreDir   string // where the streams are kept; required
	Host       string // default 127.0.0.1
	Port       int    // 0: 4222 or, if it is taken, any free one; -1: any free one; else that one or an error
	SyncAlways bool   // fsync before every acknowledgement
	Users      []User // nobody listed: no authentication
	MaxPayload int    // largest message with its headers in bytes; default 1 MiB
	Log        *slog.Logger
}

// User is a user of the server, known by the public half of its NKey. Nil
// lists mean everything.
type User struct {
	Name      string
	PublicKey string
	Publish   []string // subjects it may publish on, wildcards allowed
	Subscribe []string // subjects it may subscribe to
}

// Server is a NATS server with JetStream inside this process.
type Server struct {
	opts ServerOptions

	mu   sync.Mutex
	srv  *server.Server
	port int
}

const defaultPort = 4222

// StartServer starts a server and returns when it takes connections. It
// installs no signal handlers. A port that was set by hand and is taken is an
// error.
func StartServer(o ServerOptions) (*Server, error) {
	if o.StoreDir == "" {
		return nil, fmt.Errorf("start nats server: no store directory")
	}
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{opts: o}
	switch {
	case o.Port > 0:
		s.port = o.Port
	case o.Port == 0 && free(o.Host, defaultPort) == nil:
		s.port = defaultPort
	default:
		s.port = server.RANDOM_PORT
	}
	if err := s.start(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Server) start() error {
	o := s.opts
	if s.port > 0 {
		if err := free(o.Host, s.port); err != nil {
			return fmt.Errorf("start nats server: port %d: %w", s.port, err)
		}
	}
	opts := &server.Options{
		ServerName:             "muster",
		Host:                   o.Host,
		Port:                   s.port,
		NoSigs:                 true,
		NoLog:                  true,
		JetStream:              true,
		StoreDir:               o.StoreDir,
		SyncAlways:             o.SyncAlways,
		MaxPayload:             int32(o.MaxPayload),
		DisableJetStreamBanner: true,
	}
	for _, u := range o.Users {
		n := &server.NkeyUser{Nkey: u.PublicKey}
		if u.Publish != nil || u.Subscribe != nil {
			n.Permissions = &server.Permissions{Publish: permission(u.Publish), Subscribe: permission(u.Subscribe)}
		}
		opts.Nkeys = append(opts.Nkeys, n)
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("start nats server: %w", err)
	}
	l := &serverLog{log: o.Log}
	srv.SetLoggerV2(l, false, false, false)
	srv.Start()
	if !srv.ReadyForConnections(20 * time.Second) {
		srv.Shutdown()
		srv.WaitForShutdown()
		return fmt.Errorf("start nats server: not ready after 20 s: %s", l.last())
	}
	if addr, ok := srv.Addr().(*net.TCPAddr); ok {
		s.port = addr.Port
	}
	s.srv = srv
	return nil
}

// permission allows what is listed: nil everything, an empty list nothing.
func permission(allow []string) *server.SubjectPermission {
	switch {
	case allow == nil:
		return nil
	case len(allow) == 0:
		return &server.SubjectPermission{Deny: []string{">"}}
	}
	return &server.SubjectPermission{Allow: allow}
}

// free tells whether a port can be listened on.
func free(host string, port int) error {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return l.Close()
}

// ClientURL is where clients connect, `nats://127.0.0.1:4222`.
func (s *Server) ClientURL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return "nats://" + net.JoinHostPort(s.opts.Host, strconv.Itoa(s.port))
}

// Shutdown stops the server and waits until its files are closed. It may be
// called twice.
func (s *Server) Shutdown() {
	s.mu.Lock()
	srv := s.srv
	s.srv = nil
	s.mu.Unlock()
	if srv != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
	}
}

// Restart stops the server, if it runs, and starts it again on the same port
// and directory. Connections, in-process ones included, reconnect.
func (s *Server) Restart() error {
	s.Shutdown()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.start()
}

// InProcessConn connects without a socket; it is called by the client.
func (s *Server) InProcessConn() (net.Conn, error) {
	s.mu.Lock()
	srv := s.srv
	s.mu.Unlock()
	if srv == nil {
		return nil, fmt.Errorf("the embedded nats server is not running")
	}
	return srv.InProcessConn()
}

// serverLog passes warnings and worse to slog.
type serverLog struct {
	log *slog.Logger
	mu  sync.Mutex
	err string
}

func (l *serverLog) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *serverLog) Warnf(format string, v ...any) {
	l.log.Warn("nats server", "message", fmt.Sprintf(format, v...))
}

func (l *serverLog) Errorf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.mu.Lock()
	l.err = text
	l.mu.Unlock()
	l.log.Error("nats server", "message", text)
}

func (l *serverLog) Fatalf(format string, v ...any) { l.Errorf(format, v...) }
func (l *serverLog) Noticef(string, ...any)         {}
func (l *serverLog) Debugf(string, ...any)          {}
func (l *serverLog) Tracef(string, ...any)          {}
