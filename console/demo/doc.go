// Package demo is what `tidings serve --demo` shows: the pages below /demo/ and
// the generators behind them.
//
// # Promises
//
// [Handler] serves files that are part of the binary, under a Content Security
// Policy that allows nothing inline and nothing foreign. The pages have no
// private door: they use the public API alone, with the browser's own EventSource,
// and what they ask of a generator is an event, too. The one path beside it,
// /demo/plug/events, leads to the hub that is there to be killed.
//
// [Run] publishes real figures of this host. What cannot be read on a system is
// left out, and said once in the log; it is never made up and never stops the
// rest. What is made up, as the market is, says so in each event.
//
// # Topics
//
// `clock`, each second on the second: an unnamed event whose data is the time in
// RFC 3339 (UTC, milliseconds), and a `tick` with [Tick] as JSON.
//
// `host`, each second: `cpu` ([CPU]), `memory` ([Memory]), `disk` ([Disk]) and
// `network` ([Network]); and, when a threshold is crossed, `alarm` ([Alarm]).
//
// `outage`: `pause` ([Outage]), by which a page has the host fall silent.
//
// `plug`: `pull`, by which a page has the [Plug]'s hub killed, and `state`
// ([PlugState]).
//
// `stocks/SYMBOL`: `price` ([Price]), of a simulated market, which says that it is
// one, or of a file.
//
// `news`: `item` ([Item]), of feeds or about the market; anybody may publish more,
// also unnamed events, whose data is a title.
//
// `chat/ROOM`, by the pages alone: `say`, what somebody says; and `chat/ROOM/here`:
// `hello`, `here`, `typing` and `bye`, by which they tell each other who is here.
//
// `llm`: `ask`, `stop` and `done`, and the answers on `llm/ID`: see package
// examples/llm.
//
// Every JSON object has `t`, the publisher's clock in Unix milliseconds, from which
// a page tells how long an event took to reach the screen.
//
// # Pages
//
// A demo is a folder with an index.html, its own script and its dictionary
// (text.js); it calls setupPage of static/page.js with that dictionary and a Stream
// of static/stream.js, is listed in page.js, and has a card in the index. What
// static/ holds is shared by the demos; console/site has what the console shares too.
// A page publishes with publish of static/hub.js, which asks for a token where the
// hub wants one.
package demo
