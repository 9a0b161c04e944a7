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

// add encodes records, all into the same memory: the job is gone when it is done.
func (j *job) add(recs []eventlog.Record) {
	room, topics := 0, 0
	for i := range recs {
		room += roomFor(&recs[i])
		topics += len(recs[i].Topics)
	}
	values, hashes := make([]byte, 0, room), make([]hash, 0, topics)
	j.recs = recs
	j.values, j.topics = make([][]byte, len(recs)), make([][]hash, len(recs))
	for i := range recs {
		from, first := len(values), len(hashes)
		values = appendValue(values, &recs[i])
		for _, t := range recs[i].Topics {
			hashes = append(hashes, hashOf(t))
		}
		j.values[i], j.topics[i] = values[from:len(values):len(values)], hashes[first:]
	}
	j.bytes = len(values)
}

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
