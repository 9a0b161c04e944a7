// A Tail holds the newest events of a selector: those of one EventSource, as
// many as fit. What comes is only noted when it comes; it is looked at once a
// frame, so that ten thousand events a second are sixty pieces of work.

import { streamURL } from "./api.js";
import { signedIn } from "./static/token.js";

const MAX_EVENTS = 10_000;
const MAX_CHARS = 16 << 20;
const SPAN = 60; // seconds of the rate
const BUDGET = 12; // ms of a frame
const RENEW_AFTER = 5000; // ms

export class Tail {
  selector = "";
  events = []; // that are held, the newest last: {n, id, time, type, topics, data, size} or {n, gap}
  shown = []; // those of them that the filters leave
  total = 0; // ever received, of this selector
  rates = new Array(SPAN).fill(0); // events in each of the last seconds, the newest last
  types = new Set(); // that were seen, without "message"
  topics = new Set();
  state = "closed";

  #source = null;
  #lastId = "";
  #opening = 0; // the newest of them wins
  #arrived = [];
  #chars = 0;
  #arrivedChars = 0;
  #n = 0;
  #count = 0; // in this second
  #filter = () => true;
  #scheduled = false;
  #listeners = new Set();

  constructor() {
    setInterval(() => {
      this.rates.push(this.#count);
      this.rates.shift();
      this.#count = 0;
      this.#changed();
    }, 1000);
  }

  onChange(f) {
    this.#listeners.add(f);
  }

  // open tails a selector, from its newest events on.
  async open(selector) {
    this.close();
    this.selector = selector;
    this.#lastId = "";
    this.clear();
    this.total = 0;
    await this.#connect({ last: 20 });
  }

  async #connect(from) {
    const opening = ++this.#opening;
    this.#set("connecting");
    let url;
    try {
      url = await streamURL(new URLSearchParams({ topic: this.selector, envelope: "message", ...from }));
    } catch (problem) {
      if (opening === this.#opening) this.#set("closed");
      throw problem;
    }
    if (opening !== this.#opening) return;
    const source = (this.#source = new EventSource(url));
    source.onopen = () => this.#set("open");
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) this.#ended(opening);
      else this.#set("connecting");
    };
    source.onmessage = (event) => this.#receive(event.lastEventId, event.data);
    source.addEventListener("gap", (event) => this.#receive(event.lastEventId, null, JSON.parse(event.data).reason));
    // How far the stream has got in the log, with nothing to show for it.
    source.addEventListener("position", (event) => (this.#lastId &&= event.lastEventId || this.#lastId));
  }

  // ended is for a stream that the browser will not open again. One with a ticket
  // may have outlived it, and goes on with another.
  #ended(opening) {
    this.#set("closed");
    if (!signedIn()) return;
    setTimeout(() => {
      if (opening === this.#opening) this.#connect(this.#lastId ? { last_event_id: this.#lastId } : { last: 20 }).catch(() => {});
    }, RENEW_AFTER);
  }

  close() {
    this.#opening++;
    this.#source?.close();
    this.#source = null;
    this.#set("closed");
  }

  clear() {
    this.events = [];
    this.shown = [];
    this.#arrived = [];
    this.#chars = this.#arrivedChars = 0;
    this.#changed();
  }

  // filter shows only events of types that contain one text, and data, topics or
  // ids that contain another, whatever their case.
  filter(type, text) {
    const [wantedType, wanted] = [type.trim().toLowerCase(), text.toLowerCase()];
    this.#filter = (e) =>
      e.gap !== undefined ||
      ((!wantedType || e.type.toLowerCase().includes(wantedType)) &&
        (!wanted ||
          e.data.toLowerCase().includes(wanted) ||
          e.id.toLowerCase().includes(wanted) ||
          e.topics.some((topic) => topic.toLowerCase().includes(wanted))));
    this.shown = this.events.filter(this.#filter);
    this.#changed();
  }

  get perSecond() {
    return this.rates[SPAN - 1];
  }

  #set(state) {
    this.state = state;
    this.#changed();
  }

  #receive(id, raw, gap) {
    if (id) this.#lastId = id;
    this.#arrived.push({ n: this.#n++, id, raw, gap });
    this.#arrivedChars += raw?.length ?? 0;
    this.#count++;
    this.total++;
    // A hidden page has no frames: what waits for one is bounded as well.
    if (this.#arrived.length > 2 * MAX_EVENTS || this.#arrivedChars > 2 * MAX_CHARS) {
      for (const e of this.#arrived.splice(0, this.#arrived.length >> 1)) this.#arrivedChars -= e.raw?.length ?? 0;
    }
    this.#changed();
  }

  #changed() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#take();
      for (const f of this.#listeners) f(this);
    });
  }

  // take looks at what has arrived since the last frame, the oldest first, for as
  // long as nobody notices; the rest is the next frame's.
  #take() {
    const arrived = this.#arrived.slice(-MAX_EVENTS);
    const end = performance.now() + BUDGET;
    let taken = 0;
    while (taken < arrived.length && (taken % 64 > 0 || performance.now() < end)) {
      const { n, id, raw, gap } = arrived[taken++];
      if (raw === null) {
        this.#keep({ n, gap, size: 0 });
        continue;
      }
      const { topics, type, time, data } = JSON.parse(raw);
      if (type !== "message" && this.types.size < 200) this.types.add(type);
      if (this.topics.size < 500) this.topics.add(topics[0]);
      this.#keep({ n, id, topics, type, data, time: new Date(time), size: raw.length });
    }
    this.#trim();
    this.#arrived = arrived.slice(taken);
    this.#arrivedChars = this.#arrived.reduce((sum, { raw }) => sum + (raw?.length ?? 0), 0);
    if (this.#arrived.length > 0) this.#changed();
  }

  #keep(event) {
    this.events.push(event);
    this.#chars += event.size;
    if (this.#filter(event)) this.shown.push(event);
  }

  // trim drops the oldest, some more than needed, so that it is not done each time.
  #trim() {
    let drop = this.events.length > MAX_EVENTS ? this.events.length - MAX_EVENTS * 0.9 : 0;
    let chars = this.#chars;
    for (let i = 0; i < this.events.length && (i < drop || chars > MAX_CHARS); i++) {
      chars -= this.events[i].size;
      drop = Math.max(drop, i + 1);
    }
    if (drop === 0) return;
    this.events = this.events.slice(drop);
    this.#chars = chars;
    const oldest = this.events[0]?.n ?? Infinity;
    this.shown = this.shown.slice(firstFrom(this.shown, oldest));
  }
}

// firstFrom is the index of the first event that is not before n.
export function firstFrom(events, n) {
  let [low, high] = [0, events.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (events[middle].n < n) low = middle + 1;
    else high = middle;
  }
  return low;
}
