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

	// fileSize is as much as a fast disk takes in half a second, and as large as a
	// memtable is with the usual memory.
	fileSize = 32 << 20

	// layers is over how many flushes reads may have to look, where merging does
	// not keep up.
	layers = 1000

	// separate is from how many bytes on a value has its place beside the
	// tables. A flush puts it there, and merging, which would write it twice more,
	// moves what says where it is.
	separate = 128

	// garbage is how much of those values nothing may refer to any longer
	// before the store writes the rest anew.
	garbage = 0.3
)

// storeOptions are pebble's. While scrubbing, nothing that was deleted is left
// beside the tables.
func storeOptions(fs vfs.FS, o *Options, scrubbing func() bool, failed func(error)) *pebble.Options {
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

		MemTableSize:                uint64(o.Memory / 6),
		MemTableStopWritesThreshold: memtables,    // so many may wait to be flushed, then appends wait
		CacheSize:                   o.Memory / 2, // from which the store takes the size of its memtables
		MaxOpenFiles:                256,          // leaves descriptors to the streams
		L0CompactionThreshold:       20,           // merging later costs less, and reads see few files still
		L0StopWritesThreshold:       layers,       // merging late costs readers, not publishers
		LBaseMaxBytes:               256 << 20,    // up to which it is done once
		FlushDelayDeleteRange:       flushDelay,   // retention frees space on a quiet hub too
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
	}
	p.Experimental.ValueSeparationPolicy = func() pebble.ValueSeparationPolicy {
		v := pebble.ValueSeparationPolicy{Enabled: true, MinimumSize: separate, MaxBlobReferenceDepth: layers, TargetGarbageRatio: garbage}
		if scrubbing() {
			v.TargetGarbageRatio = 0
		}
		return v
	}
	// What is young is rewritten soon: with blocks of 4 KiB, and compressed, events
	// of 1 KB cost half as much again; and a file for each 2 MiB is made, synced
	// and removed.
	for i := range p.Levels {
		p.TargetFileSizes[i] = fileSize
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
