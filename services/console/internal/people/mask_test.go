package people

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/muster-hr/muster/libs/employee"
)

const planted = "Planted-7f3a"

// values of a person, each of which would give the test away.
func value(t *rapid.T, depth int) any {
	kind := rapid.IntRange(0, 6).Draw(t, "kind")
	if depth > 3 && kind > 4 {
		kind = 0
	}
	switch kind {
	case 0, 1:
		return rapid.StringN(0, 5, -1).Draw(t, "before") + planted + rapid.StringN(0, 5, -1).Draw(t, "after")
	case 2:
		return json.Number("918273.645")
	case 3:
		return nil
	case 4:
		return rapid.Bool().Draw(t, "bool")
	case 5:
		list := make([]any, rapid.IntRange(0, 3).Draw(t, "n"))
		for i := range list {
			list[i] = value(t, depth+1)
		}
		return list
	}
	table := map[string]any{}
	for i := range rapid.IntRange(0, 3).Draw(t, "n") {
		table[fmt.Sprint("name", i)] = value(t, depth+1)
	}
	return table
}

// No value of a person is in the masked output, whatever the field and the
// form of the value, and the structure is the same as before.
func TestMaskHidesEveryValueAndKeepsTheStructure(t *testing.T) {
	leaves := []string{"custom.badge", "phones[mobile]", "addresses[home]", "national_ids[US/ssn]", "positions[primary].title",
		"positions[p2].manager", "positions[primary].cost_centers", "employment.leave", "unheard.of"}
	for _, f := range employee.Fields() {
		if f.Leaf && !strings.Contains(f.Pattern, "[]") && !open(f.Pattern) {
			leaves = append(leaves, f.Pattern)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		f := employee.Flat{"id": "abcdefghijklmnopqrstuvwxyz", "employment.status": "active", "external.bamboohr": []any{"117"}}
		for _, leaf := range rapid.SliceOfDistinct(rapid.SampledFrom(leaves), rapid.ID).Draw(t, "leaves") {
			f[leaf] = value(t, 0)
		}
		before, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		masked := Mask(f)
		out, err := json.Marshal(masked)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{planted, "918273", "true", "false"} {
			if strings.Contains(string(out), secret) {
				t.Fatalf("%s is in %s", secret, out)
			}
		}
		if masked["id"] != f["id"] || masked["employment.status"] != "active" || !reflect.DeepEqual(masked["external.bamboohr"], f["external.bamboohr"]) {
			t.Fatalf("ids and status are hidden: %s", out)
		}
		if len(masked) != len(f) {
			t.Fatalf("%d leaves became %d", len(f), len(masked))
		}
		for leaf, v := range f {
			if !sameShape(v, masked[leaf]) {
				t.Fatalf("%s: %#v became %#v", leaf, v, masked[leaf])
			}
		}
		if after, _ := json.Marshal(f); string(after) != string(before) {
			t.Fatal("Mask changed what it was given")
		}
	})
}

func sameShape(a, b any) bool {
	switch a := a.(type) {
	case nil:
		return b == nil
	case map[string]any:
		m, ok := b.(map[string]any)
		if !ok || len(m) != len(a) {
			return false
		}
		for name, v := range a {
			if other, ok := m[name]; !ok || !sameShape(v, other) {
				return false
			}
		}
		return true
	case []any:
		l, ok := b.([]any)
		if !ok || len(l) != len(a) {
			return false
		}
		for i := range a {
			if !sameShape(a[i], l[i]) {
				return false
			}
		}
		return true
	}
	_, table := b.(map[string]any)
	_, list := b.([]any)
	return b != nil && !table && !list
}

func TestMaskShowsAManagerOnlyByOurID(t *testing.T) {
	const id = "abcdefghijklmnopqrstuvwxyz"
	tests := []struct{ in, want any }{
		{id, id},
		{"ada@example.com", Masked},
		{map[string]any{"work_email": "ada@example.com"}, map[string]any{"work_email": Masked}},
		{nil, nil},
	}
	for _, tt := range tests {
		if got := Mask(employee.Flat{"positions[primary].manager": tt.in})["positions[primary].manager"]; !reflect.DeepEqual(got, tt.want) {
			t.Errorf("manager %v became %v", tt.in, got)
		}
	}
	if got := Mask(employee.Flat{"work_email": id})["work_email"]; got != Masked {
		t.Error("something that looks like our id is shown elsewhere")
	}
}
