package disklog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tidings-sse/tidings/eventlog"
)

// TestDamage checks that each kind of damage is refused, with an error that says what to
// do, and that Open changes nothing that a repair might need.
func TestDamage(t *testing.T) {
	made := t.TempDir()
	l := open1(t, made, Options{tune: small})
	for i := range 500 {
		if _, err := l.Append(t.Context(), testRecord(0, i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(made, "..", "running"), os.DirFS(made)); err != nil { // the state after kill -9
		t.Fatal(err)
	}
	running := filepath.Join(made, "..", "running")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, from string
		damage     func(t *testing.T, dir string)
	}{
		{"a flipped byte in a table", made, func(t *testing.T, dir string) { flip(t, one(t, dir, "db/*.sst"), 0.5) }},
		{"a table gone", made, func(t *testing.T, dir string) { remove(t, one(t, dir, "db/*.sst")) }},
		{"a table cut short", made, func(t *testing.T, dir string) { truncate(t, one(t, dir, "db/*.sst")) }},
		{"a flipped byte in values", made, func(t *testing.T, dir string) { flip(t, one(t, dir, "db/*.blob"), 0.5) }},
		{"values gone", made, func(t *testing.T, dir string) { remove(t, one(t, dir, "db/*.blob")) }},
		{"values cut short", made, func(t *testing.T, dir string) { truncate(t, one(t, dir, "db/*.blob")) }},
		{"no manifest", made, func(t *testing.T, dir string) { remove(t, one(t, dir, "db/MANIFEST-*")) }},
		{"an empty manifest", made, func(t *testing.T, dir string) { truncate(t, one(t, dir, "db/MANIFEST-*")) }},
		{"a flipped byte in the manifest", made, func(t *testing.T, dir string) { flip(t, one(t, dir, "db/MANIFEST-*"), 0.5) }},
		{"no marker of the manifest", made, func(t *testing.T, dir string) { remove(t, one(t, dir, "db/marker.manifest.*")) }},
		{"no marker of the version", made, func(t *testing.T, dir string) { remove(t, one(t, dir, "db/marker.format-version.*")) }},
		{"no log", made, func(t *testing.T, dir string) { remove(t, one(t, dir, "db/*.log")) }},
		{"no log after a crash", running, func(t *testing.T, dir string) { remove(t, one(t, dir, "db/*.log")) }},
		{"a flipped byte in the log", running, func(t *testing.T, dir string) { flip(t, one(t, dir, "db/*.log"), 0.1) }},
		{"a log cut short after a clean end", made, func(t *testing.T, dir string) { truncate(t, one(t, dir, "db/*.log")) }},
		{"no store", made, func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "db")) }},
		{"an empty store", made, func(t *testing.T, dir string) {
			remove(t, filepath.Join(dir, "db"))
			if err := os.Mkdir(filepath.Join(dir, "db"), 0o755); err != nil {
				t.Fatal(err)
			}
		}},
		{"no log.json", made, func(t *testing.T, dir string) { remove(t, filepath.Join(dir, manifestName)) }},
		{"an empty log.json", made, func(t *testing.T, dir string) { truncate(t, filepath.Join(dir, manifestName)) }},
		{"another log's log.json", made, func(t *testing.T, dir string) {
			other := t.TempDir()
			if err := open1(t, other, Options{}).Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(other, manifestName), filepath.Join(dir, manifestName)); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if err := os.CopyFS(dir, os.DirFS(tt.from)); err != nil {
				t.Fatal(err)
			}
			tt.damage(t, dir)
			for range 2 { // the second attempt must fail too
				l, err := openQuiet(dir, Options{tune: small})
				if err == nil {
					t.Fatalf("it opened, with %d events", len(all(t, l)))
				}
				if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "mv "+dir+" "+dir+".damaged") {
					t.Fatalf("%v; want ErrDamaged that says what to do", err)
				}
			}
		})
	}
}

// one returns the last file that matches the pattern.
func one(t *testing.T, dir, pattern string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no %s in %s", pattern, dir)
	}
	return slices.Max(names)
}

func flip(t *testing.T, name string, where float64) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	content := len(strings.TrimRight(string(b), "\x00")) // without preallocated space
	b[int(float64(content)*where)] ^= 0x55
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func truncate(t *testing.T, name string) {
	t.Helper()
	if err := os.Truncate(name, 0); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, name string) {
	t.Helper()
	if err := os.RemoveAll(name); err != nil {
		t.Fatal(err)
	}
}

func TestForeignDirectory(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "thesis.txt")
	if err := os.WriteFile(name, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := openQuiet(dir, Options{}); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "thesis.txt") {
		t.Errorf("a directory with other files: %v; want ErrDamaged that names one", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the directory contains %v now, %v", entries, err)
	}
}

func TestInUse(t *testing.T) {
	dir := t.TempDir()
	l := open1(t, dir, Options{})
	if _, err := openQuiet(dir, Options{}); !errors.Is(err, ErrInUse) {
		t.Errorf("the second: %v; want ErrInUse", err)
	}
	if _, err := l.Append(t.Context(), record("t", 1)); err != nil {
		t.Errorf("the first: %v", err)
	}
}

func TestNewDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "some", "where")
	open1(t, dir, Options{})
	if b, err := os.ReadFile(filepath.Join(dir, ".gitignore")); err != nil || string(b) != "*\n" {
		t.Errorf(".gitignore: %q, %v", b, err)
	}
}

// TestHalfMade interrupts the creation of a log. No event was acknowledged, so Open starts
// over.
func TestHalfMade(t *testing.T) {
	dir := t.TempDir()
	l := open1(t, dir, Options{})
	l.manifest.Made = false
	if err := l.dir.write(&l.manifest); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open1(t, dir, Options{})
	if b, err := l.Bounds(t.Context()); err != nil || b.Events != 0 {
		t.Errorf("Bounds = %+v, %v", b, err)
	}
}

func TestOtherFormat(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, manifestName), fmt.Appendf(nil, `{"version":%d,"epoch":1,"made":true}`, formatVersion+1), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := openQuiet(dir, Options{}); err == nil || !strings.Contains(err.Error(), fmt.Sprint("format ", formatVersion+1)) {
		t.Errorf("%v; want an error that names the format", err)
	}
}

// TestDeletedIsGone searches the log's files for deleted data.
func TestDeletedIsGone(t *testing.T) {
	dir := t.TempDir()
	l := open1(t, dir, Options{tune: small})
	for i := range 3000 { // enough for old log files to be reused
		r := testRecord(0, i)
		if i%100 == 0 {
			r.Topics, r.Key, r.PublisherID, r.Data = []string{"SECRET-topic"}, "SECRET-key", fmt.Sprint("SECRET-id", i), []byte("SECRET-data")
			if i > 0 {
				r.Key = ""
			}
		}
		if _, err := l.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	found := func() (names []string) {
		err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil // removed meanwhile
			}
			if b, err := os.ReadFile(name); err == nil && strings.Contains(string(b), "SECRET-") {
				names = append(names, filepath.Base(name))
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		return names
	}
	if len(found()) == 0 {
		t.Fatal("the test cannot see the data that it looks for")
	}
	if n, err := l.Delete(t.Context(), eventlog.ID{}, eventlog.Query{Topics: []string{"SECRET-topic"}, Match: func(e *eventlog.Event) bool { return e.Topics[0] == "SECRET-topic" }}); n != 30 || err != nil {
		t.Fatalf("Delete = %d, %v", n, err)
	}
	eventually(t, "leave the disk", func() bool { return len(found()) == 0 })
	if _, err := l.ByPublisherID(t.Context(), "SECRET-id2900"); err != nil {
		t.Errorf("the position of a deleted id: %v", err)
	}
}

// TestNewEpochOfNothing asks for a new epoch in a directory without a log.
func TestNewEpochOfNothing(t *testing.T) {
	dir := t.TempDir()
	if _, err := openQuiet(dir, Options{NewEpoch: true}); err == nil || !strings.Contains(err.Error(), "restore the backup") {
		t.Errorf("%v; want an error that says what to do", err)
	}
	open1(t, dir, Options{}) // the failed Open has left nothing behind
}

// TestNewEpoch opens a restored backup with a new epoch.
func TestNewEpoch(t *testing.T) {
	dir := t.TempDir()
	l := open1(t, dir, Options{})
	old, err := l.Append(t.Context(), record("t", 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{{NewEpoch: true}, {}} {
		l = open1(t, dir, o)
		for _, err := range l.Read(t.Context(), old[0].ID, eventlog.Query{}) {
			if !errors.Is(err, eventlog.ErrEpoch) {
				t.Errorf("an earlier position: %v; want ErrEpoch", err)
			}
		}
		if events := all(t, l); len(events) != 1 || events[0].ID.Lo != old[0].ID.Lo {
			t.Errorf("%d events; want the one from before", len(events))
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// The store's background work may find damage before the log is open. Open must return an
// error, and nothing may wait for a log that was never opened.
func TestDamageMetWhileOpening(t *testing.T) {
	dir := t.TempDir()
	if err := open1(t, dir, Options{}).Close(); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ met, want error }{
		"damage":  {fmt.Errorf("a block: %w", pebble.ErrCorruption), ErrDamaged},
		"another": {errors.New("no luck"), eventlog.ErrFailed},
	} {
		_, err := openQuiet(dir, Options{tune: func(p *pebble.Options) { p.EventListener.BackgroundError(tt.met) }})
		if !errors.Is(err, tt.want) || errors.Is(err, ErrDamaged) != (tt.want == ErrDamaged) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	if b, err := open1(t, dir, Options{}).Bounds(t.Context()); err != nil || b.Events != 0 {
		t.Errorf("afterwards: %+v, %v", b, err)
	}
}
