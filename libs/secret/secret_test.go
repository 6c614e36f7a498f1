package secret

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAValueNeverShows(t *testing.T) {
	v := New("planted-secret")
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v, "in", struct{ V Value }{v})
	j, err := json.Marshal(map[string]any{"v": v, "p": &v})
	if err != nil {
		t.Fatal(err)
	}
	type account struct{ token Value }
	for _, shown := range []string{fmt.Sprint(v), fmt.Sprintf("%v %+v %#v %v", account{v}, &account{v}, account{v}, []account{{v}}), fmt.Sprintf("%s %v %+v %#v %q %x %d", v, v, v, v, v, v, v), fmt.Sprintf("%+v %#v", struct{ V Value }{v}, &v), log.String(), string(j)} {
		if strings.Contains(shown, "planted") || strings.Contains(shown, fmt.Sprintf("%x", "planted")) {
			t.Errorf("shown: %s", shown)
		}
	}
	if v.Reveal() != "planted-secret" {
		t.Error("Reveal does not reveal")
	}
}

func TestReferences(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(name string) string { return map[string]string{"TOKEN": "from-env"}[name] }
	for ref, want := range map[Ref]string{"env:TOKEN": "from-env", Ref("file:" + file): "from-file"} {
		v, err := ref.Resolve(env)
		if err != nil || v.Reveal() != want {
			t.Errorf("%s = %q, %v", ref, v.Reveal(), err)
		}
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []Ref{Ref("file:" + empty), "env:UNSET", "file:/does/not/exist", "hunter2", "env:", "vault:x", "ftp:x"} {
		if v, err := ref.Resolve(env); err == nil {
			t.Errorf("%s gave %q", ref, v.Reveal())
		}
	}
}
