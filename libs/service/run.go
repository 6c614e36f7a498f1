package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
)

// drainTimeout bounds the drain, so that with Close a service is gone 20 s
// after SIGTERM.
const drainTimeout = 16 * time.Second

// Server limits. A request body has its own limit where it is read.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
)

// Check adds something that must be in order before the service is ready. f
// has two seconds; a [NotReady] error is shown word for word.
func (s *Service) Check(name string, f func(context.Context) error) {
	s.ready.add(func(ctx context.Context) map[string]error { return map[string]error{name: f(ctx)} })
}

// CheckAll is Check for several things that are known by name only when asked.
func (s *Service) CheckAll(f func(context.Context) map[string]error) { s.ready.add(f) }

// Run serves HTTP on the address in the variable addrEnv (default
// 127.0.0.1:0) and runs the parts until ctx ends or one fails. Then everything
// drains: requests in flight are answered, the parts return. handler is
// mounted beside /healthz, /readyz and /metrics; it may be nil.
//
// A part returns nil when its context ends; coming back earlier without an
// error is fine. Run is nil after a clean stop.
func (s *Service) Run(ctx context.Context, addrEnv string, handler http.Handler, parts ...func(context.Context) error) error {
	listener, err := s.listen(ctx, addrEnv)
	if err != nil {
		return err
	}
	g, running := errgroup.WithContext(ctx)
	server := s.server(handler)
	g.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve http: %w", err)
		}
		return nil
	})
	for _, part := range parts {
		g.Go(func() error {
			err := part(running)
			if err != nil && running.Err() != nil && errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		})
	}
	<-running.Done()
	s.Log.InfoContext(ctx, "draining")

	draining, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	// Not an error yet: a long download is cut, the parts decide.
	if err := server.Shutdown(draining); err != nil {
		_ = server.Close()
	}
	done := make(chan error, 1)
	go func() { done <- g.Wait() }()
	select {
	case err := <-done:
		s.Log.InfoContext(ctx, "stopped")
		return err
	case <-draining.Done():
		return fmt.Errorf("did not drain within %s", drainTimeout)
	}
}

func (s *Service) listen(ctx context.Context, addrEnv string) (net.Listener, error) {
	addr := s.Getenv(addrEnv)
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrEnvironment, addrEnv, err)
	}
	url := "http://" + listener.Addr().String()
	s.Log.InfoContext(ctx, "listening", "url", url)
	if s.host.Listening != nil {
		s.host.Listening(s.Name, url)
	}
	return listener, nil
}

func (s *Service) server(handler http.Handler) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"ok":true}` + "\n"))
	})
	mux.Handle("GET /readyz", &s.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.Metrics, promhttp.HandlerOpts{}))
	if handler != nil {
		mux.Handle("/", handler)
	}
	return &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// A panic's text could hold what the request held.
		ErrorLog: slog.NewLogLogger(quiet{s.Log.Handler()}, slog.LevelWarn),
	}
}

// quiet keeps net/http's own log lines, which may quote requests, to their fact.
type quiet struct{ slog.Handler }

// Handle replaces the text.
func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	return q.Handler.Handle(ctx, slog.NewRecord(r.Time, r.Level, "http server complained", 0))
}
