"use strict";

// The date, each second, as Server-Sent Events: plain Node.js, no packages.

const http = require("node:http");

const port = Number(process.env.PORT ?? 3000);

// The pages that may read the stream. `*` would let in every page there is, and
// with credentials (cookies) browsers refuse it.
const origins = new Set((process.env.ORIGINS ?? "http://localhost:8000,http://127.0.0.1:8000").split(","));

const CATCH_UP = 60; // seconds that a client who was away gets afterwards, at most

const now = () => Math.floor(Date.now() / 1000);

const server = http.createServer((req, res) => {
  // To an EventSource any status but 200 is final: it does not come again.
  // 204 says so on purpose; these say that the request was wrong.
  if (!["/", "/test/server-sent-events"].includes(req.url.split("?")[0])) return res.writeHead(404).end();
  if (req.method !== "GET") return res.writeHead(405, { Allow: "GET" }).end();
  const { origin } = req.headers; // absent if the page comes from this server itself
  if (origin && !origins.has(origin)) return res.writeHead(403, { Vary: "Origin" }).end();

  res.writeHead(200, {
    "Content-Type": "text/event-stream", // UTF-8, always
    "Cache-Control": "no-cache, no-transform", // compression would buffer
    "X-Accel-Buffering": "no", // and so would nginx
    Vary: "Origin", // the answer differs, should anything cache it
    ...(origin && { "Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true" }),
  });
  res.write("retry: 1000\n\n"); // come back after 1 s; browsers' own default is about 3 s

  // An event's id is its second. Whoever reconnects says which it saw last.
  const seen = req.headers["last-event-id"] ?? "";
  let next = /^\d{1,12}$/.test(seen) ? Math.max(Number(seen) + 1, now() - CATCH_UP) : now();

  const send = () => {
    // What a slow client has not taken yet waits in this process's memory:
    // add nothing to it. The seconds left out follow when it has caught up.
    while (next <= now() && !res.writableNeedDrain) {
      const type = next % 5 === 0 ? "event: fifth\n" : ""; // every fifth by a name of its own
      res.write(`${type}id: ${next}\ndata: ${new Date(next * 1000)}\n\n`);
      next++;
    }
  };
  send();
  const timer = setInterval(send, 1000);
  // Without this, each client that ever came would cost a timer for ever.
  res.on("close", () => clearInterval(timer));
});

server.listen(port, "127.0.0.1", () => console.log(`listening on http://localhost:${server.address().port}`));
