package event

import (
	"net/url"
	"strings"

	ce "github.com/cloudevents/sdk-go/v2/event"
)

// setSource is SetSource without a parse for what nearly every source is, a
// plain path.
func setSource(e *Event, source string) {
	c, ok := e.Context.(*ce.EventContextV1)
	if !ok || !plainPath(source) {
		e.SetSource(source)
		return
	}
	c.Source.URL = url.URL{Path: source}
	delete(e.FieldErrors, "source")
}

// sourceOf is e.Source(), which puts a plain path together anew.
func sourceOf(e Event) string {
	if c, ok := e.Context.(*ce.EventContextV1); ok && c.Source.URL == (url.URL{Path: c.Source.Path}) && plainPath(c.Source.Path) {
		return c.Source.Path
	}
	return e.Source()
}

// plainPath tells whether a URI reference is a path and nothing else, of
// characters that no form of it escapes.
func plainPath(s string) bool {
	if !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '/' && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// valid tells of an event with the required attributes and no more whether it
// is valid; of any other it says no.
func valid(e Event) bool {
	c, ok := e.Context.(*ce.EventContextV1)
	return ok && len(e.FieldErrors) == 0 && c.ID != "" && c.Type != "" && plainPath(c.Source.Path) &&
		c.DataContentType == nil && c.DataSchema == nil && c.Subject == nil
}
