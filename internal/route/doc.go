// Package route finds the subscriptions that an event's topics concern.
//
// # Promises
//
//   - Routing an event costs as much as it finds, whatever the number of topics and
//     subscriptions: exact topics are in a map, URI Templates are found by the literal
//     that they begin with, and tried once on each new topic.
//   - Trying templates on one event is bounded in work. What is left is tried later, in a
//     [Trial]; meanwhile the subscriptions that it may concern are reported as skipped.
//   - Memory is counted where it is held: subscriptions and their templates in an
//     [Account], cached matches in a share of the budget. A template that several
//     subscriptions have is in memory once.
//
// The methods of a [Router] must not be called by several goroutines at once.
package route
