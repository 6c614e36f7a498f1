package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDemoFailsWhenAMappingIsBroken(t *testing.T) {
	company := copyDir(t, filepath.Join(root(t), "deploy", "acme"))
	b, err := os.ReadFile(filepath.Join(company, "mappings", "payroll.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	broken := strings.ReplaceAll(string(b), "compensation.amount", "employee_number")
	if broken == string(b) {
		t.Fatal("payroll's mapping names no pay")
	}
	if err := os.WriteFile(filepath.Join(company, "mappings", "payroll.yaml"), []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := muster(t, []string{"MUSTER_INGRESS_ADDR=127.0.0.1:0"}, "demo", "--config", company)
	if code != 1 {
		t.Fatalf("exit %d, want 1\n%s%s", code, out, errs)
	}
	if !strings.Contains(out, "✗") || !strings.Contains(out, "raise") {
		t.Errorf("the table does not show what failed:\n%s", out)
	}
}
