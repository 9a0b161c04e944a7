//go:build !linux

package load

func kernelMemory() (int64, error) { return 0, nil }
