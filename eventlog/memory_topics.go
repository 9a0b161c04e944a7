package eventlog

import (
	"context"
	"iter"
	"slices"
	"sort"
	"strings"
)

// A topicIndex has the events of a topic of [Memory].
type topicIndex struct {
	number uint64 // topics are numbered in the order of their first events
	at     []uint64
	bytes  int64 // of its events
}

// A numberedTopic is a topic's place in the order of numbers.
type numberedTopic struct {
	number uint64
	name   string // "": the topic has no events any more
}

// addTopic adds a topic that has no events yet. It needs mu.
func (m *Memory) addTopic(name string) *topicIndex {
	name = strings.Clone(name) // it may outlive its event, and must not keep it alive
	m.numbered++
	ix := &topicIndex{number: m.numbered}
	m.topics[name] = ix
	m.order = append(m.order, numberedTopic{m.numbered, name})
	m.bytes += topicSize(name)
	return ix
}

// dropTopic removes a topic that has no events any more. It needs mu.
func (m *Memory) dropTopic(name string, ix *topicIndex) {
	delete(m.topics, name)
	m.bytes -= topicSize(name)
	m.order[m.orderAfter(ix.number-1)].name = ""
	if len(m.order) > len(m.topics)/8*9+pageSize {
		m.order = slices.DeleteFunc(m.order, func(t numberedTopic) bool { return t.name == "" })
	}
}

// orderAfter returns the index in order of the first topic after a number.
func (m *Memory) orderAfter(number uint64) int {
	return sort.Search(len(m.order), func(i int) bool { return m.order[i].number > number })
}

// Topics implements [Log]. It takes the lock for a page of topics at a time, since an
// append may wait for it.
func (m *Memory) Topics(ctx context.Context) iter.Seq2[Topic, error] {
	return func(yield func(Topic, error) bool) {
		m.mu.RLock()
		last := m.numbered // a topic that is dropped and comes back meanwhile has a later number
		m.mu.RUnlock()
		page := make([]Topic, 0, pageSize)
		for after := uint64(0); after < last; {
			if page, after = m.topicPage(page[:0], after, last); ctx.Err() != nil {
				yield(Topic{}, ctx.Err())
				return
			}
			for _, t := range page {
				if !yield(t, nil) {
					return
				}
			}
		}
	}
}

// topicPage adds to page the topics with numbers after one, up to last, and returns the
// number it has reached.
func (m *Memory) topicPage(page []Topic, after, last uint64) ([]Topic, uint64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	i := m.orderAfter(after)
	end := min(len(m.order), i+pageSize)
	for _, t := range m.order[i:end] {
		if t.number > last {
			return page, last
		}
		if after = t.number; t.name != "" {
			ix := m.topics[t.name]
			page = append(page, Topic{t.name, int64(len(ix.at)), ix.bytes, m.id(ix.at[len(ix.at)-1])})
		}
	}
	if end == len(m.order) {
		after = last
	}
	return page, after
}
