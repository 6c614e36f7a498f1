package traces

import (
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	wire "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// What is taken of one request and of one span; a longer text is cut.
const (
	maxBody       = 16 << 20
	maxSpan       = 256 << 10 // of one span or resource, encoded; a larger one is refused
	minSpan       = 28        // its two ids
	maxAttributes = 64
	maxLinks      = 32
	maxText       = 1024
	maxDepth      = 4 // of lists in lists
)

const protobuf = "application/x-protobuf"

// ServeHTTP is an OTLP/HTTP endpoint for traces, binary protobuf, plain or
// gzip (OTLP 1.x, section "OTLP/HTTP"). What is not such a request is answered
// 400, 413 or 415; spans without valid ids are counted as rejected.
func (s *Store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if typ, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || typ != protobuf {
		http.Error(w, "send OTLP as "+protobuf, http.StatusUnsupportedMediaType)
		return
	}
	body, status, err := readBody(w, r)
	if err != nil {
		http.Error(w, err.Error(), status)
		return
	}
	spans, rejected, err := decode(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.add(spans)
	var answer collector.ExportTraceServiceResponse
	if rejected > 0 {
		answer.PartialSuccess = &collector.ExportTracePartialSuccess{
			RejectedSpans: int64(rejected), ErrorMessage: fmt.Sprintf("a span needs a trace id of 16 bytes, a span id of 8, and no more than %d bytes in all", maxSpan),
		}
	}
	out, err := proto.Marshal(&answer)
	if err != nil {
		http.Error(w, "cannot write the answer", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", protobuf)
	_, _ = w.Write(out) // the exporter has gone away
}

func readBody(w http.ResponseWriter, r *http.Request) (body []byte, status int, err error) {
	var in io.Reader = http.MaxBytesReader(w, r.Body, maxBody)
	switch r.Header.Get("Content-Encoding") {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, http.StatusBadRequest, fmt.Errorf("the body is not gzip")
		}
		in = z
	default:
		return nil, http.StatusUnsupportedMediaType, fmt.Errorf("send the body plain or as gzip")
	}
	body, err = io.ReadAll(io.LimitReader(in, maxBody+1))
	if _, large := errors.AsType[*http.MaxBytesError](err); large || len(body) > maxBody {
		return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("more than %d bytes", maxBody)
	}
	if err != nil {
		return nil, http.StatusBadRequest, fmt.Errorf("the body cannot be read")
	}
	return body, 0, nil
}

// The numbers of the fields that lead to the spans, opentelemetry/proto:
// collector/trace/v1 and trace/v1.
const (
	resourceSpans = 1 // of ExportTraceServiceRequest
	resourceField = 1 // of ResourceSpans
	scopeSpans    = 2 // of ResourceSpans
	spansField    = 2 // of ScopeSpans
)

var errNotOTLP = errors.New("the body is not an ExportTraceServiceRequest")

// decode turns a request's bytes into spans to keep. It decodes span by span: a
// body of empty spans, decoded whole, takes 150 times its size.
func decode(body []byte) (spans []stored, rejected int, err error) {
	err = each(body, resourceSpans, func(rs []byte) error {
		service := "unknown"
		if err := each(rs, resourceField, func(b []byte) error { return named(b, &service) }); err != nil {
			return err
		}
		return each(rs, scopeSpans, func(ss []byte) error {
			return each(ss, spansField, func(b []byte) error {
				if len(b) < minSpan || len(b) > maxSpan {
					rejected++
					return nil
				}
				var s wire.Span
				if err := proto.Unmarshal(b, &s); err != nil {
					return errNotOTLP
				}
				kept, ok := keep(&s, service)
				if !ok {
					rejected++
					return nil
				}
				spans = append(spans, kept)
				return nil
			})
		})
	})
	return spans, rejected, err
}

// each calls f with every value of one field of an encoded message.
func each(b []byte, field protowire.Number, f func([]byte) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errNotOTLP
		}
		size := protowire.ConsumeFieldValue(number, kind, b[n:])
		if size < 0 {
			return errNotOTLP
		}
		if number == field && kind == protowire.BytesType {
			v, _ := protowire.ConsumeBytes(b[n:]) // it is whole
			if err := f(v); err != nil {
				return err
			}
		}
		b = b[n+size:]
	}
	return nil
}

// named reads a resource's service.name.
func named(b []byte, service *string) error {
	var r resource.Resource
	if len(b) > maxSpan || proto.Unmarshal(b, &r) != nil {
		return errNotOTLP
	}
	for _, a := range r.GetAttributes() {
		if a.GetKey() == "service.name" {
			*service = cut(a.GetValue().GetStringValue())
		}
	}
	return nil
}

func keep(s *wire.Span, service string) (stored, bool) {
	out := stored{
		name: cut(s.GetName()), service: service, reason: cut(s.GetStatus().GetMessage()),
		start: nanos(s.GetStartTimeUnixNano()), end: nanos(s.GetEndTimeUnixNano()),
	}
	if !id(out.trace[:], s.GetTraceId()) || !id(out.id[:], s.GetSpanId()) {
		return stored{}, false
	}
	if len(s.GetParentSpanId()) > 0 {
		id(out.parent[:], s.GetParentSpanId())
	}
	if k := s.GetKind(); k >= 0 && int(k) < len(kinds) {
		out.kind = byte(k)
	}
	if c := s.GetStatus().GetCode(); c >= 0 && int(c) < len(statuses) {
		out.status = byte(c)
	}
	for _, l := range s.GetLinks() {
		if len(out.links) < maxLinks && len(l.GetTraceId()) == 16 && len(l.GetSpanId()) == 8 {
			out.links = append(out.links, Link{hex.EncodeToString(l.GetTraceId()), hex.EncodeToString(l.GetSpanId())})
		}
	}
	attributes := make(map[string]any, len(s.GetAttributes())+1)
	for _, a := range s.GetAttributes() {
		if len(attributes) < maxAttributes {
			attributes[cut(a.GetKey())] = value(a.GetValue(), 0)
		}
	}
	attributes["service.name"] = service
	var err error
	out.attributes, err = json.Marshal(attributes)
	return out, err == nil
}

// id copies an id that has the right length and is not all zero.
func id(to, from []byte) bool {
	if len(from) != len(to) {
		return false
	}
	zero := true
	for _, b := range from {
		zero = zero && b == 0
	}
	copy(to, from)
	return !zero
}

// nanos keeps a time that an int64 can hold (until the year 2262).
func nanos(t uint64) int64 {
	const latest = 1<<63 - 1
	return int64(min(t, latest)) //nolint:gosec // bounded
}

func value(v *common.AnyValue, depth int) any {
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return cut(v.StringValue)
	case *common.AnyValue_BoolValue:
		return v.BoolValue
	case *common.AnyValue_IntValue:
		return v.IntValue
	case *common.AnyValue_DoubleValue:
		if _, err := json.Marshal(v.DoubleValue); err != nil {
			return fmt.Sprint(v.DoubleValue) // NaN and the infinities are not JSON
		}
		return v.DoubleValue
	case *common.AnyValue_ArrayValue:
		if depth >= maxDepth {
			return nil
		}
		out := make([]any, 0, min(len(v.ArrayValue.GetValues()), maxAttributes))
		for _, e := range v.ArrayValue.GetValues()[:cap(out)] {
			out = append(out, value(e, depth+1))
		}
		return out
	}
	return nil // bytes and tables: none of our spans has them
}

func cut(s string) string {
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
