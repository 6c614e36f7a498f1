package httpconn

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/muster-hr/muster/libs/connector"
)

// signature checks an HMAC (RFC 2104) that stands in a header.
type signature struct {
	header   string
	tsHeader string
	idHeader string
	over     []piece
	format   []piece
	hash     func() hash.Hash
	keys     []*signingKey // more than one while a key is being replaced
	maxAge   time.Duration
}

// signingKey computes with one key. What HMAC derives from a key takes as long
// as a body of a hundred bytes, so it is kept.
type signingKey struct{ macs sync.Pool }

func newSigningKey(hash func() hash.Hash, key []byte) *signingKey {
	return &signingKey{sync.Pool{New: func() any { return &mac{hash: hmac.New(hash, key)} }}}
}

// mac is an HMAC with room for its sum.
type mac struct {
	hash hash.Hash
	sum  [sha512.Size]byte
}

// piece of a template: a literal or a placeholder's name.
type piece struct {
	text string
	name bool
}

// pieces cuts a template at its placeholders, of which only the allowed exist.
func pieces(setting, s string, allowed ...string) ([]piece, error) {
	var out []piece
	for s != "" {
		before, rest, found := strings.Cut(s, "{")
		if before != "" {
			out = append(out, piece{text: before})
		}
		if !found {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed || !slices.Contains(allowed, name) {
			return nil, fmt.Errorf("%s: after { stands one of %s, then }", setting, strings.Join(allowed, ", "))
		}
		out = append(out, piece{name, true})
		s = after
	}
	return out, nil
}

func has(ps []piece, name string) bool { return slices.Contains(ps, piece{name, true}) }

func newSignature(a connector.Account, key string) (*signature, error) {
	s := &signature{
		header:   a.Text("signature.header"),
		tsHeader: a.Text("signature.timestamp_header"),
		idHeader: a.Text("signature.id_header"),
		maxAge:   a.Duration("signature.max_age"),
	}
	var err error
	if s.over, err = pieces("signature.over", or(a.Text("signature.over"), "{body}"), "body", "ts", "id"); err != nil {
		return nil, err
	}
	if s.format, err = pieces("signature.format", or(a.Text("signature.format"), "{hex}"), "hex", "b64", "b64url", "ts"); err != nil {
		return nil, err
	}
	switch alg := or(a.Text("signature.algorithm"), "sha256"); alg {
	case "sha256":
		s.hash = sha256.New
	case "sha512":
		s.hash = sha512.New
	case "sha1":
		s.hash = sha1.New // some senders know no other; HMAC-SHA1 is not broken
	default:
		return nil, fmt.Errorf("signature.algorithm: %q is not one of sha256, sha512, sha1", alg)
	}
	for line := range strings.Lines(key) {
		k, err := decodeKey(or(a.Text("signature.key_encoding"), "text"), strings.TrimRight(line, "\r\n"))
		if err != nil {
			return nil, err
		}
		s.keys = append(s.keys, newSigningKey(s.hash, k))
	}
	return s, s.check()
}

func decodeKey(encoding, key string) (k []byte, err error) {
	switch encoding {
	case "text":
		k = []byte(key)
	case "base64":
		k, err = base64.StdEncoding.DecodeString(key)
	case "hex":
		k, err = hex.DecodeString(key)
	default:
		return nil, fmt.Errorf("signature.key_encoding: %q is not one of text, base64, hex", encoding)
	}
	if err != nil || len(k) == 0 {
		// The decoder's error quotes the secret's characters.
		return nil, fmt.Errorf("signature.key_encoding: the secret webhook cannot be read as %s", encoding)
	}
	return k, nil
}

// check refuses combinations that would verify nothing.
func (s *signature) check() error {
	values := 0
	for i, p := range s.format {
		if p.name && p.text != "ts" {
			values++
		}
		if i > 0 && p.name && s.format[i-1].name {
			return fmt.Errorf("signature.format: two placeholders need something between them")
		}
	}
	switch {
	case values != 1:
		return fmt.Errorf("signature.format: name exactly one of {hex}, {b64}, {b64url}")
	case !has(s.over, "body"):
		return fmt.Errorf("signature.over: without {body} anybody who saw one call could send another")
	case has(s.over, "ts") && s.tsHeader == "" && !has(s.format, "ts"):
		return fmt.Errorf("signature.over: {ts} needs signature.timestamp_header, or {ts} in signature.format")
	case has(s.over, "id") && s.idHeader == "":
		return fmt.Errorf("signature.over: {id} needs signature.id_header")
	case s.maxAge > 0 && !has(s.over, "ts"):
		return fmt.Errorf("signature.max_age: without {ts} in signature.over the time is not proven")
	}
	return nil
}

// verify says why a call is not authentic, "" if it is.
func (s *signature) verify(h http.Header, body []byte, now time.Time) string {
	values := h[http.CanonicalHeaderKey(s.header)]
	if len(values) == 0 {
		return "missing"
	}
	ts := h.Get(s.tsHeader)
	for _, v := range values {
		sum, inside, ok := s.read(strings.TrimSpace(v))
		if !ok {
			continue
		}
		if has(s.format, "ts") {
			ts = inside
		}
		if !slices.ContainsFunc(s.keys, func(key *signingKey) bool { return s.signed(sum, key, body, ts, h.Get(s.idHeader)) }) {
			continue
		}
		if s.maxAge > 0 {
			at, err := readTime(ts)
			if err != nil || now.Sub(at).Abs() > s.maxAge {
				return "timestamp"
			}
		}
		return ""
	}
	return "signature"
}

// signed tells whether a sum is that of a call.
func (s *signature) signed(sum []byte, key *signingKey, body []byte, ts, id string) bool {
	m := key.macs.Get().(*mac)
	defer key.macs.Put(m)
	h := m.hash
	h.Reset()
	for _, p := range s.over {
		switch {
		case !p.name:
			h.Write([]byte(p.text))
		case p.text == "body":
			h.Write(body)
		case p.text == "ts":
			h.Write([]byte(ts))
		case p.text == "id":
			h.Write([]byte(id))
		}
	}
	return hmac.Equal(sum, h.Sum(m.sum[:0]))
}

// read takes the header's value apart by the format.
func (s *signature) read(v string) (sum []byte, ts string, ok bool) {
	for i, p := range s.format {
		if !p.name {
			if v, ok = strings.CutPrefix(v, p.text); !ok {
				return nil, "", false
			}
			continue
		}
		value := v
		if i+1 < len(s.format) { // a literal follows, check saw to it
			j := strings.Index(v, s.format[i+1].text)
			if j < 0 {
				return nil, "", false
			}
			value = v[:j]
		}
		v = v[len(value):]
		var err error
		switch p.text {
		case "ts":
			ts = value
		case "hex":
			sum, err = hex.DecodeString(value)
		case "b64":
			sum, err = base64.StdEncoding.DecodeString(value)
		case "b64url": // some senders pad, some do not
			sum, err = base64.RawURLEncoding.DecodeString(strings.TrimRight(value, "="))
		}
		if err != nil {
			return nil, "", false
		}
	}
	return sum, ts, v == "" && sum != nil
}

// readTime reads Unix seconds, Unix milliseconds (from 12 digits) or RFC 3339.
func readTime(s string) (time.Time, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		if len(s) >= 12 {
			return time.UnixMilli(n), nil
		}
		return time.Unix(n, 0), nil
	}
	return time.Parse(time.RFC3339, s)
}

// credential checks a secret that travels as it is.
type credential struct {
	header string
	want   [][sha256.Size]byte // more than one while a secret is being replaced
}

// newCredential gives nil when none is configured.
func newCredential(a connector.Account, key string) (*credential, error) {
	c := &credential{header: "Authorization"}
	kind := or(a.Text("auth"), "none")
	switch kind {
	case "none":
		return nil, nil
	case "bearer", "basic":
	case "header":
		if c.header = a.Text("auth.header"); c.header == "" {
			return nil, fmt.Errorf("auth.header: name the header that carries the secret")
		}
	default:
		return nil, fmt.Errorf("auth: %q is not one of none, bearer, basic, header", kind)
	}
	for line := range strings.Lines(key) {
		value := strings.TrimRight(line, "\r\n")
		switch {
		case value == "":
			return nil, fmt.Errorf("the secret webhook has an empty line")
		case kind == "basic" && !strings.Contains(value, ":"):
			return nil, fmt.Errorf("auth: for basic the secret webhook reads user:password")
		case kind == "basic":
			value = "Basic " + base64.StdEncoding.EncodeToString([]byte(value))
		case kind == "bearer":
			value = "Bearer " + value
		}
		c.want = append(c.want, sha256.Sum256([]byte(value)))
	}
	return c, nil
}

// verify compares digests in constant time, so that neither content nor
// length can be found out by measuring.
func (c *credential) verify(h http.Header) string {
	values := h[http.CanonicalHeaderKey(c.header)]
	if len(values) != 1 {
		return "missing"
	}
	v := values[0]
	if c.header == "Authorization" { // the scheme's name has no case (RFC 9110 section 11.1)
		if scheme, rest, ok := strings.Cut(v, " "); ok {
			for _, s := range []string{"Bearer", "Basic"} {
				if strings.EqualFold(scheme, s) {
					v = s + " " + rest
				}
			}
		}
	}
	got := sha256.Sum256([]byte(v))
	for _, want := range c.want {
		if subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
			return ""
		}
	}
	return "credential"
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
