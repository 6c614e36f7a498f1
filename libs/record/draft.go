package record

import "sync"

// draft is room for what is about to be sealed. An envelope copies its parts, so
// nothing keeps them once a message is packed and the room serves the next one.
type draft struct{ text []byte }

var drafts = sync.Pool{New: func() any { return new(draft) }}

// draftLimit in bytes is what is kept for the next message: few are larger.
const draftLimit = 64 << 10

func newDraft() *draft { return drafts.Get().(*draft) }

// add gives what write appends; nil if that is nothing. It is good until the
// draft is done.
func (d *draft) add(write func([]byte) ([]byte, error)) ([]byte, error) {
	from := len(d.text)
	text, err := write(d.text)
	if err != nil || len(text) == from {
		return nil, err
	}
	d.text = text
	return text[from:len(text):len(text)], nil
}

func (d *draft) done() {
	if cap(d.text) <= draftLimit {
		d.text = d.text[:0]
		drafts.Put(d)
	}
}
