//go:build linux

// Package attack does to a hub what strangers may do. Each file is one attack.
//
// An attack runs until its context ends, in its own process (`checker attack` starts
// it), against a hub on loopback. It counts the hub's answers, and holds no more
// connections, goroutines and memory than its constants say. To add one, copy a file
// and list it in [All].
package attack

import (
	"context"
	"fmt"
)

// An Attack is one way to ask a hub for more than a client's share.
type Attack struct {
	// Name is what [Find] and the command line know the attack by.
	Name  string
	Store string // the hub's --store, if the attack needs one; "": any
	// Flags are what the hub needs besides the flags of every attacked hub: keys,
	// --anonymous and --mercure-subscriptions.
	Flags []string
	// Late is set for attacks that keep all others out, and so begin after them.
	Late bool

	run func(ctx context.Context, t *trial)
}

// All lists the attacks.
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

// Find returns the attack with the given name, or an error if there is none.
func Find(name string) (Attack, error) {
	for _, a := range All {
		if a.Name == name {
			return a, nil
		}
	}
	return Attack{}, fmt.Errorf("there is no attack %q", name)
}

// Run attacks until ctx ends, and returns how often each outcome came: an HTTP status,
// or how the connection failed.
func (a Attack) Run(ctx context.Context, target Target) map[string]int {
	t := newTrial(target)
	ctx, t.end = context.WithCancel(ctx)
	defer t.end()
	a.run(ctx, t)
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.answers
}
