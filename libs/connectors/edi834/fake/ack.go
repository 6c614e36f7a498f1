package fake

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/muster-hr/muster/libs/connectors/edi834/x12"
)

// ta1 lays an interchange acknowledgement down.
func (c *carrier) ta1(number, code, note string) {
	now := c.o.Time()
	c.lay("TA1", number, []x12.Segment{{"TA1", number, now.Format("060102"), now.Format("1504"), code, note}}, 0)
}

// functional lays a 999 down (005010X231A1).
func (c *carrier) functional(g x12.Group, answers []x12.Segment) {
	now := c.o.Time()
	inner := append([]x12.Segment{{"ST", "999", "0001", "005010X231A1"}, {"AK1", g.GS.At(1), g.GS.At(6), g.GS.At(8)}}, answers...)
	inner = append(inner, x12.Segment{"SE", strconv.Itoa(len(inner) + 1), "0001"})
	control := strconv.Itoa(c.acks + 1)
	all := append([]x12.Segment{{"GS", "FA", g.GS.At(3), g.GS.At(2), now.Format("20060102"), now.Format("1504"), control, "X", "005010X231A1"}}, inner...)
	c.lay("999", fmt.Sprintf("%09s", g.GS.At(6)), append(all, x12.Segment{"GE", "1", control}), 1)
}

// lay writes an interchange into the answers folder.
func (c *carrier) lay(kind, number string, segments []x12.Segment, groups int) {
	if c.o.Settings["answers_folder"] == "" {
		return
	}
	c.acks++
	now := c.o.Time()
	var b strings.Builder
	fmt.Fprintf(&b, "ISA*00*          *00*          *ZZ*%-15s*ZZ*%-15s*%s*%s*^*00501*%09d*0*%s*:~\n", c.o.Settings["receiver"], c.o.Settings["sender"],
		now.Format("060102"), now.Format("1504"), c.acks, c.o.Settings["usage"])
	for _, s := range segments {
		b.WriteString(strings.Join(s, "*") + "~\n")
	}
	fmt.Fprintf(&b, "IEA*%d*%09d~\n", groups, c.acks)
	c.Lay(path.Join(c.o.Settings["answers_folder"], fmt.Sprintf("%s_%s_%d.edi", kind, number, c.acks)), []byte(b.String()))
}

// Complaint is what a translator has against a segment.
type Complaint struct {
	Segment     string
	Position    int // from ST = 1
	Loop        string
	Code        string // IK304
	Element     string // "" if it is the segment as a whole
	ElementCode string // IK403
	Subscriber  string // REF*0F of the loop, if it was read
}

// String names the place.
func (x Complaint) String() string {
	return fmt.Sprintf("%s/%s%s at %d: IK304=%s IK403=%s", x.Loop, x.Segment, x.Element, x.Position, x.Code, x.ElementCode)
}

func (x Complaint) segments() []x12.Segment {
	out := []x12.Segment{{"IK3", x.Segment, strconv.Itoa(x.Position), x.Loop, x.Code}}
	if x.Subscriber != "" {
		out = append(out, x12.Segment{"CTX", "SUBSCRIBER NUMBER REF02:" + x.Subscriber})
	}
	if x.Element != "" {
		out = append(out, x12.Segment{"IK4", x.Element, "", x.ElementCode})
	}
	return out
}
