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

	// walFiles is how many files of the write-ahead log the store keeps for reuse.
	walFiles = memtables + 2

	// fileSize is about what a fast disk writes in half a second, and the size of a
	// memtable with the default Memory.
	fileSize = 32 << 20

	// layers is how many sublevels of L0 reads may have to search when compactions fall
	// behind, before the store blocks writes.
	layers = 1000

	// separate is the smallest value in bytes that is stored in a blob file. A flush
	// writes it there, and compactions, which would write it twice more, move only a
	// reference.
	separate = 128

	// garbage is the share of unreferenced values in the blob files above which the
	// store rewrites them.
	garbage = 0.3
)

// storeOptions returns the options for pebble. While scrubbing returns true, blob files
// keep no deleted values.
func storeOptions(fs vfs.FS, o *Options, scrubbing func() bool, failed func(error)) *pebble.Options {
	p := &pebble.Options{
		FS:     fs,
		Merger: tallies,
		Logger: quiet{o.Logger, failed},
		EventListener: &pebble.EventListener{
			BackgroundError: failed,
			// A read of the damaged part returns an error; other reads still work.
			DataCorruption: func(info pebble.DataCorruptionInfo) {
				o.Logger.Error("eventlog: damaged file", "path", info.Path, "error", info.Details)
			},
		},

		FormatMajorVersion: pebble.FormatValueSeparation, // the newest; verifyWAL understands its log

		MemTableSize:                uint64(o.Memory / 6),
		MemTableStopWritesThreshold: memtables,    // if more wait for a flush, appends block
		CacheSize:                   o.Memory / 2, // the memtables' memory is taken from it
		MaxOpenFiles:                256,          // leaves descriptors to the streams
		L0CompactionThreshold:       20,           // compacting later costs less, and reads still see few files
		L0StopWritesThreshold:       layers,       // late compactions slow down readers, not publishers
		LBaseMaxBytes:               256 << 20,    // up to which an event is compacted once
		FlushDelayDeleteRange:       flushDelay,   // so that retention frees space on a quiet hub too
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
	}
	p.Experimental.ValueSeparationPolicy = func() pebble.ValueSeparationPolicy {
		v := pebble.ValueSeparationPolicy{Enabled: true, MinimumSize: separate, MaxBlobReferenceDepth: layers, TargetGarbageRatio: garbage}
		if scrubbing() {
			v.TargetGarbageRatio = 0
		}
		return v
	}
	// Young data is soon rewritten. With blocks of 4 KiB and compression, events of
	// 1 KB would cost half as much again. Smaller files would mean creating, syncing
	// and removing one for each 2 MiB.
	for i := range p.Levels {
		p.TargetFileSizes[i] = fileSize
		p.Levels[i].BlockSize = 16 << 10
		if i < len(p.Levels)-1 {
			p.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
		}
	}
	// The lookup of a new idempotency key finds nothing; the filter saves its reads.
	p.Levels[0].FilterPolicy = bloom.FilterPolicy(10)
	p.Experimental.FileCacheShards = 2
	p.Experimental.ReadSamplingMultiplier = -1 // no compactions triggered by reads: a storm of reads would pay for both
	if o.tune != nil {
		o.tune(p)
	}
	return p
}

// openStore is like pebble.Open, but returns an error where that panics over damage.
func openStore(path string, p *pebble.Options) (db *pebble.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return pebble.Open(path, p)
}

// quiet is pebble's logger. It logs pebble's information at debug level.
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

// Fatalf makes the log fail; it does not end the process.
func (q quiet) Fatalf(format string, args ...any) { q.failed(fmt.Errorf(format, args...)) }
