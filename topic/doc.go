// Package topic says what topics may be called, and selects them.
//
// An event has topics, which are names. A subscription, a grant and a ban name topics
// exactly, by URI Templates (RFC 6570), or all of them by `*`: see [Selectors].
//
// # Promises
//
//   - [Parse] accepts what a client sent, and returns an [InvalidError] with a sentence for
//     the client otherwise. A result holds no memory of the texts that it was parsed from.
//   - Matching takes time in proportion to the length of the topic, whatever the
//     template: [Template.Cost] bounds the passes over the topic.
//   - Selectors and templates do not change, so several goroutines may use them at once.
package topic
