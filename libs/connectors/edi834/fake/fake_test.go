package fake_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-hr/muster/libs/connector/fake"
	vendorfake "github.com/muster-hr/muster/libs/connectors/edi834/fake"
	"github.com/muster-hr/muster/libs/connectors/edi834/x12"
)

func sample(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile("../testdata/vendor/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func carrier() fake.Vendor {
	return vendorfake.New(fake.Options{
		Now:      func() time.Time { return time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC) },
		Settings: map[string]string{"folder": "in", "answers_folder": "out", "usage": "T", "sender": "ALPINEHR", "receiver": "NORTHWIND"},
	})
}

// TestEnvelope: what is wrong with an interchange has its TA1, and nobody in it
// is taken.
func TestEnvelope(t *testing.T) {
	add := sample(t, "add.edi")
	for _, c := range []struct{ what, old, new, file string }{
		{"right", "", "", "/out/999_000000101_2.edi"},
		{"cut off", "IEA*1*000000101~\n", "", "/out/TA1_000000101_1.edi"},
		{"numbers", "IEA*1*000000101", "IEA*1*000000102", "/out/TA1_000000101_1.edi"},
		{"production", "*1*T*:~", "*1*P*:~", "/out/TA1_000000101_1.edi"},
		{"another receiver", "NORTHWIND      *260302", "SOUTHWIND      *260302", "/out/TA1_000000101_1.edi"},
	} {
		v := carrier()
		if _, err := v.Do(t.Context(), "take", map[string]any{"text": strings.Replace(add, c.old, c.new, 1)}); err != nil {
			t.Fatal(err)
		}
		state, _ := v.Log().State()
		if state[c.file] == nil || (state["E10482"] != nil) != (c.what == "right") {
			t.Errorf("%s: %v", c.what, slices.Sorted(maps.Keys(state)))
		}
	}
	v := carrier()
	for range 2 {
		if _, err := v.Do(t.Context(), "take", map[string]any{"text": add}); err != nil {
			t.Fatal(err)
		}
	}
	if state, writes := v.Log().State(); len(writes) != 3 || state["/out/TA1_000000101_3.edi"] == nil {
		t.Errorf("%d writes, %v; the same file twice counts once", len(writes), slices.Sorted(maps.Keys(state)))
	}
	if _, err := v.Do(t.Context(), "hire", nil); !errors.As(err, new(fake.ErrUnknownVerb)) {
		t.Errorf("hire: %v", err)
	}
}

// TestCheck: a translator finds what the guide forbids, at its position, and has
// nothing against the vendor's samples.
func TestCheck(t *testing.T) {
	for _, name := range []string{"add.edi", "change.edi", "dependant-add-twins.edi", "termination.edi", "full-file.edi"} {
		if got := check(t, sample(t, name)); got != nil {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got, want := check(t, sample(t, "sent-then-rejected.edi")), []string{"2100A/DMG2 at 12: IK304=8 IK403=8", "2000/REF at 18: IK304=3 IK403="}; cmp.Diff(want, got) != "" {
		t.Errorf("what the vendor's 999 says of it: %q", got)
	}
	add := sample(t, "add.edi")
	for _, c := range []struct{ old, new, want string }{
		{"DMG*D8*19910704", "DMG*D8*19910732", "2100A/DMG2 at 20: IK304=8 IK403=8"},
		{"DMG*D8*19910704*F", "DMG*D8*19910704*X", "2100A/DMG3 at 20: IK304=8 IK403=7"},
		{"NM1*IL*1*O'BRIEN-NUNEZ*ZOE", "NM1*IL*1**ZOE", "2100A/NM13 at 16: IK304=8 IK403=1"},
		{"*ZOE*M***34*900123401", "*ZOE*M***34", "2100A/NM19 at 16: IK304=8 IK403=2"},
		{"N4*SEATTLE*WA", "N4*SEATTLE*WX", "2100A/N42 at 19: IK304=8 IK403=7"},
		{"N3*1420 NE 45TH ST", "N3* 1420 NE 45TH ST", "2100A/N31 at 18: IK304=8 IK403=6"},
		{"INS*Y*18*021*28*A***FT", "INS*Y*18*021*28*A", "2000/INS8 at 10: IK304=8 IK403=2"},
		{"QTY*TO*3", "QTY*TO*4", "/QTY2 at 5: IK304=8 IK403=7"},
		{"DTP*348*D8*20260301~\nSE", "SE", "2300/DTP at 39: IK304=3 IK403="},
		{"REF*38*GRP-448210", "XX*38", "/XX at 3: IK304=2 IK403="},
	} {
		if !strings.Contains(add, c.old) {
			t.Fatalf("the sample has no %s", c.old)
		}
		got := check(t, strings.Replace(add, c.old, c.new, 1))
		if len(got) == 0 || !slices.Contains(got, c.want) {
			t.Errorf("%s: %q, want %s", c.new, got, c.want)
		}
	}
}

func check(t *testing.T, text string) (out []string) {
	t.Helper()
	all, err := x12.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range vendorfake.Check(all[0].Groups[0].Sets[0], false) {
		out = append(out, fmt.Sprint(c))
	}
	return out
}
