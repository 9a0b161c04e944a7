//go:build !linux

package load

import "context"

func (a *audience) startReaders(ctx context.Context) { a.startConnReaders(ctx) }
