package disklog

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
)

// A job is what the writer does: it appends records, or changes what is there.
type job struct {
	ctx    context.Context
	recs   []eventlog.Record
	values [][]byte
	topics [][]hash // of each record's topics
	bytes  int
	room   []byte // what values are in
	hashes []hash // what topics are in

	change func(*writer) error // instead of records; its error leaves no change

	answer  chan struct{} // has room for one: results and err are there
	results []eventlog.Result
	err     error
	left    bool // answered before the writer was done with it
}

// newJob returns one that ctx may end the wait for.
func (q *queue) newJob(ctx context.Context) *job {
	j, ok := q.free.Get().(*job)
	if !ok {
		j = &job{answer: make(chan struct{}, 1)}
	}
	j.ctx = ctx
	return j
}

// largestRoom is how much memory a job that is used again may keep.
const largestRoom = 64 << 10

// release lets j be used again. Its owner has the answer, and does not touch it
// any more.
func (q *queue) release(j *job) {
	if j.left || cap(j.room) > largestRoom {
		return
	}
	clear(j.values) // which are in room
	clear(j.topics)
	*j = job{answer: j.answer, values: j.values[:0], topics: j.topics[:0], room: j.room[:0], hashes: j.hashes[:0]}
	q.free.Put(j)
}

// add encodes records, all into the same memory: nobody needs it any more when
// the job is done.
func (j *job) add(recs []eventlog.Record) {
	room, topics := 0, 0
	for i := range recs {
		room += roomFor(&recs[i])
		topics += len(recs[i].Topics)
	}
	j.room, j.hashes = slices.Grow(j.room, room), slices.Grow(j.hashes, topics) // neither moves below
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

// finish answers the owner, which is then free to use j for something else.
func (j *job) finish(err error) {
	j.err = err
	j.answer <- struct{}{}
}

// A queue is where jobs wait for the writer, and for being done. Their owners
// only wait for the answer, since that costs a fraction of waiting for several
// things at once; a look now and then finds those who have waited enough.
type queue struct {
	ready  chan struct{} // has room for one: there may be something
	broken func() error  // why nothing will be done any more; nil: it will
	free   sync.Pool     // of jobs

	mu       sync.Mutex
	jobs     []*job      // in order
	taken    []*job      // by the writer, and not done
	previous int         // how many it took before
	looking  *time.Timer // a look is due; nil: none is
	closed   bool
}

// lookEvery is how long an owner that gives up may wait to be told.
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

// look answers those whose context has ended, and all if nothing will be done any
// more. What the writer has taken may be done nevertheless.
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

// giveUp returns why j's owner is to wait no longer, or nil.
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

// take returns the next group, of so many bytes unless its first has more, or nil
// if nobody waits.
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

// done answers those of the group that are still there for it: each with its own
// error, or with the one of all.
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

// end is called when nobody waits any more.
func (q *queue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.looking != nil {
		q.looking.Stop()
	}
}

// close reports whether the queue was open.
func (q *queue) close() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	was := !q.closed
	q.closed = true
	return was
}
