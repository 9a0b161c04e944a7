package disklog

import (
	"testing"
)

// A group ends before its bytes exceed the limit, and a job that is larger than that is a
// group by itself.
func TestGroupsAreBounded(t *testing.T) {
	q := &queue{ready: make(chan struct{}, 1), broken: func() error { return nil }}
	for _, bytes := range []int{40, 60, 1, 200, 99, 2} {
		j := q.newJob(t.Context())
		j.bytes = bytes
		if err := q.put(j); err != nil {
			t.Fatal(err)
		}
	}
	defer q.end()
	for _, want := range [][]int{{40, 60}, {1}, {200}, {99}, {2}} {
		var got []int
		for _, j := range q.take(100) {
			got = append(got, j.bytes)
		}
		q.done(make([]error, len(got)), nil)
		if len(got) != len(want) || got[0] != want[0] {
			t.Errorf("a group of %v bytes, want %v", got, want)
		}
	}
	if group := q.take(100); len(group) != 0 {
		t.Errorf("%d jobs are left", len(group))
	}
}

// A job is used again with the memory that it has, unless that is much.
func TestLargeJobsAreNotUsedAgain(t *testing.T) {
	var q queue
	again := func(room int) bool {
		for range 100 { // a pool may drop what it is given
			j := q.newJob(t.Context())
			j.room = make([]byte, 0, room)
			q.release(j)
			if next := q.newJob(t.Context()); cap(next.room) == room {
				return true
			}
		}
		return false
	}
	if !again(largestRoom) {
		t.Error("a job of ordinary size is not used again")
	}
	if again(largestRoom + 1) {
		t.Error("a large job keeps its memory")
	}
}
