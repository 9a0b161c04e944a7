// A List shows the events of a tail, the newest first. However many there are,
// it has no more rows than fit its frame. While it is held, by the pause button
// or because its reader has scrolled down, nothing in it moves.

import { el, setText } from "./static/dom.js";
import { language, onLanguage, t } from "./static/i18n.js";
import { firstFrom } from "./tail.js";

const PREVIEW = 300; // characters of an event's data

export class List {
  paused = false;
  selected = null;

  #tail;
  #frame;
  #rows;
  #pool = [];
  #heldAt = null; // the newest event that is shown; null: whatever comes
  #onSelect;
  #shown = []; // what is in the frame's list now, the newest last
  #end = 0; // of what is shown of it

  constructor(tail, frame, onSelect) {
    this.#tail = tail;
    this.#frame = frame;
    this.#rows = frame.querySelector(".rows");
    this.#onSelect = onSelect;
    frame.addEventListener("scroll", () => {
      this.#hold();
      this.draw();
    });
    frame.addEventListener("keydown", (event) => this.#key(event));
    frame.addEventListener("click", (event) => {
      const row = event.target.closest(".row");
      if (row?.event) this.select(row.event);
    });
    new ResizeObserver(() => this.draw()).observe(frame);
    onLanguage(() => this.draw());
  }

  pause(on) {
    this.paused = on;
    this.#hold();
    this.draw();
  }

  // newer is how many events wait to be shown.
  get newer() {
    return this.#shown.length - this.#end;
  }

  toNewest() {
    this.#frame.scrollTop = 0;
    this.#heldAt = null;
    this.draw();
  }

  select(event) {
    this.selected = event;
    this.#hold();
    this.draw();
    this.#onSelect(event);
  }

  #hold() {
    const hold = this.paused || this.#frame.scrollTop > 0;
    if (!hold) this.#heldAt = null;
    else this.#heldAt ??= this.#shown[this.#end - 1]?.n ?? -1;
  }

  draw() {
    this.#shown = this.#tail.shown;
    this.#end = this.#heldAt === null ? this.#shown.length : firstFrom(this.#shown, this.#heldAt + 1);
    const height = this.#rowHeight();
    this.#rows.style.height = `${this.#end * height}px`;
    const first = Math.floor(this.#frame.scrollTop / height);
    const count = Math.min(Math.ceil(this.#frame.clientHeight / height) + 1, Math.max(this.#end - first, 0));
    while (this.#pool.length < count) this.#pool.push(this.#newRow());
    this.#pool.forEach((row, i) => {
      row.hidden = i >= count;
      if (i < count) this.#fill(row, first + i, height);
    });
    this.#frame.setAttribute("aria-activedescendant", this.#pool.find((row) => !row.hidden && row.event === this.selected)?.id ?? "");
  }

  #at(index) {
    return this.#shown[this.#end - 1 - index];
  }

  #rowHeight() {
    return parseFloat(getComputedStyle(this.#frame).getPropertyValue("--row"));
  }

  #newRow() {
    const cells = Object.fromEntries(["time", "type", "topic", "data", "id"].map((name) => [name, el("span", { class: name })]));
    const row = el("div", { class: "row", role: "option", id: `row-${this.#pool.length}` }, ...Object.values(cells));
    this.#rows.append(row);
    return Object.assign(row, { cells });
  }

  #fill(row, index, height) {
    const event = this.#at(index);
    row.style.transform = `translateY(${index * height}px)`;
    row.setAttribute("aria-selected", event === this.selected);
    row.setAttribute("aria-posinset", index + 1);
    row.setAttribute("aria-setsize", this.#end);
    const written = language() + event.n;
    if (row.written === written) return;
    row.written = written;
    row.event = event.gap === undefined ? event : null;
    row.className = `row ${event.gap !== undefined ? "gap" : event.type === "message" ? "unnamed" : "named"}`;
    setText(row.cells.time, row.event ? timeOfDay(event.time) : "");
    setText(row.cells.type, row.event ? event.type : "gap");
    setText(row.cells.topic, row.event ? event.topics.join(", ") : "");
    setText(row.cells.data, row.event ? event.data.slice(0, PREVIEW).replace(/\s+/g, " ") : t(`gap.${event.gap}`));
    setText(row.cells.id, row.event ? event.id : "");
  }

  #key(event) {
    const page = Math.max(Math.floor(this.#frame.clientHeight / this.#rowHeight()) - 1, 1);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || this.#end === 0) return;
    event.preventDefault();
    const now = this.selected ? this.#end - 1 - firstFrom(this.#shown, this.selected.n) : -1;
    let index = Math.min(Math.max(now + step, 0), this.#end - 1);
    while (this.#at(index)?.gap !== undefined && index > 0 && index < this.#end - 1) index += Math.sign(step);
    if (this.#at(index).gap !== undefined) return;
    const height = this.#rowHeight();
    const top = index * height;
    this.select(this.#at(index));
    if (top < this.#frame.scrollTop) this.#frame.scrollTop = top;
    else if (top + height > this.#frame.scrollTop + this.#frame.clientHeight) this.#frame.scrollTop = top + height - this.#frame.clientHeight;
  }
}

function timeOfDay(date) {
  return `${date.toLocaleTimeString("en-GB")}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}
