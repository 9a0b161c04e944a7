//go:build !unix

package load

func checkOpenFiles(int) error { return nil }

func explain(err error) error { return err }
