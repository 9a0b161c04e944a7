// A Stream is one native EventSource with what the standard leaves to the page:
// who closed it, how often it came back, and how long events took to the screen.
// Reconnecting is the browser's own business; nothing here ever does it, unless a
// page that nobody looks after asks for more (revive).

const STATES = ["connecting", "open", "closed"]; // by readyState
const MINUTE = 60_000;

export const supported = "EventSource" in window;

// resuming makes the URL of a stream on topics, which begins as begin says ("last=50")
// and, when it is opened again, with what it missed.
export function resuming(topics, begin, path = "/events") {
  const readable = { "%2F": "/", "%7B": "{", "%7D": "}" };
  const selectors = topics
    .map((topic) => `topic=${encodeURIComponent(topic).replace(/%2F|%7B|%7D/g, (code) => readable[code])}`)
    .join("&");
  return ({ lastId }) => `${path}?${selectors}&${lastId ? `last_event_id=${encodeURIComponent(lastId)}` : begin}`;
}

export class Stream {
  events = 0;
  url = ""; // as it was opened last
  lastId = "";
  lastEventAt = 0; // Unix ms, by this browser's clock
  reconnects = 0; // connections lost and opened again
  attempts = 0; // failures in a row; 0 while open
  lastError = null; // Date
  lostAt = null; // Date of the first failure in that row
  closedBy = null; // "user" or "server", once closed
  marks = []; // of the last minute: {at, kind, delay}; delay is null for a replayed event
  outages = []; // [{from, to}] of the last minute, to is null while it lasts

  #source = null;
  #url;
  #revive;
  #handlers = new Map();
  #listeners = { change: new Set(), gap: new Set(), open: new Set() };
  #openedAt = Infinity;
  #wasOpen = false;
  #unpainted = [];

  // url is a string, or a function of the stream, asked each time it is opened.
  // revive, in ms, is for a screen on a wall: opened again so long after the
  // browser has given up for good, as it does when a proxy answers 502.
  constructor(url, { revive = 0 } = {}) {
    this.#revive = revive;
    this.#url = typeof url === "function" ? url : () => url;
    // A hidden page is not painted: what waits for it would count as delay.
    document.addEventListener("visibilitychange", () => (this.#unpainted = []));
    // A page that is left may be kept for the back button, its connection still
    // open: six such, and HTTP/1.1 has none left for the page that is looked at.
    let left = false;
    addEventListener("pagehide", () => {
      left = this.state !== "closed";
      this.close();
    });
    addEventListener("pageshow", (event) => {
      if (event.persisted && left) this.open();
    });
  }

  get state() {
    return STATES[this.#source?.readyState ?? 2];
  }

  // on registers what handles one type ("message": unnamed events). A handler that
  // returns the publisher's clock (Unix ms) has that event's delay measured.
  on(type, handler) {
    this.#handlers.set(type, handler);
    return this;
  }

  onChange(f) {
    this.#listeners.change.add(f);
  }

  // onGap hears that events asked for are no longer retained: {requested, resumed_after, reason}.
  onGap(f) {
    this.#listeners.gap.add(f);
  }

  // onOpen hears each connection, also the browser's own reconnections.
  onOpen(f) {
    this.#listeners.open.add(f);
  }

  open() {
    if (!supported || this.state !== "closed") return;
    this.url = this.#url(this);
    this.closedBy = null;
    this.attempts = 0;
    this.#wasOpen = false;
    const source = (this.#source = new EventSource(this.url));
    source.addEventListener("open", () => this.#opened());
    source.addEventListener("error", () => this.#failed());
    source.addEventListener("gap", (event) => this.#gap(event));
    source.addEventListener("position", (event) => this.#position(event));
    for (const [type, handler] of this.#handlers) {
      source.addEventListener(type, (event) => this.#receive(event, handler));
    }
    this.#changed();
  }

  close() {
    if (this.state === "closed") return;
    this.#source.close();
    this.closedBy = "user";
    this.#endOutage();
    this.#changed();
  }

  // restart opens the stream at another URL, of which nothing has been seen.
  restart() {
    this.close();
    this.lastId = "";
    this.open();
  }

  // delay is {p50, max, min} in ms over the last minute, or null.
  get delay() {
    const sorted = this.marks.map((m) => m.delay).filter(Number.isFinite).sort((a, b) => a - b);
    if (sorted.length === 0) return null;
    return { p50: sorted[sorted.length >> 1], max: sorted.at(-1), min: sorted[0] };
  }

  #opened() {
    if (this.#wasOpen) this.reconnects++;
    this.#wasOpen = true;
    this.attempts = 0;
    this.#openedAt = Date.now();
    this.#endOutage();
    for (const f of this.#listeners.open) f();
    this.#changed();
  }

  // An error event with readyState CONNECTING means that the browser will try again;
  // with CLOSED it has given up (HTML §9.2.3).
  #failed() {
    this.lastError = new Date();
    if (this.attempts++ === 0) this.lostAt = this.lastError;
    if (this.state === "closed") {
      this.closedBy = "server";
      this.#endOutage();
      if (this.#revive) setTimeout(() => this.open(), this.#revive);
    } else if (this.#wasOpen && this.outages.at(-1)?.to !== null) {
      this.outages.push({ from: Date.now(), to: null });
    }
    this.#changed();
  }

  #endOutage() {
    const last = this.outages.at(-1);
    if (last?.to === null) last.to = Date.now();
  }

  #receive(event, handler) {
    const now = Date.now();
    this.events++;
    this.lastId = event.lastEventId;
    this.lastEventAt = now;
    const sent = handler(event);
    const mark = { at: now, kind: event.type === "message" ? "unnamed" : "named", delay: null };
    this.marks.push(mark);
    // What was published before this connection opened is replay: its age is no delay.
    if (sent >= this.#openedAt && !document.hidden) this.#measure(mark, sent);
    this.#changed();
  }

  #measure(mark, sent) {
    this.#unpainted.push({ mark, sent });
    if (this.#unpainted.length > 1) return;
    requestAnimationFrame(() => {
      const now = Date.now();
      for (const { mark, sent } of this.#unpainted) mark.delay = now - sent;
      this.#unpainted = [];
      this.#changed();
    });
  }

  #gap(event) {
    this.lastId = event.lastEventId;
    const gap = JSON.parse(event.data);
    for (const f of this.#listeners.gap) f(gap);
    this.#changed();
  }

  // A position says how far the stream has got in the hub's log. Without it, a
  // stream on a quiet topic would be opened again from an event that is no longer
  // retained. Before its first event, a stream begins as its URL says. A hub that
  // cannot serve now sends a position without an id.
  #position(event) {
    if (!this.lastId || !event.lastEventId) return;
    this.lastId = event.lastEventId;
    this.#changed();
  }

  #changed() {
    const oldest = Date.now() - MINUTE;
    const keep = this.marks.findIndex((m) => m.at >= oldest);
    if (keep !== 0) this.marks.splice(0, keep < 0 ? this.marks.length : keep);
    while (this.outages[0]?.to != null && this.outages[0].to < oldest) this.outages.shift();
    for (const f of this.#listeners.change) f(this);
  }
}
