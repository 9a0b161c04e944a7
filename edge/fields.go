package edge

import (
	"fmt"
	"strconv"
	"time"

	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/sse"
	"github.com/tidings-sse/tidings/topic"
)

// The rules of an event's fields that dialects share. [hub.Check] has the rest.

// AddTopic adds a topic unless it is there already: several parts of a request may name
// it. Beyond [hub.MaxTopics] it does not look, because such an event is refused.
func AddTopic(topics []string, topic string) []string {
	for _, t := range topics[:min(len(topics), hub.MaxTopics)] {
		if t == topic {
			return topics
		}
	}
	return append(topics, topic)
}

// EventType returns the type of an event as a record has it: the unnamed type, which
// clients call message, is "".
func EventType(name string) string {
	if name == sse.DefaultType {
		return ""
	}
	return name
}

// ParseRetry parses a reconnection time in whole milliseconds, of at least the given
// time. The error is a [topic.InvalidError].
func ParseRetry(v string, least time.Duration) (time.Duration, error) {
	ms, err := strconv.ParseUint(v, 10, 32)
	retry := time.Duration(ms) * time.Millisecond
	if err != nil || retry < least {
		return 0, &topic.InvalidError{Reason: fmt.Sprintf("the field retry is a reconnection time in whole milliseconds, from %d to %d", least.Milliseconds(), hub.MaxRetry.Milliseconds())}
	}
	return retry, nil
}
