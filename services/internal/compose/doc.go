// Package compose checks docker-compose.yml against the programs and runs it:
// its tests need no container engine.
package compose
