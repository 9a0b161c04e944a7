package disklog

import (
	"sync"
	"sync/atomic"

	"github.com/tidings-sse/tidings/eventlog"
)

// A job is what the writer does: it appends records, or changes what is there.
type job struct {
	recs   []eventlog.Record
	values [][]byte
	topics [][]hash // of each record's topics
	bytes  int

	change func(*writer) error // instead of records; its error leaves no change

	state   atomic.Int32
	done    chan struct{}
	results []eventlog.Result
	err     error
}

// A job is waiting until the writer takes it or its owner gives up.
const (
	jobWaiting = iota
	jobTaken
	jobGivenUp
)

func newJob() *job { return &job{done: make(chan struct{})} }

func (j *job) take() bool   { return j.state.CompareAndSwap(jobWaiting, jobTaken) }
func (j *job) giveUp() bool { return j.state.CompareAndSwap(jobWaiting, jobGivenUp) }

func (j *job) finish(err error) {
	j.err = err
	close(j.done)
}

// A queue is where jobs wait for the writer.
type queue struct {
	ready chan struct{} // has room for one: there may be something

	mu     sync.Mutex
	jobs   []*job
	closed bool
}

func (q *queue) put(j *job) error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return eventlog.ErrClosed
	}
	q.jobs = append(q.jobs, j)
	q.mu.Unlock()
	select {
	case q.ready <- struct{}{}:
	default:
	}
	return nil
}

// takeInto moves what waits to the end of jobs.
func (q *queue) takeInto(jobs []*job) []*job {
	q.mu.Lock()
	defer q.mu.Unlock()
	jobs = append(jobs, q.jobs...)
	clear(q.jobs)
	q.jobs = q.jobs[:0]
	return jobs
}

// close reports whether the queue was open.
func (q *queue) close() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	was := !q.closed
	q.closed = true
	return was
}
