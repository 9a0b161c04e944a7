package sequencetest_test

import (
	"testing"

	"github.com/tidings-sse/tidings/eventlog/shared"
	"github.com/tidings-sse/tidings/eventlog/shared/sequencetest"
)

func TestMemory(t *testing.T) {
	sequencetest.Run(t, func(*testing.T) (shared.Sequence, func() shared.Sequence) {
		m := new(sequencetest.Memory)
		return m.Node(), m.Node
	})
}
