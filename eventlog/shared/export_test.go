package shared

// WithSpan returns options with other limits of what the rules look back on.
func (o Options) WithSpan(span uint64, keyed int) Options {
	o.span, o.keyed = span, keyed
	return o
}
