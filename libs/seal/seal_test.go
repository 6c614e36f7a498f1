package seal

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/topology"
)

func open(t testing.TB, store Store, o Options) *Sealer {
	t.Helper()
	master, err := ParseMaster(NewMaster())
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), store, master, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEnvelopeComesBack(t *testing.T) {
	for _, off := range []bool{false, true} {
		s := open(t, &Memory{}, Options{Off: off})
		rapid.Check(t, func(rt *rapid.T) {
			e := Envelope{Head: rapid.SliceOf(rapid.Byte()).Draw(rt, "head")}
			if rapid.Bool().Draw(rt, "has basic") {
				e.Basic = append([]byte{'x'}, rapid.SliceOf(rapid.Byte()).Draw(rt, "basic")...)
			}
			if rapid.Bool().Draw(rt, "has restricted") {
				e.Restricted = append([]byte{'y'}, rapid.SliceOf(rapid.Byte()).Draw(rt, "restricted")...)
			}
			data, err := s.Seal(t.Context(), "owner", "aad", e)
			if err != nil {
				rt.Fatal(err)
			}
			got, err := s.Open(t.Context(), "owner", "aad", data, Basic, Restricted)
			if err != nil {
				rt.Fatal(err)
			}
			if !bytes.Equal(got.Head, e.Head) || !bytes.Equal(got.Basic, e.Basic) || !bytes.Equal(got.Restricted, e.Restricted) {
				rt.Fatalf("got %q, want %q", got, e)
			}
		})
	}
}

func TestSealedPartsHideTheirContent(t *testing.T) {
	s := open(t, &Memory{}, Options{})
	data, err := s.Seal(t.Context(), "e1", "id|type", Envelope{Head: []byte(`{"v":1}`), Basic: []byte(`planted-name`), Restricted: []byte(`planted-salary`)})
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte("planted")) {
		t.Error("the sealed data holds the clear text")
	}
	if head, err := Head(data); err != nil || string(head) != `{"v":1}` {
		t.Errorf("head = %s, %v", head, err)
	}
	got, err := s.Open(t.Context(), "e1", "id|type", data, Basic)
	if err != nil || string(got.Basic) != "planted-name" || got.Restricted != nil {
		t.Errorf("opening basic alone: %q, %v", got, err)
	}
}

func TestOpenRefusesWhatIsNotItsOwn(t *testing.T) {
	store := &Memory{}
	s := open(t, store, Options{Cache: 1})
	data, err := s.Seal(t.Context(), "e1", "a|b", Envelope{Head: []byte(`{}`), Basic: []byte(`x`)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), "e1", "a|c", data, Basic); err == nil {
		t.Error("opened with another message's identity")
	}
	if _, err := s.Seal(t.Context(), "e2", "a|b", Envelope{Basic: []byte(`x`)}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), "e2", "a|b", data, Basic); err == nil {
		t.Error("opened with another person's key")
	}
	altered := bytes.Clone(data)
	altered[len(altered)-1] ^= 1
	if _, err := s.Open(t.Context(), "e1", "a|b", altered, Basic); err == nil {
		t.Error("opened an altered message")
	}
	store.Delete(topology.Key("basic", "e1"))
	s.Forget("e1")
	if _, err := s.Open(t.Context(), "e1", "a|b", data, Basic); !errors.Is(err, ErrNoKey) {
		t.Errorf("after erasing the key: %v, want ErrNoKey", err)
	}
}

// Tokens stand in subjects and chains for ever: HMAC-SHA-256 of label and parts,
// whoever else makes one at the same time.
func TestTokenIsTheHMAC(t *testing.T) {
	store := &Memory{}
	master := mustMaster(t)
	s, err := New(t.Context(), store, master, Options{})
	if err != nil {
		t.Fatal(err)
	}
	secret, err := s.rawKey(t.Context(), topology.KeyHMAC, false)
	if err != nil {
		t.Fatal(err)
	}
	want := func(label string, parts ...string) string {
		h := hmac.New(sha256.New, secret)
		h.Write([]byte(strings.Join(append([]string{label}, parts...), "\x00")))
		return base32Lower.EncodeToString(h.Sum(nil)[:16])
	}
	rapid.Check(t, func(rt *rapid.T) {
		label, parts := rapid.String().Draw(rt, "label"), rapid.SliceOf(rapid.String()).Draw(rt, "parts")
		if got := s.Token(label, parts...); got != want(label, parts...) {
			rt.Fatalf("token %s, want %s", got, want(label, parts...))
		}
	})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 500 {
				key := strings.Repeat("k", n%70) + strconv.Itoa(i)
				if got := s.Token("key", "hris", key); got != want("key", "hris", key) {
					t.Errorf("token of %s: %s", key, got)
				}
			}
		})
	}
	wg.Wait()
}

func TestTwoSealersShareKeysAndTokens(t *testing.T) {
	store := &Memory{}
	master, err := ParseMaster(NewMaster())
	if err != nil {
		t.Fatal(err)
	}
	var sealers [2]*Sealer
	for i := range sealers {
		if sealers[i], err = New(t.Context(), store, master, Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := sealers[0].Token("key", "bamboohr", "117"), sealers[1].Token("key", "bamboohr", "117"); a != b || len(a) != 26 || !topology.ValidToken(a) {
		t.Errorf("tokens %q and %q", a, b)
	}
	if sealers[0].Token("key", "a", "bc") == sealers[0].Token("key", "ab", "c") {
		t.Error("two pairs share a token")
	}
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			from, to := sealers[i%2], sealers[1-i%2]
			data, err := from.Seal(t.Context(), "same", "x", Envelope{Basic: []byte(`hello`)})
			if err != nil {
				t.Error(err)
				return
			}
			if e, err := to.Open(t.Context(), "same", "x", data, Basic); err != nil || string(e.Basic) != "hello" {
				t.Errorf("opened %q, %v", e.Basic, err)
			}
		})
	}
	wg.Wait()
	if _, err := New(t.Context(), store, mustMaster(t), Options{}); err == nil {
		t.Error("another master key opened the store")
	}
}

func mustMaster(t *testing.T) Master {
	t.Helper()
	m, err := ParseMaster(NewMaster())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func FuzzOpen(f *testing.F) {
	s := open(f, &Memory{}, Options{})
	data, err := s.Seal(f.Context(), "o", "a", Envelope{Head: []byte(`{}`), Basic: []byte(`1`), Restricted: []byte(`2`)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = s.Open(t.Context(), "o", "a", b, Basic, Restricted)
	})
}
