package seal

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/muster-hr/muster/libs/secret"
	"github.com/muster-hr/muster/libs/topology"
)

// Master is the key that wraps all data keys.
type Master struct{ aead cipher.AEAD }

// ParseMaster reads a master key: 32 bytes as base64 text, as [NewMaster] writes.
func ParseMaster(v secret.Value) (Master, error) {
	raw, err := base64.StdEncoding.DecodeString(v.Reveal())
	if err != nil || len(raw) != 32 {
		return Master{}, errors.New("a master key is 32 random bytes as base64 text")
	}
	aead, err := newAEAD(raw)
	return Master{aead}, err
}

// NewMaster makes the text of a fresh master key.
func NewMaster() secret.Value {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails, see crypto/rand
	return secret.New(base64.StdEncoding.EncodeToString(raw))
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// key gives the cipher of one part of one owner; with create it is made when
// it does not exist. Whoever stores first wins, the others take that one.
func (s *Sealer) key(ctx context.Context, part Part, owner string, create bool) (cipher.AEAD, error) {
	at := owned{part, owner}
	if k, ok := s.keys.Get(at); ok {
		return k, nil
	}
	return s.fetch(ctx, at, create)
}

// owned names a key.
type owned struct {
	part  Part
	owner string
}

// fetch gets a key that is not at hand from the store, once for all who ask at
// the same time.
func (s *Sealer) fetch(ctx context.Context, at owned, create bool) (cipher.AEAD, error) {
	subject := topology.Key(string(at.part), at.owner)
	v, err, _ := s.flight.Do(subject, func() (any, error) {
		raw, err := s.rawKey(ctx, subject, create)
		if err != nil {
			return nil, err
		}
		k, err := newAEAD(raw)
		if err == nil {
			s.keys.Add(at, k)
		}
		return k, err
	})
	if err != nil {
		return nil, err
	}
	return v.(cipher.AEAD), nil
}

// Forget drops an owner's keys from memory, after they were deleted.
func (s *Sealer) Forget(owner string) {
	s.keys.Remove(owned{Basic, owner})
	s.keys.Remove(owned{Restricted, owner})
}

func (s *Sealer) rawKey(ctx context.Context, subject string, create bool) ([]byte, error) {
	for {
		wrapped, err := s.store.Get(ctx, subject)
		if err == nil {
			return s.unwrap(subject, wrapped)
		}
		if !errors.Is(err, ErrNoKey) || !create {
			return nil, err
		}
		raw := make([]byte, 32)
		if _, err := rand.Read(raw); err != nil {
			return nil, err
		}
		err = s.store.Create(ctx, subject, s.wrap(subject, raw))
		if err == nil {
			return raw, nil
		}
		if !errors.Is(err, ErrKeyExists) {
			return nil, err
		}
	}
}

func (s *Sealer) wrap(subject string, raw []byte) []byte {
	nonce := make([]byte, nonceBytes)
	_, _ = rand.Read(nonce) // never fails, see crypto/rand
	return s.master.Seal(nonce, nonce, raw, []byte(subject))
}

func (s *Sealer) unwrap(subject string, wrapped []byte) ([]byte, error) {
	if len(wrapped) < nonceBytes {
		return nil, fmt.Errorf("the wrapped key %s is damaged", subject)
	}
	raw, err := s.master.Open(nil, wrapped[:nonceBytes], wrapped[nonceBytes:], []byte(subject))
	if err != nil {
		return nil, fmt.Errorf("the wrapped key %s was not made with this master key", subject)
	}
	return raw, nil
}
