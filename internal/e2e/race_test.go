//go:build race

package e2e

// raceEnabled makes TestMain build the hub with -race, as these tests are.
const raceEnabled = true
