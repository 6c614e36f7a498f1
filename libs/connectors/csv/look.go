package csv

import (
	"cmp"
	"path"
	"slices"
	"time"

	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/connector/sftpx"
	"github.com/muster-hr/muster/libs/fault"
)

// mostFiles bounds what lies in a feed's folder, and with it the cursor.
const mostFiles = 1000

// incompleteAfter is when a person is told of a file that does not become whole.
const incompleteAfter = time.Hour

// candidate is a file of the feed as it lies there.
type candidate struct {
	sftpx.File
	token string
	order uint64
	*seen
}

// look lists the folder and brings what the cursor knows of it up to date:
// files of the feed in their order, and the names of all.
func (s *source) look(sess *sftpx.Session, p *place) (feed []candidate, names map[string]bool, err error) {
	files, err := sess.List(s.folder)
	if err != nil {
		return nil, nil, err
	}
	now := s.now().Unix()
	names, there := map[string]bool{}, map[string]*seen{}
	for _, f := range files {
		names[f.Name] = true
		order, ok := s.name.match(f.Name)
		if !ok {
			continue
		}
		c := candidate{File: f, token: token(f.Name), order: order}
		c.seen = p.Seen[c.token]
		switch {
		case c.seen == nil:
			c.seen = &seen{Size: f.Size, Time: f.Modified.Unix(), Since: now, First: now}
		case c.seen.Size != f.Size || c.seen.Time != f.Modified.Unix():
			c.seen = &seen{Size: f.Size, Time: f.Modified.Unix(), Since: now, First: now, Bad: c.seen.Bad}
		}
		there[c.token] = c.seen
		feed = append(feed, c)
	}
	if len(feed) > mostFiles {
		return nil, nil, fault.New(fault.Target, "too_many_files", "more than %d files of the feed lie in its folder: set archive, or move old ones away", mostFiles)
	}
	p.Seen = there
	slices.SortFunc(feed, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.order, b.order), a.Modified.Compare(b.Modified), cmp.Compare(a.Name, b.Name))
	})
	return feed, names, nil
}

// ready tells whether a file is whole as far as can be seen from outside: its
// companions are there, and it has not changed for a while.
func (s *source) ready(c candidate, names map[string]bool) bool {
	for _, template := range []string{s.manifest, s.marker} {
		if template != "" && !names[beside(template, c.Name)] {
			return false
		}
	}
	return s.now().Sub(time.Unix(c.Since, 0)) >= s.stable
}

// tell lists something about a file once.
func (c candidate) tell(page *connector.Page, reason string) {
	if c.Told == reason {
		return
	}
	c.Told = reason
	page.Rejected = append(page.Rejected, connector.Rejected{ID: c.token + "." + reason, Reason: reason, Rule: c.label("")})
}

// label names a file in a form that holds nothing of its content or name, and
// that a person finds it by.
func (c candidate) label(sum string) string {
	switch {
	case sum != "":
		return "sha256 " + sum[:12]
	case c.order > 0:
		return "file " + decimal(c.order)
	}
	return "file " + c.token
}

// putAway moves a file that is done, with its companions. That it is gone
// already is done too.
func (s *source) putAway(sess *sftpx.Session, a *away) error {
	files, err := sess.List(s.folder)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(files, func(f sftpx.File) bool { return token(f.Name) == a.Token })
	if i < 0 {
		return nil
	}
	to := s.archive
	if a.Refused {
		to = s.refused
	}
	// The companions go first: without them nobody takes the file again, and
	// the file is what a repeat looks for.
	for _, name := range []string{beside(s.manifest, files[i].Name), beside(s.marker, files[i].Name), files[i].Name} {
		if !slices.ContainsFunc(files, func(f sftpx.File) bool { return f.Name == name }) {
			continue
		}
		from := path.Join(s.folder, name)
		if s.remove && !a.Refused {
			if err := sess.Remove(from); err != nil {
				return err
			}
			continue
		}
		err := sess.Move(from, path.Join(to, name))
		if f := fault.Of(err); f != nil && f.Reason == sftpx.ReasonExists {
			err = sess.Move(from, path.Join(to, a.Sum[:12]+"_"+name))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
