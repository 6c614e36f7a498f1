// Package compose checks docker-compose.yml against the programs: its tests
// need no container engine.
package compose
