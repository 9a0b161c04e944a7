// Package rig is what the programs share that load a hub from outside and measure it:
// `tidings bench`, the checker, the benchmarks and the end-to-end tests.
//
// An [Event] carries a checksum, which shows whether a byte is wrong. The package starts no
// hub.
package rig
