package route

import (
	"container/list"
	"slices"
	"strings"
	"unsafe"

	"github.com/tidings-sse/tidings/budget"
)

// matches caches which templates match a topic. It draws on its share of the budget, and
// evicts the least recently used match when that is used up. A router has one.
type matches[F any] struct {
	share   *budget.Share
	byTopic map[string]*list.Element
	recent  list.List // of *match[F], the latest first
}

// A match is the templates numbered up to upTo that match one topic.
type match[F any] struct {
	topic     string
	templates []*template[F]
	upTo      uint64
	taken     int64 // of the share, in bytes
}

// Sizes in bytes of a match beside its topic and its list: the match with its map entry
// and list element, and a template for each in the list, since the match may be the last
// to refer to it.
const (
	matchSize    = 64 + 48 + 3*24
	templateSize = int64(unsafe.Sizeof(template[int]{}))
)

func (m *match[F]) size() int64 {
	return matchSize + int64(len(m.topic)) + (int64(unsafe.Sizeof(m))+templateSize)*int64(cap(m.templates))
}

// get returns the cached match of a topic, without templates that are gone, or a new one
// that is not cached yet.
func (c *matches[F]) get(topic string) *match[F] {
	el := c.byTopic[topic]
	if el == nil {
		return &match[F]{topic: topic}
	}
	c.recent.MoveToFront(el)
	m := el.Value.(*match[F])
	m.templates = slices.DeleteFunc(m.templates, (*template[F]).isGone)
	return m
}

// extend adds the matching templates numbered after m.upTo up to the new upTo. It caches
// m if there is room, and evicts other matches to make room.
func (c *matches[F]) extend(m *match[F], matching []*template[F], upTo uint64) {
	m.templates, m.upTo = append(m.templates, matching...), upTo
	if c.byTopic[m.topic] == nil {
		m.topic = strings.Clone(m.topic) // a substring would keep the whole event in memory
		c.byTopic[m.topic] = c.recent.PushFront(m)
	}
	more := m.size() - m.taken
	for more > 0 && (c.share.Used()+more > c.share.Most() || !c.share.Take(more)) {
		oldest := c.recent.Back().Value.(*match[F])
		c.drop(oldest)
		if oldest == m {
			return
		}
	}
	m.taken += max(more, 0)
}

func (c *matches[F]) drop(m *match[F]) {
	c.recent.Remove(c.byTopic[m.topic])
	delete(c.byTopic, m.topic)
	c.share.Give(m.taken)
	m.taken = 0
}

// clear drops all matches.
func (c *matches[F]) clear() {
	for el := c.recent.Front(); el != nil; el = c.recent.Front() {
		c.drop(el.Value.(*match[F]))
	}
}
