package config

import (
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/mapping"
)

// LoadFiles is Load for files in memory, for the fuzz and property tests.
func LoadFiles(files map[string][]byte, types map[string]connector.Type) (*Company, []mapping.Problem) {
	l := &loader{types: types, read: map[string]*section{}, used: map[string]bool{}, files: files}
	return l.load("")
}
