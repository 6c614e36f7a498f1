package bamboohr

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// An import of many people of one family name would read the same pages before
// each create, so a list of several pages is remembered for a minute; those
// whom we create meanwhile are added. What others type in that minute is not
// in it: the vendor refuses a second person with the same work e-mail.
const (
	listingAge = time.Minute
	listingMax = 64 // family names; more forget all
	namesakes  = 5  // people of the same name that are looked at one by one
)

// listed is one line of a list of employees.
type listed struct {
	id     string
	given  string
	looked bool   // ours is known
	ours   string // our id that is written there
	identity
}

// listings are the remembered lists by family name. Safe for concurrent use.
type listings struct {
	mu       sync.Mutex
	byFamily map[string]*listing
}

type listing struct {
	at     time.Time
	people []listed
}

// get gives the list of a family name if it is fresh.
func (l *listings) get(family string, now time.Time) ([]listed, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.byFamily[strings.ToLower(family)]
	if x == nil || now.Sub(x.at) >= listingAge {
		return nil, false
	}
	return slices.Clone(x.people), true
}

func (l *listings) put(family string, people []listed, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byFamily == nil || len(l.byFamily) >= listingMax {
		l.byFamily = map[string]*listing{}
	}
	l.byFamily[strings.ToLower(family)] = &listing{now, slices.Clone(people)}
}

// drop forgets the list of a family name.
func (l *listings) drop(family string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.byFamily, strings.ToLower(family))
}

// learn notes which id of ours somebody has.
func (l *listings) learn(family, id, ours string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.byFamily[strings.ToLower(family)]
	if x == nil {
		return
	}
	if i := slices.IndexFunc(x.people, func(p listed) bool { return p.id == id }); i >= 0 {
		x.people[i].looked, x.people[i].ours = true, ours
	}
}

// add notes somebody who was created just now.
func (l *listings) add(family string, p listed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if x := l.byFamily[strings.ToLower(family)]; x != nil {
		x.people = append(x.people, p)
	}
}
