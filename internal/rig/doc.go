// Package rig is what the programs share that load a hub from outside and measure it:
// `tidings bench`, the checker, the benchmarks and the end-to-end tests.
//
// Its events carry a checksum, so that a program can tell whether a byte is wrong. It
// starts no hub.
package rig
