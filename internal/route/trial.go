package route

import (
	"context"
	"slices"

	"github.com/tidings-sse/tidings/topic"
)

// A Trial is the templates that have to be tried on a topic later.
type Trial[F any] struct {
	topic       string
	after, upTo uint64
	templates   []*template[F]
	patterns    []*topic.Template // theirs, kept here because a template that is gone loses its own
}

// Trial returns the templates that have not been tried on a topic yet.
func (r *Router[F]) Trial(name string) Trial[F] {
	t := Trial[F]{topic: name, after: r.matches.get(name).upTo, upTo: r.added}
	n := 0
	r.groupsOf(name, func(g *group[F]) {
		for range g.since(t.after) {
			n++
		}
	})
	t.templates, t.patterns = make([]*template[F], 0, n), make([]*topic.Template, 0, n)
	r.groupsOf(name, func(g *group[F]) {
		for candidate := range g.since(t.after) {
			t.templates, t.patterns = append(t.templates, candidate), append(t.patterns, candidate.Template)
		}
	})
	return t
}

// Run tries the templates. It calls keep after each [DefaultWork] of work, and ends early
// when ctx ends. It does not need the router.
func (t *Trial[F]) Run(ctx context.Context, keep func()) {
	matching, work := t.templates[:0], 0
	for i, p := range t.patterns {
		if ctx.Err() != nil {
			return
		}
		if work += workOf(p, t.topic); work > DefaultWork {
			work = 0
			keep()
		}
		if p.Match(t.topic) {
			matching = append(matching, t.templates[i])
		}
	}
	t.templates = slices.Clip(matching)
}

// Tried caches the result of a trial that has run.
func (r *Router[F]) Tried(t Trial[F]) {
	if len(r.templates) == 0 { // removeTemplate would not clear the cache again
		return
	}
	if m := r.matches.get(t.topic); m.upTo == t.after { // otherwise the topic was matched meanwhile, or was evicted from the cache
		r.matches.extend(m, t.templates, t.upTo)
	}
}
