//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
)

// An archive is a history of one publisher's events over many topics. The number n of
// an event determines the event.
type archive struct {
	Events int `default:"1000000" help:"How many events of history."`
	Topics int `default:"1000" help:"Over how many topics, beside a hot one."`
	Hot    int `default:"20" help:"One event in so many is of the hot topic."`
}

// fillBatch is how many events of history one request publishes.
const fillBatch = 1000

// publish fills a hub with the archive. It returns the publisher, whose ledger has the
// ids.
func (a *archive) publish(ctx context.Context, h *process) (*publisher, error) {
	p := newPublisher(h, 1, batchWithKey)
	defer p.client.CloseIdleConnections()
	p.topics = func(seq uint32) []string { return []string{a.name(a.topic(seq))} }
	for seq := 0; seq < a.Events; seq += fillBatch {
		if err := p.publish(ctx, min(fillBatch, a.Events-seq)); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// topic returns the index of an event's topic; the hot topic is the last.
func (a *archive) topic(seq uint32) int {
	if seq%uint32(a.Hot) == 0 {
		return a.Topics
	}
	return int(seq * 2654435761 >> 7 % uint32(a.Topics)) // Knuth's multiplicative hash
}

func (a *archive) name(topic int) string {
	if topic == a.Topics {
		return "hot"
	}
	return fmt.Sprintf("topic-%d", topic)
}

// byTopic returns the numbers of the events of each topic.
func (a *archive) byTopic() [][]uint32 {
	all := make([][]uint32, a.Topics+1)
	for seq := range uint32(a.Events) {
		t := a.topic(seq)
		all[t] = append(all[t], seq)
	}
	return all
}

// after returns, in order, the numbers above seq of the events of some topics.
func after(seq uint32, byTopic [][]uint32, topics []int) (merged []uint32) {
	for _, t := range topics {
		i, _ := slices.BinarySearch(byTopic[t], seq+1)
		merged = append(merged, byTopic[t][i:]...)
	}
	slices.Sort(merged)
	return merged
}

// maxTopics is how many topics the hub allows an event.
const maxTopics = 100

// ends returns how many events it takes to publish the end of the run to every topic.
func (a *archive) ends() int { return a.Topics/maxTopics + 1 }

// endTopics returns the topics of the nth event that marks the end.
func (a *archive) endTopics(seq uint32) (names []string) {
	first := int(seq) % a.ends() * maxTopics
	for t := first; t < min(first+maxTopics, a.Topics+1); t++ {
		names = append(names, a.name(t))
	}
	return names
}
