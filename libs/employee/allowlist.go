package employee

import (
	"slices"
	"strings"
	"sync"
)

// AllowList is what one integration may send: paths, each covering everything
// below it. It remembers its answers, because the same few dozen leaves come
// again with every change. Safe for concurrent use.
type AllowList struct {
	has, touches answers
}

// NewAllowList makes an allow-list of canonical paths.
func NewAllowList(entries []string) *AllowList {
	has := func(leaf string) bool {
		return slices.ContainsFunc(entries, func(e string) bool { return Covers(e, leaf) })
	}
	touches := func(pattern string) bool {
		return has(pattern) || slices.ContainsFunc(entries, func(e string) bool { return Covers(pattern, e) })
	}
	return &AllowList{answers{to: has}, answers{to: touches}}
}

// Has tells whether a leaf may be sent.
func (a *AllowList) Has(leaf string) bool { return a.has.of(leaf) }

// Touches tells whether a changed pattern concerns a leaf that may be sent: it
// is covered, or something below it is.
func (a *AllowList) Touches(pattern string) bool { return a.touches.of(pattern) }

// answers remembers what a question about a path was answered.
type answers struct {
	to    func(path string) bool
	mu    sync.RWMutex
	known map[string]bool
}

// answersKept bounds them: keys of positions come from vendors.
const answersKept = 1024

func (a *answers) of(path string) bool {
	a.mu.RLock()
	yes, ok := a.known[path]
	a.mu.RUnlock()
	if ok {
		return yes
	}
	yes = a.to(path)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil || len(a.known) >= answersKept {
		a.known = map[string]bool{}
	}
	a.known[strings.Clone(path)] = yes // it may be a piece of a whole message
	return yes
}

// Minimise keeps the leaves that may be sent.
func (a *AllowList) Minimise(f Flat) Flat {
	var room [40]said // most have fewer
	kept := room[:0]
	for leaf, v := range f {
		if a.Has(leaf) {
			kept = append(kept, said{leaf, v})
		}
	}
	return flat(kept)
}
