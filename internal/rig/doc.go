// Package rig is what the programs share that load a hub from outside and measure it:
// `tidings bench`, the checker, the benchmarks and the end-to-end tests.
//
// It starts no hub and knows nothing of events.
package rig
