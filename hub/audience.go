package hub

// An Audience tells how many streams get the events of a topic, as it was when
// it was taken.
type Audience struct {
	exact    map[string]int
	all      int
	patterns []crowd
}

// A crowd is the streams of one feed.
type crowd struct {
	sel  *Selectors
	size int
}

// Audience counts the open streams by what they ask for.
func (h *Hub) Audience() *Audience {
	sizes := map[*feed]int{}
	for i := range h.registry {
		part := &h.registry[i]
		part.mu.Lock()
		for _, st := range part.streams {
			sizes[st.feed]++
		}
		part.mu.Unlock()
	}
	a := &Audience{exact: map[string]int{}}
	for f, n := range sizes {
		switch {
		case f.sel.all:
			a.all += n
		case f.sel.hasPatterns():
			a.patterns = append(a.patterns, crowd{&f.sel, n})
		default:
			for _, topic := range f.sel.text {
				a.exact[topic] += n
			}
		}
	}
	return a
}

// Of returns how many streams get a topic's events.
func (a *Audience) Of(topic string) int {
	n := a.all + a.exact[topic]
	for _, c := range a.patterns {
		if c.sel.matchTopic(topic) {
			n += c.size
		}
	}
	return n
}
