//go:build cgo

package disklog

// offHeap is whether the store's cache and memtables are beside Go's heap, where the
// garbage collector's limit does not see them.
const offHeap = true
