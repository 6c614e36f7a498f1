package appendjson

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// same fails unless got is what encoding/json makes of v.
func same(t *rapid.T, v any, got []byte, err error) {
	t.Helper()
	want, wrong := json.Marshal(v)
	if (err != nil) != (wrong != nil) || err == nil && !bytes.Equal(got, want) {
		t.Fatalf("%#v\n got %s, %v\nwant %s, %v", v, got, err, want, wrong)
	}
}

var (
	odd   = rapid.SampledFrom([]rune("\x00\b\f\n\r\t\x1f \"\\<>&/\x7f\u0080\u2027\u2028\u2029\ufffd😀éA"))
	words = rapid.OneOf(rapid.String(), rapid.StringOf(odd), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
)

func values(depth int) *rapid.Generator[any] {
	kinds := []*rapid.Generator[any]{
		words.AsAny(), rapid.Bool().AsAny(), rapid.Just[any](nil), rapid.Int().AsAny(), rapid.Float64().AsAny(),
		rapid.SampledFrom([]json.Number{"1.50", "", "-0", "1e3", "x"}).AsAny(), rapid.SliceOf(words).AsAny(),
		rapid.SampledFrom([]any{[]any(nil), map[string]any(nil), json.RawMessage(`{ "a" : "<" }`), math.NaN(), time.Unix(0, 1), []byte("x")}),
	}
	if depth > 0 {
		kinds = append(kinds, rapid.SliceOf(values(depth-1)).AsAny(), rapid.MapOf(words, values(depth-1)).AsAny())
	}
	return rapid.OneOf(kinds...)
}

func TestValueIsThatOfEncodingJSON(t *testing.T) {
	g := values(2)
	rapid.Check(t, func(t *rapid.T) {
		v := g.Draw(t, "value")
		got, err := Value([]byte("before"), v)
		same(t, v, bytes.TrimPrefix(got, []byte("before")), err)
	})
}

func TestTimeIsThatOfEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(-1<<37, 1<<38).Draw(t, "s"), rapid.Int64Range(0, 1e9).Draw(t, "ns"))
		at = at.In(time.FixedZone("", rapid.IntRange(-30*3600, 30*3600).Draw(t, "zone")))
		got, err := Time(nil, at)
		same(t, at, got, err)
	})
}

func TestObjectIsThatOfEncodingJSON(t *testing.T) {
	type object struct {
		A string            `json:"a"`
		B string            `json:"b,omitempty"`
		C []string          `json:"c"`
		D []string          `json:"d,omitempty"`
		E uint64            `json:"e"`
		F int64             `json:"f"`
		G int64             `json:"g,omitempty"`
		H bool              `json:"h,omitempty"`
		I time.Time         `json:"i"`
		J time.Time         `json:"j,omitzero"`
		K map[string]string `json:"k,omitempty"`
		L any               `json:"l"`
	}
	empty := func(g *rapid.Generator[[]string]) *rapid.Generator[[]string] {
		return rapid.OneOf(g, rapid.Just([]string(nil)), rapid.Just([]string{}))
	}
	times := rapid.SampledFrom([]time.Time{{}, time.Unix(1e9, 5).UTC(), time.Unix(1e15, 0)}) // the last does not fit
	rapid.Check(t, func(t *rapid.T) {
		v := object{
			words.Draw(t, "a"), words.Draw(t, "b"), empty(rapid.SliceOf(words)).Draw(t, "c"), empty(rapid.SliceOf(words)).Draw(t, "d"),
			rapid.Uint64().Draw(t, "e"), rapid.Int64().Draw(t, "f"), rapid.Int64Range(-1, 1).Draw(t, "g"), rapid.Bool().Draw(t, "h"),
			times.Draw(t, "i"), times.Draw(t, "j"), rapid.MapOf(words, words).Draw(t, "k"), values(1).Draw(t, "l"),
		}
		o := NewObject(8)
		o.Text("a", v.A)
		o.SomeText("b", v.B)
		o.Texts("c", v.C)
		o.SomeTexts("d", v.D)
		o.Uint("e", v.E)
		o.Int("f", v.F)
		o.SomeInt("g", v.G)
		o.True("h", v.H)
		o.Time("i", v.I)
		o.SomeTime("j", v.J)
		o.SomeTextMap("k", v.K)
		o.Value("l", v.L)
		got, err := o.Bytes()
		same(t, v, got, err)
	})
}
