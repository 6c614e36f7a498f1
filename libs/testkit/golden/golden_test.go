package golden

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func file(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.txtar"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "*.txtar")
}

func TestWantComparesJSONByMeaning(t *testing.T) {
	glob := file(t, "why\n-- want.json --\n{\"b\": [1], \"a\": null}\n-- want.err --\nbroken\n-- want.txt --\nas it is\n")
	Each(t, glob, func(t *testing.T, c Case) {
		if c.Name != "a" || c.Why != "why" {
			t.Errorf("name %q why %q", c.Name, c.Why)
		}
		c.Want(t, "want.json", map[string]any{"a": nil, "b": []int{1}})
		c.Want(t, "want.txt", "as it is\n")
		if !c.WantError(t, "want.err", errors.New("broken")) || c.WantError(t, "other.err", nil) {
			t.Error("an error was not told from none")
		}
		var v map[string]any
		if c.JSON(t, "want.json", &v); len(v) != 2 {
			t.Errorf("decoded %v", v)
		}
	})
}

func TestUpdateWritesWhatCameOut(t *testing.T) {
	glob := file(t, "why\n-- in --\nx\n-- want.json --\n1\n")
	*update = true
	defer func() { *update = false }()
	Each(t, glob, func(t *testing.T, c Case) { c.Want(t, "want.json", map[string]string{"a": "<b>"}) })
	got, err := os.ReadFile(filepath.Join(filepath.Dir(glob), "a.txtar"))
	if want := "why\n-- in --\nx\n-- want.json --\n{\n  \"a\": \"<b>\"\n}\n"; err != nil || string(got) != want {
		t.Errorf("the file is now\n%s (%v)", got, err)
	}
}
