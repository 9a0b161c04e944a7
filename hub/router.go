package hub

// A router knows whom an event wakes. The hub's lock guards it.
type router struct {
	exact    map[string]map[*Subscriber]struct{} // by topic
	patterns map[*Subscriber]struct{}
}

func newRouter() router {
	return router{map[string]map[*Subscriber]struct{}{}, map[*Subscriber]struct{}{}}
}

func (r *router) add(s *Subscriber) {
	for topic := range s.sel.exact {
		if r.exact[topic] == nil {
			r.exact[topic] = map[*Subscriber]struct{}{}
		}
		r.exact[topic][s] = struct{}{}
	}
	if s.sel.hasPatterns() {
		r.patterns[s] = struct{}{}
	}
}

func (r *router) remove(s *Subscriber) {
	for topic := range s.sel.exact {
		delete(r.exact[topic], s)
		if len(r.exact[topic]) == 0 {
			delete(r.exact, topic)
		}
	}
	delete(r.patterns, s)
}

func (r *router) wake(topics []string) {
	for _, t := range topics {
		for s := range r.exact[t] {
			s.wakeUp()
		}
	}
	for s := range r.patterns {
		if s.sel.Match(topics) {
			s.wakeUp()
		}
	}
}

func (r *router) wakeAll() {
	for _, set := range r.exact {
		for s := range set {
			s.wakeUp()
		}
	}
	for s := range r.patterns {
		s.wakeUp()
	}
}
