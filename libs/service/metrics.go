package service

import (
	"context"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Labels come from short closed lists (names of the company's folder,
// outcomes, reasons), never from a person. Each constructor registers with the
// service's registry and panics if the name is taken, which is a mistake in
// the program.

func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Counter makes and registers a counter: muster_ingress_requests_total{source,code}.
func (s *Service) Counter(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	s.Metrics.MustRegister(c)
	return c
}

// Gauge makes and registers a gauge: muster_breaker_state{target}.
func (s *Service) Gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	s.Metrics.MustRegister(g)
	return g
}

// GaugeOf registers a gauge that asks f when it is read.
func (s *Service) GaugeOf(name, help string, labels prometheus.Labels, f func() float64) {
	s.Metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, f))
}

// Histogram makes and registers a histogram of seconds, from 5 ms to an hour:
// muster_delivery_latency_seconds{target}.
func (s *Service) Histogram(name, help string, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help,
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600}}, labels)
	s.Metrics.MustRegister(h)
	return h
}

// lagWithin bounds the question behind a lag: a scrape must not hang on a
// broker that is away.
const lagWithin = time.Second

// Lag registers muster_lag_messages{consumer} for a durable consumer: messages
// that wait there, not delivered or not acknowledged. While the broker does not
// answer the value is NaN.
func (s *Service) Lag(stream, durable string) {
	s.GaugeOf("muster_lag_messages", "Messages that wait at a consumer.", prometheus.Labels{"consumer": durable}, func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), lagWithin)
		defer cancel()
		state, err := s.Bus.ConsumerState(ctx, stream, durable)
		if err != nil {
			return math.NaN()
		}
		return float64(state.Pending) + float64(state.AckPending)
	})
}
