// Package demo implements `tidings serve --demo`: the pages below /demo/ and the
// generators behind them.
//
// # Promises
//
// [Handler] serves files that are part of the binary, under a Content Security Policy
// that allows only the site's own files, and nothing inline. The pages use the public API
// only, with the browser's own EventSource, and send requests to a generator as events.
// The one exception, /demo/plug/events, serves the streams of the [Plug]'s hub.
//
// [Run] publishes real figures of this host. Figures that a system does not provide are
// left out, and logged once; they are never invented and never stop the others. Invented
// data, such as that of the simulated market, is marked as such in each event.
//
// # Topics
//
// `clock`, every second on the second: an unnamed event whose data is the time in
// RFC 3339 (UTC, milliseconds), and a `tick` with [Tick] as JSON.
//
// `host`, every second: `cpu` ([CPU]), `memory` ([Memory]), `disk` ([Disk]) and
// `network` ([Network]); and, when a threshold is crossed, `alarm` ([Alarm]).
//
// `outage`: `pause` ([Outage]), with which a page silences the host.
//
// `plug`: `pull`, with which a page kills the [Plug]'s hub, and `state` ([PlugState]).
//
// `stocks/SYMBOL`: `price` ([Price]), of a simulated market, which is marked as such, or
// of a file.
//
// `news`: `item` ([Item]), of feeds or about the market. Every client may publish more,
// including unnamed events whose data is a title.
//
// `chat/ROOM`, published by the pages only: `say`, a message; and `chat/ROOM/here`:
// `hello`, `here`, `typing` and `bye`, with which pages show each other who is present.
//
// `llm`: `ask`, `stop` and `done`, and the answers on `llm/ID`: see package
// examples/llm.
//
// Every JSON object has `t`, the publisher's clock in Unix milliseconds, from which a
// page computes how long an event took to reach the screen.
//
// # Pages
//
// A demo is a folder with an index.html, its own script and its dictionary (text.js). It
// calls setupPage of static/page.js with that dictionary and a Stream of
// static/stream.js, is listed in page.js, and has a card in the index. The demos share
// the files in static/; console/site has those that they share with the console. A page
// publishes with publish of static/hub.js, which asks for a token if the hub requires
// one.
package demo
