package feed

import "testing"

func TestBuckets(t *testing.T) {
	for i := range len(Latencies{}.buckets) - 1 {
		end := bucketEnd(i)
		if bucketOf(end-1) != i || bucketOf(end) != i+1 {
			t.Errorf("bucket %d ends at %s, but %s is in %d and %s in %d", i, end, end-1, bucketOf(end-1), end, bucketOf(end))
		}
	}
}
