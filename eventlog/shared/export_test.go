package shared

// WithSpan returns options with other limits of what the rules look back on.
func (o Options) WithSpan(span uint64, keyed int) Options {
	o.span, o.keyed = span, keyed
	return o
}

// Submitted returns how many entries were submitted and are not applied yet.
func (l *Log) Submitted() int {
	l.queue.mu.Lock()
	defer l.queue.mu.Unlock()
	return len(l.queue.pending)
}
