package disklog

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
)

// A job is a task for the writer: records to append, or a change.
type job struct {
	ctx    context.Context
	recs   []eventlog.Record
	values [][]byte
	topics [][]hash // for each record, its topics' hashes
	bytes  int
	room   []byte // the memory of values
	hashes []hash // the memory of topics

	change func(*writer) error // instead of records; must change nothing if it returns an error

	answer  chan struct{} // buffered; signals that results and err are set
	results []eventlog.Result
	err     error
	left    bool // the owner was answered before the writer had finished
}

// newJob returns a job whose owner waits until ctx ends at most.
func (q *queue) newJob(ctx context.Context) *job {
	j, ok := q.free.Get().(*job)
	if !ok {
		j = &job{answer: make(chan struct{}, 1)}
	}
	j.ctx = ctx
	return j
}

// largestRoom is how many bytes of values a job in the pool may keep.
const largestRoom = 64 << 10

// release returns j to the pool. The owner must have received the answer and not use j
// any more.
func (q *queue) release(j *job) {
	if j.left || cap(j.room) > largestRoom {
		return
	}
	clear(j.values) // slices of room
	clear(j.topics)
	*j = job{answer: j.answer, values: j.values[:0], topics: j.topics[:0], room: j.room[:0], hashes: j.hashes[:0]}
	q.free.Put(j)
}

// add encodes records, all into the same memory, which the job may reuse once it is
// done.
func (j *job) add(recs []eventlog.Record) {
	room, topics := 0, 0
	for i := range recs {
		room += roomFor(&recs[i])
		topics += len(recs[i].Topics)
	}
	j.room, j.hashes = slices.Grow(j.room, room), slices.Grow(j.hashes, topics) // so that neither moves below
	j.recs = recs
	j.values, j.topics = slices.Grow(j.values, len(recs)), slices.Grow(j.topics, len(recs))
	for i := range recs {
		from, first := len(j.room), len(j.hashes)
		j.room = appendValue(j.room, &recs[i])
		for _, t := range recs[i].Topics {
			j.hashes = append(j.hashes, hashOf(t))
		}
		j.values = append(j.values, j.room[from:])
		j.topics = append(j.topics, j.hashes[first:])
	}
	j.bytes = len(j.room)
}

// finish answers the owner, which may then reuse j.
func (j *job) finish(err error) {
	j.err = err
	j.answer <- struct{}{}
}

// A queue holds the jobs that wait for the writer, and those that it works on. Owners
// wait for the answer only, because waiting for a context as well costs several times as
// much. Instead, look runs periodically and answers owners whose context has ended.
type queue struct {
	ready  chan struct{} // buffered; signals that there may be jobs
	broken func() error  // returns why no job will be done any more, or nil
	free   sync.Pool     // of jobs

	mu       sync.Mutex
	jobs     []*job      // in order
	taken    []*job      // by the writer, and not done yet
	previous int         // how many jobs the last group had
	looking  *time.Timer // runs look; nil if none is due
	closed   bool
}

// lookEvery is how long an owner may wait after its context has ended.
const lookEvery = 50 * time.Millisecond

func (q *queue) put(j *job) error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return eventlog.ErrClosed
	}
	q.jobs = append(q.jobs, j)
	if q.looking == nil {
		q.looking = time.AfterFunc(lookEvery, q.look)
	}
	q.mu.Unlock()
	select {
	case q.ready <- struct{}{}:
	default:
	}
	return nil
}

// look answers the jobs whose context has ended, and all jobs if the log has failed. Jobs
// that the writer has taken may be done nevertheless.
func (q *queue) look() {
	broken := q.broken()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.jobs = slices.DeleteFunc(q.jobs, func(j *job) bool {
		err := j.giveUp(broken)
		if err != nil {
			j.finish(err)
		}
		return err != nil
	})
	for _, j := range q.taken {
		if err := j.giveUp(broken); err != nil && !j.left {
			j.left = true
			j.finish(fmt.Errorf("%w (%w)", eventlog.ErrUncertain, err))
		}
	}
	if q.looking = nil; len(q.jobs)+len(q.taken) > 0 {
		q.looking = time.AfterFunc(lookEvery, q.look)
	}
}

// giveUp returns why j's owner need not wait any longer, or nil.
func (j *job) giveUp(broken error) error {
	if err := j.ctx.Err(); err != nil {
		return err
	}
	return broken
}

// waiting returns how many jobs wait, and how many the last group had.
func (q *queue) waiting() (n, previous int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.jobs), q.previous
}

// take returns the next group. It has at most the given number of bytes, unless its first
// job alone has more. It is empty if no job waits.
func (q *queue) take(bytes int) []*job {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.jobs = slices.DeleteFunc(q.jobs, func(j *job) bool {
		err := j.ctx.Err()
		if err != nil {
			j.finish(err)
		}
		return err != nil
	})
	n := 0
	for n < len(q.jobs) && (n == 0 || bytes >= q.jobs[n].bytes) {
		bytes -= q.jobs[n].bytes
		n++
	}
	q.taken = append(q.taken, q.jobs[:n]...)
	q.jobs = slices.Delete(q.jobs, 0, n)
	q.previous = n
	return q.taken
}

// done answers the jobs of the group whose owners still wait: each with its own error in
// errs, or else with all.
func (q *queue) done(errs []error, all error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, j := range q.taken {
		if j.left {
			continue
		}
		if err := errs[i]; err != nil {
			j.finish(err)
		} else {
			j.finish(all)
		}
	}
	clear(q.taken)
	q.taken = q.taken[:0]
}

// end stops look. It is called when no job waits any more.
func (q *queue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.looking != nil {
		q.looking.Stop()
	}
}

// close refuses further jobs. It reports whether the queue was open.
func (q *queue) close() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	was := !q.closed
	q.closed = true
	return was
}
