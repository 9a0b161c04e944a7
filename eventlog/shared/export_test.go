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

// ComposeTrim has a trim composed that was decided so many terms ago. It reports whether there
// is an entry of it, and otherwise how the trim was answered.
func (l *Log) ComposeTrim(termsAgo uint64) (entry bool, err error) {
	p := control(kindTrim, 0, 0, func(*state) []byte { return nil })
	l.applier.mu.RLock()
	decided := l.applier.state.life()
	l.applier.mu.RUnlock()
	decided.term -= termsAgo
	p.only = &decided
	if l.compose([]*part{p}) != nil {
		return true, nil
	}
	<-p.done
	return false, p.err
}
