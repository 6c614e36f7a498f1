package pipeline

import (
	"encoding/base32"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestMacOf: of a token the bytes that it spells; of no two texts the same.
func TestMacOf(t *testing.T) {
	spell := func(m mac) string {
		return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(m[:]))
	}
	rapid.Check(t, func(t *rapid.T) {
		m := mac(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes"))
		token := spell(m)
		if got := macOf(token); got != m {
			t.Errorf("%s is %x, want %x", token, got, m)
		}
		at := rapid.IntRange(0, len(token)-1).Draw(t, "at")
		other := token[:at] + rapid.StringMatching(`[a-z1-9A-Z._-]`).Draw(t, "other") + token[at+1:]
		if got := macOf(other); (got == m) != (other == token) {
			t.Errorf("%s and %s: %x", token, other, got)
		}
	})
	seen := map[mac]string{}
	for _, text := range []string{"", "_read", "-", strings.Repeat("a", 25), strings.Repeat("a", 26), strings.Repeat("a", 25) + "b", strings.Repeat("a", 27), strings.Repeat("A", 26)} {
		if other, twice := seen[macOf(text)]; twice {
			t.Errorf("%q and %q have the same bytes", text, other)
		}
		seen[macOf(text)] = text
	}
}

// TestRemember: the newest stay, each once, and what was handed out before does
// not change.
func TestRemember(t *testing.T) {
	var seen []mark
	for n := range seenLimit + 10 {
		before := append([]mark(nil), seen...)
		next := remember(seen, short(string(rune('A'+n))+"-record"))
		for i, m := range before {
			if seen[i] != m {
				t.Fatal("what was remembered before has changed")
			}
		}
		seen = next
		if len(remember(seen, seen[0])) != len(seen) {
			t.Fatal("the same id is remembered twice")
		}
	}
	if len(seen) != seenLimit || seen[seenLimit-1] != short(string(rune('A'+seenLimit+9))+"-record") {
		t.Errorf("%d are remembered, the last one %s", len(seen), seen[len(seen)-1])
	}
	texts := marked(seen)
	for i, m := range marks(append(texts, "longer than a mark is")) {
		if i < len(seen) && m != seen[i] || i == len(seen) && m.String() != "longer than " {
			t.Errorf("mark %d is %s", i, m)
		}
	}
	if marked(nil) != nil || marks(nil) != nil {
		t.Error("nothing is not nil")
	}
}

// TestLinkedElsewhere: one key of each account, the last one that was linked.
func TestLinkedElsewhere(t *testing.T) {
	ix := newIndex()
	ix.link("e1", "hris", "k1")
	ix.link("e1", "ats", "k1")
	ix.link("e1", "hris", "k2")
	for _, c := range []struct {
		id, source, token string
		want              bool
	}{
		{"e1", "hris", "k2", false}, {"e1", "hris", "k1", true}, {"e1", "ats", "k1", false}, {"e1", "ats", "k2", true},
		{"e1", "desk", "k1", false}, {"e2", "hris", "k1", false},
	} {
		if got := ix.linkedElsewhere(c.id, c.source, c.token); got != c.want {
			t.Errorf("%v: %t", c, got)
		}
	}
	if n := len(ix.employees["e1"].links); n != 2 {
		t.Errorf("%d links", n)
	}
}
