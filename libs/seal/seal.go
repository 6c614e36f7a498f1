// Package seal keeps personal data in messages unreadable without its key.
//
// A message's data is an envelope of a clear head and up to two sealed parts:
//
//	┌ version ┬ head: JSON, nothing personal ┬ basic: AES-256-GCM ┬ restricted: AES-256-GCM ┐
//
// Each owner (an employee, or the token of a vendor's key until the record is
// linked) has one random data key per part, wrapped by the master key and kept
// as a message of its own. Deleting the wrapped key erases the data wherever
// it was copied. The head (ids, versions, paths, outcomes) is what the audit
// and the in-memory indexes read; it needs no key.
package seal

import (
	"context"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"slices"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"github.com/muster-hr/muster/libs/topology"
)

// Part is one sealed part of an envelope.
type Part string

// The parts. Restricted holds identifier, pay, benefit and survey data; a
// delivery fetches its key only if its allow-list needs it.
const (
	Basic      Part = "basic"
	Restricted Part = "restricted"
)

// Envelope is a message's data in the clear. Each field is JSON; a nil part is absent.
type Envelope struct {
	Head       json.RawMessage
	Basic      json.RawMessage
	Restricted json.RawMessage
}

// Store keeps wrapped keys by subject.
type Store interface {
	// Get reads a wrapped key; ErrNoKey if there is none.
	Get(ctx context.Context, subject string) ([]byte, error)
	// Create stores a wrapped key durably; ErrKeyExists if somebody was first.
	Create(ctx context.Context, subject string, wrapped []byte) error
}

// What a Store answers, and what Open answers when a key was erased.
var (
	ErrNoKey     = errors.New("no such key")
	ErrKeyExists = errors.New("the key exists")
)

// Options of a Sealer.
type Options struct {
	Off   bool // MUSTER_SEALING=off: parts travel in the clear
	Cache int  // keys kept in memory, default 8192
}

// Sealer seals and opens envelopes and makes the tokens that stand for
// personal keys. Safe for concurrent use.
type Sealer struct {
	store  Store
	master cipher.AEAD
	macs   sync.Pool // of *mac
	off    bool
	keys   *lru.Cache[owned, cipher.AEAD]
	flight singleflight.Group
}

// New opens a sealer over a store of wrapped keys. The HMAC secret is a wrapped
// key of its own, made by whoever comes first.
func New(ctx context.Context, store Store, master Master, o Options) (*Sealer, error) {
	if o.Cache <= 0 {
		o.Cache = 8192
	}
	cache, err := lru.New[owned, cipher.AEAD](o.Cache)
	if err != nil {
		return nil, err
	}
	s := &Sealer{store: store, master: master.aead, off: o.Off, keys: cache}
	secret, err := s.rawKey(ctx, topology.KeyHMAC, true)
	if err != nil {
		return nil, fmt.Errorf("the secret behind tokens: %w", err)
	}
	s.macs.New = func() any { return &mac{hash: hmac.New(sha256.New, secret)} }
	return s, nil
}

// Token is a keyed pseudonym of parts, the same everywhere and for ever: 26
// characters of [a-z2-7]. label keeps the uses apart.
func (s *Sealer) Token(label string, parts ...string) string {
	m := s.macs.Get().(*mac)
	defer s.macs.Put(m)
	m.text = append(m.text[:0], label...)
	for _, p := range parts {
		m.text = append(append(m.text, 0), p...)
	}
	m.hash.Reset()
	m.hash.Write(m.text)
	m.text = m.hash.Sum(m.text[:0])
	var token [26]byte
	base32Lower.Encode(token[:], m.text[:16])
	return string(token[:])
}

var base32Lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// mac is the HMAC under the sealer's secret, and room for what it is taken of.
// Keying it costs more than a token, so each is used by one token after another.
type mac struct {
	hash hash.Hash
	text []byte
}

const (
	formatV1   = 1
	partBasic  = 1
	partRestr  = 2
	plainFlag  = 0x80
	nonceBytes = 12
)

// Seal packs an envelope for owner. aad binds the sealed parts to their
// message: the event's id and type. Keys that do not exist yet are created.
func (s *Sealer) Seal(ctx context.Context, owner, aad string, e Envelope) ([]byte, error) {
	if err := s.both(ctx, owner, e); err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(e.Head)+len(e.Basic)+len(e.Restricted)+96)
	out = append(out, formatV1)
	out = binary.AppendUvarint(out, uint64(len(e.Head)))
	out = append(out, e.Head...)
	for _, p := range []struct {
		part Part
		kind byte
		data []byte
	}{{Basic, partBasic, e.Basic}, {Restricted, partRestr, e.Restricted}} {
		if p.data == nil {
			continue
		}
		if s.off {
			out = append(out, p.kind|plainFlag)
			out = binary.AppendUvarint(out, uint64(len(p.data)))
			out = append(out, p.data...)
			continue
		}
		key, err := s.key(ctx, p.part, owner, true)
		if err != nil {
			return nil, fmt.Errorf("key of %s: %w", p.part, err)
		}
		out = append(out, p.kind)
		out = binary.AppendUvarint(out, uint64(nonceBytes+len(p.data)+key.Overhead()))
		at := len(out)
		out = append(out, make([]byte, nonceBytes)...)
		if _, err := rand.Read(out[at:]); err != nil {
			return nil, err
		}
		out = key.Seal(out, out[at:at+nonceBytes], p.data, additional(p.part, owner, aad))
	}
	return out, nil
}

// both makes or fetches the keys of both parts at the same time, where neither
// is at hand: each waits for the store.
func (s *Sealer) both(ctx context.Context, owner string, e Envelope) error {
	if s.off || e.Basic == nil || e.Restricted == nil || s.keys.Contains(owned{Basic, owner}) {
		return nil
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, p := range []Part{Basic, Restricted} {
		g.Go(func() error {
			if _, err := s.key(gctx, p, owner, true); err != nil {
				return fmt.Errorf("key of %s: %w", p, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// Open unpacks an envelope. Only the named parts are opened and only their
// keys are fetched; none named opens the head alone. ErrNoKey means that the
// owner was erased.
func (s *Sealer) Open(ctx context.Context, owner, aad string, data []byte, parts ...Part) (Envelope, error) {
	head, rest, err := split(data)
	if err != nil {
		return Envelope{}, err
	}
	e := Envelope{Head: head}
	for len(rest) > 0 {
		kind := rest[0]
		n, w := binary.Uvarint(rest[1:])
		if w <= 0 || n > uint64(len(rest)-1-w) {
			return Envelope{}, errFormat
		}
		body := rest[1+w : 1+w+int(n)]
		rest = rest[1+w+int(n):]
		part := Basic
		if kind&^plainFlag == partRestr {
			part = Restricted
		} else if kind&^plainFlag != partBasic {
			return Envelope{}, errFormat
		}
		if !slices.Contains(parts, part) {
			continue
		}
		plain := body
		if kind&plainFlag == 0 {
			if plain, err = s.open(ctx, part, owner, aad, body); err != nil {
				return Envelope{}, err
			}
		}
		if part == Basic {
			e.Basic = plain
		} else {
			e.Restricted = plain
		}
	}
	return e, nil
}

func (s *Sealer) open(ctx context.Context, part Part, owner, aad string, body []byte) ([]byte, error) {
	if len(body) < nonceBytes {
		return nil, errFormat
	}
	key, err := s.key(ctx, part, owner, false)
	if err != nil {
		return nil, fmt.Errorf("key of %s: %w", part, err)
	}
	plain, err := key.Open(nil, body[:nonceBytes], body[nonceBytes:], additional(part, owner, aad))
	if err != nil {
		return nil, fmt.Errorf("the sealed %s part does not belong to this message or was altered: %w", part, ErrForeign)
	}
	return plain, nil
}

// Head is the clear head of a message's data. It needs no key.
func Head(data []byte) (json.RawMessage, error) {
	head, _, err := split(data)
	return head, err
}

// ErrForeign says that the data is no envelope, or a sealed part does not belong to the
// message or was altered. It will never open.
var ErrForeign = errors.New("not of this seal")

var errFormat = fmt.Errorf("not a sealed envelope: %w", ErrForeign)

func split(data []byte) (head, rest []byte, err error) {
	if len(data) < 2 || data[0] != formatV1 {
		return nil, nil, errFormat
	}
	n, w := binary.Uvarint(data[1:])
	if w <= 0 || n > uint64(len(data)-1-w) {
		return nil, nil, errFormat
	}
	return data[1+w : 1+w+int(n)], data[1+w+int(n):], nil
}

func additional(part Part, owner, aad string) []byte {
	b := make([]byte, 0, len(part)+len(owner)+len(aad)+2)
	b = append(append(b, part...), 0)
	b = append(append(b, owner...), 0)
	return append(b, aad...)
}
