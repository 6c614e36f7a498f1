package bamboohr

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
)

// node is one place of a form with PHP brackets: a text or children by name,
// in the order in which they came.
type node struct {
	text  string
	names []string
	kids  map[string]*node
}

// maxDepth is well above what the vendor nests (employees, id, fields, label).
const maxDepth = 8

// formToJSON turns `data[employeeId]=4117&data[changedFields][0]=jobTitle` into
// the JSON of the same message, so that both formats are read by one piece of
// code. `employees` becomes the list that JSON bodies have.
func formToJSON(body []byte) ([]byte, error) {
	root := &node{}
	for pair := range strings.SplitSeq(strings.TrimSpace(string(body)), "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, errName := url.QueryUnescape(name)
		value, errValue := url.QueryUnescape(value)
		if errName != nil || errValue != nil {
			return nil, unreadable("", "a field of the form has a broken percent escape")
		}
		path, ok := brackets(name)
		if !ok {
			return nil, unreadable("", "a name in the form has unbalanced brackets or is nested too deeply")
		}
		if !root.put(path, value) {
			return nil, unreadable("", "a name in the form is both a value and a group")
		}
	}
	tree, _ := root.value().(map[string]any)
	if e := root.kids["employees"]; e != nil && e.kids != nil {
		list := make([]any, len(e.names))
		for i, id := range e.names {
			list[i] = e.kids[id].employee(id)
		}
		tree["employees"] = list
	}
	return json.Marshal(tree)
}

// brackets splits `a[b][c d]` into its names. An empty pair counts up, as PHP
// does, and is told as "".
func brackets(name string) ([]string, bool) {
	first, rest, nested := strings.Cut(name, "[")
	path := []string{first}
	if first == "" {
		return nil, false
	}
	for nested {
		part, after, closed := strings.Cut(rest, "]")
		if !closed || len(path) >= maxDepth {
			return nil, false
		}
		path = append(path, part)
		if after == "" {
			return path, true
		}
		if after[0] != '[' {
			return nil, false
		}
		rest = after[1:]
	}
	return path, true
}

// put stores a text; false if the place is already a group, or a text where a
// group is needed.
func (n *node) put(path []string, text string) bool {
	for i, name := range path {
		if name == "" {
			name = strconv.Itoa(len(n.names))
		}
		if n.kids == nil {
			if i > 0 && n.text != "" {
				return false
			}
			n.kids = map[string]*node{}
		}
		kid := n.kids[name]
		if kid == nil {
			kid = &node{}
			n.kids[name] = kid
			n.names = append(n.names, name)
		}
		n = kid
	}
	if n.kids != nil {
		return false
	}
	n.text = text // the last one wins, as in PHP
	return true
}

// value is a text, a list (names 0, 1, 2 … in order) or an object.
func (n *node) value() any {
	if n.kids == nil {
		return n.text
	}
	list := make([]any, 0, len(n.names))
	for i, name := range n.names {
		if name != strconv.Itoa(i) {
			return n.object()
		}
		list = append(list, n.kids[name].value())
	}
	return list
}

func (n *node) object() map[string]any {
	m := make(map[string]any, len(n.names))
	for _, name := range n.names {
		m[name] = n.kids[name].value()
	}
	return m
}

// employee is one entry of a field-based form; its group is named by the id.
// Labels stay labels, also when they look like places in a list.
func (n *node) employee(id string) any {
	if n.kids == nil {
		return n.text
	}
	m := n.object()
	if f := n.kids["fields"]; f != nil && f.kids != nil {
		m["fields"] = f.object()
	}
	if m["id"] == nil {
		m["id"] = id
	}
	return m
}
