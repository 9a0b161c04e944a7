package disklog

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	memtables = 4

	// walFiles is how many files of the write-ahead log the store keeps.
	walFiles = memtables + 2
)

// storeOptions are pebble's.
func storeOptions(fs vfs.FS, o *Options, failed func(error)) *pebble.Options {
	p := &pebble.Options{
		FS:     fs,
		Merger: tallies,
		Logger: quiet{o.Logger, failed},
		EventListener: &pebble.EventListener{
			BackgroundError: failed,
			// Whoever reads the damaged part is told; the rest is served.
			DataCorruption: func(info pebble.DataCorruptionInfo) {
				o.Logger.Error("eventlog: damaged file", "path", info.Path, "error", info.Details)
			},
		},

		FormatMajorVersion: pebble.FormatValueSeparation, // the newest; verifyWAL knows its log

		MemTableSize:                32 << 20,  // as much as a fast disk takes in half a second
		MemTableStopWritesThreshold: memtables, // memory for 128 MiB that wait to be flushed, then appends wait
		CacheSize:                   96 << 20,  // from which the store takes the size of its memtables
		MaxOpenFiles:                256,       // leaves descriptors to the streams
		L0CompactionThreshold:       4,         // merging later costs less, and reads see few files still
		L0StopWritesThreshold:       1000,      // merging late costs readers, not publishers
		LBaseMaxBytes:               64 << 20,
		FlushDelayDeleteRange:       flushDelay, // retention frees space on a quiet hub too
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
	}
	// What is young is rewritten soon: with blocks of 4 KiB, and compressed, events
	// of 1 KB cost half as much again.
	for i := range p.Levels {
		p.Levels[i].BlockSize = 16 << 10
		if i < len(p.Levels)-1 {
			p.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
		}
	}
	// A new idempotency key is looked up in vain: the filter saves the reads.
	p.Levels[0].FilterPolicy = bloom.FilterPolicy(10)
	p.Experimental.FileCacheShards = 2
	p.Experimental.ReadSamplingMultiplier = -1 // no compaction because of reads: a storm of them would pay for both
	if o.tune != nil {
		o.tune(p)
	}
	return p
}

// openStore is pebble.Open, whose panics on a damaged store are errors.
func openStore(path string, p *pebble.Options) (db *pebble.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return pebble.Open(path, p)
}

// quiet is where pebble logs to: it has much to say that nobody asked for.
type quiet struct {
	log    *slog.Logger
	failed func(error)
}

func (q quiet) Infof(format string, args ...any) {
	if q.log.Enabled(context.Background(), slog.LevelDebug) {
		q.log.Debug(fmt.Sprintf(format, args...))
	}
}

func (q quiet) Errorf(format string, args ...any) { q.log.Warn(fmt.Sprintf(format, args...)) }

// Fatalf does not end the process, which is not ours.
func (q quiet) Fatalf(format string, args ...any) { q.failed(fmt.Errorf(format, args...)) }
