//go:build !cgo

package disklog

const offHeap = false
