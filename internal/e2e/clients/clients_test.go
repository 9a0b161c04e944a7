package clients

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// A client is a row of the table.
type client struct {
	name string
	// everyType is set if the client has a single handler for events of every
	// type. It then also gets positions, whose data is {}.
	everyType bool
	// form returns the event that the client needs for number n; nil: the number
	// as data.
	form func(n int) (typ, data string)
}

// inBrowsers are the clients of js/clients.mjs for browsers.
var inBrowsers = append([]client{
	{name: "EventSource"},
	{name: "Turbo stream source", form: turboStream},
	{name: "htmx-ext-sse"},
	{name: "Datastar", form: mergeSignals},
	{name: "reconnecting-eventsource, onmessage"},
	{name: "reconnecting-eventsource, addEventListener"},
	{name: "event-source-polyfill"},
	{name: "sse.js, autoReconnect"},
	{name: "fetch-event-source, plain", everyType: true},
	{name: "fetch-event-source, retrying", everyType: true},
	{name: "fetch-event-source, JSON.parse", everyType: true},
}, anywhere...)

// inNode are the clients of js/clients.mjs for Node.js.
var inNode = append([]client{
	{name: "eventsource 2"},
	{name: "launchdarkly-eventsource"},
	{name: "undici EventSource"},
}, anywhere...)

// anywhere are the clients of js/clients.mjs for both.
var anywhere = []client{
	{name: "eventsource 3"},
	{name: "eventsource 4"},
	{name: "eventsource-client", everyType: true},
	{name: "eventsource-parser in a loop", everyType: true},
	{name: "extended-eventsource"},
}

// inGo are the clients of golang_test.go.
var inGo = []client{
	{name: "r3labs/sse", everyType: true},
	{name: "donovanhide/eventsource", everyType: true},
	{name: "launchdarkly/eventsource", everyType: true},
	{name: "tmaxmax/go-sse"},
	{name: "tidings/sse"},
}

var inPHP = []client{{name: "EventSourceHttpClient", everyType: true}}

// unavailable lists clients that are not in the table, with the reason.
var unavailable = []string{
	"Datastar 1.0: not on npm, where 0.21.4 is the newest; the table has that one",
	"httpx-sse: not among Debian's packages",
}

func turboStream(n int) (string, string) {
	return "", fmt.Sprintf(`<turbo-stream action="append" target="numbers"><template>%d</template></turbo-stream>`, n)
}

func mergeSignals(n int) (string, string) {
	return "datastar-merge-signals", fmt.Sprintf(`signals {"n":%d}`, n)
}

// A platform is a browser or a language in which some of the clients run. start runs
// them until the test ends, each on its own topic.
type platform struct {
	name    string
	clients []client
	start   func(t *testing.T, listeners []*listener)
}

var platforms = []platform{
	{"Chromium", inBrowsers, startChromium},
	{"Firefox", inBrowsers, startFirefox},
	{"Node.js", inNode, startNode},
	{"Go", inGo, startGo},
	{"PHP", inPHP, startPHP},
}

var notInTopic = regexp.MustCompile(`[^a-z0-9]+`)

// topic returns the name of a client's own topic. It is also a label of a host name.
func topic(platform, client string) string {
	return strings.Trim(notInTopic.ReplaceAllString(strings.ToLower(platform+"-"+client), "-"), "-")
}
