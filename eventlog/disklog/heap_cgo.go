//go:build cgo

package disklog

// offHeap reports whether the store's cache and memtables are outside Go's heap, where
// the garbage collector's limit does not count them.
const offHeap = true
