package csv

import (
	"cmp"
	"fmt"
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
	shapes := map[string]string{}
	for _, f := range files {
		names[f.Name], shapes[f.Name] = true, fmt.Sprint(f.Size, "@", f.Modified.Unix())
	}
	for _, f := range files {
		order, ok := s.name.match(f.Name)
		if !ok {
			continue
		}
		c := candidate{File: f, token: token(f.Name), order: order}
		c.seen = p.Seen[c.token]
		proof := shapes[beside(s.manifest, f.Name)]
		switch {
		case c.seen == nil, proof != "" && proof != c.seen.Proof: // what is behind its manifest is judged anew
			c.seen = &seen{Size: f.Size, Time: f.Modified.Unix(), Since: now, First: now, Proof: proof}
		case !c.seen.is(f):
			c.seen = &seen{Size: f.Size, Time: f.Modified.Unix(), Since: now, First: now, Proof: proof, Bad: c.seen.Bad}
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

// is tells whether a file still looks as it did.
func (s *seen) is(f sftpx.File) bool { return s.Size == f.Size && s.Time == f.Modified.Unix() }

// ready tells whether a file is whole as far as can be seen from outside: its
// companions are there, and neither it nor its manifest has changed for a while.
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
// already is done too. Where another one has its name by now, that one stays:
// nobody has read it.
func (s *source) putAway(sess *sftpx.Session, a *away, was *seen) error {
	files, err := sess.List(s.folder)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(files, func(f sftpx.File) bool { return token(f.Name) == a.Token })
	if i < 0 || was != nil && !was.is(files[i]) {
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
