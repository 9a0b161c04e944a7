// Who is here: every page says so from time to time on a topic of its own, for
// how long that holds, and goodbye when it leaves. A page that vanishes without
// a word is gone when its time is over.

import { randomId } from "../static/hub.js";

// A hidden page's timers may be let run but once a minute.
const BEAT = 20_000; // ms
const TTL = { visible: 45, hidden: 90 }; // seconds
const TYPING = 4_000; // ms

export class Presence {
  people = new Map(); // by id: {id, name, until, typing}; typing is until when

  #me;
  #say;
  #page = randomId(); // tells this page from another with the same id
  #hello = null; // what our own greeting carries
  #arrived = false; // what comes before our greeting is history
  #listeners = new Set();
  #typedAt = 0;

  // me is {id, name}; say(type, data, leaving) publishes to the room's topic.
  // renew gives me another id: a duplicated tab begins with its original's.
  constructor(me, say, renew) {
    this.#me = me;
    this.#say = say;
    this.renew = renew;
    setInterval(() => this.#arrived && this.beat(), BEAT);
    setInterval(() => this.#expire(), 500);
    document.addEventListener("visibilitychange", () => this.#arrived && this.beat());
    addEventListener("pagehide", () => this.leave());
  }

  onChange(f) {
    this.#listeners.add(f);
  }

  // enter greets; whoever is here answers, so that nobody need be looked up.
  enter() {
    this.people.clear();
    this.#arrived = false;
    this.#hello = randomId();
    this.#say("hello", { ...this.#self(), hello: this.#hello });
    this.#changed();
  }

  beat() {
    this.#say("here", this.#self());
  }

  leave() {
    if (this.#arrived) this.#say("bye", { from: this.#me.id, page: this.#page }, true);
    this.#arrived = false;
  }

  typing() {
    if (Date.now() - this.#typedAt < TYPING / 2) return;
    this.#typedAt = Date.now();
    this.#say("typing", { from: this.#me.id });
  }

  // hear takes an event of the room's presence topic.
  hear(type, data) {
    if (type === "hello" && data.hello === this.#hello) this.#arrived = true;
    if (!this.#arrived || typeof data.from !== "string") return;
    const known = this.people.get(data.from);
    if (type === "bye") {
      if (known?.page === data.page) this.people.delete(data.from);
    } else if (type === "typing") {
      if (known) known.typing = Date.now() + TYPING;
    } else {
      if (this.#isDouble(data)) return this.renew();
      const { from: id, name, page } = data;
      const until = Date.now() + Math.min(Number(data.ttl) || 0, 120) * 1000;
      this.people.set(id, { id, name: String(name).slice(0, 40), page, until, typing: 0 });
      if (type === "hello" && data.hello !== this.#hello) setTimeout(() => this.beat(), Math.random() * 400);
    }
    this.#changed();
  }

  // stopTyping is for when what was being typed has come.
  stopTyping(id) {
    const person = this.people.get(id);
    if (person) person.typing = 0;
    this.#changed();
  }

  #self() {
    const { id, name } = this.#me;
    return { from: id, name, page: this.#page, ttl: document.hidden ? TTL.hidden : TTL.visible };
  }

  #isDouble({ from, page }) {
    return from === this.#me.id && page !== this.#page;
  }

  #expire() {
    const now = Date.now();
    for (const [id, person] of this.people) if (person.until < now) this.people.delete(id);
    this.#changed();
  }

  #changed() {
    for (const f of this.#listeners) f();
  }
}
