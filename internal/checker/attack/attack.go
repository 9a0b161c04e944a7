//go:build linux

// Package attack does to a hub what strangers may do: each file is one attack.
//
// An attack runs until its context ends, against a hub on loopback, in a process
// of its own (`checker attack` starts it). It counts what the hub answers, and
// holds no more connections, goroutines and memory than its numbers say. To add
// one, copy a file, and name it in [All].
package attack

import (
	"context"
	"fmt"
)

// An Attack is one way to ask for more than is due.
type Attack struct {
	Name  string
	Store string // the hub's --store, where it matters
	// Flags are what the hub needs beside the flags that every attack finds:
	// keys, --anonymous and --mercure-subscriptions.
	Flags []string
	// Late attacks keep all others out, and begin after them.
	Late bool

	run func(ctx context.Context, t *trial)
}

// All are the attacks there are.
var All = []Attack{
	{Name: "templates", run: templates},
	{Name: "reads", run: reads},
	{Name: "last", run: last},
	{Name: "lists", run: lists},
	{Name: "headers", run: headers},
	{Name: "stalled", run: stalled},
	{Name: "subscriptions", run: subscriptions},
	{Name: "oneshot", run: oneshot},
	{Name: "presence", run: presence, Flags: []string{"--retain-bytes", "64MiB"}},
	{Name: "tickets", run: tickets},
	{Name: "pinned", run: pinned, Store: "memory", Flags: []string{"--retain-bytes", "100MiB"}},
	{Name: "scrapes", run: scrapes},
	{Name: "slowheads", run: slowHeads},
	{Name: "slowbodies", run: slowBodies},
	{Name: "rapidreset", run: rapidReset},
	{Name: "continuation", run: continuation},
	{Name: "fifty", run: fifty},
	{Name: "descriptors", run: descriptors, Late: true},
}

// Find returns the attack with a name.
func Find(name string) (Attack, error) {
	for _, a := range All {
		if a.Name == name {
			return a, nil
		}
	}
	return Attack{}, fmt.Errorf("there is no attack %q", name)
}

// Run attacks until ctx ends, and returns what came of each attempt: a status,
// or how the connection failed, and how often.
func (a Attack) Run(ctx context.Context, target Target) map[string]int {
	t := newTrial(target)
	ctx, t.end = context.WithCancel(ctx)
	defer t.end()
	a.run(ctx, t)
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.answers
}
