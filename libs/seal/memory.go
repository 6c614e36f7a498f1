package seal

import (
	"context"
	"sync"
)

// Memory is a Store that forgets with the process: for tests and for
// `muster explain`, which starts nothing. The zero value is ready.
type Memory struct {
	mu   sync.Mutex
	keys map[string][]byte
}

// Get reads a wrapped key.
func (m *Memory) Get(_ context.Context, subject string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k, ok := m.keys[subject]; ok {
		return k, nil
	}
	return nil, ErrNoKey
}

// Create stores a wrapped key.
func (m *Memory) Create(_ context.Context, subject string, wrapped []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.keys[subject]; ok {
		return ErrKeyExists
	}
	if m.keys == nil {
		m.keys = map[string][]byte{}
	}
	m.keys[subject] = wrapped
	return nil
}

// Delete erases a key.
func (m *Memory) Delete(subject string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.keys, subject)
}
