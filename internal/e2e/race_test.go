//go:build race

package e2e

// raceEnabled has the hub built as these tests are.
const raceEnabled = true
