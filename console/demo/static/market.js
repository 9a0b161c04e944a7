// The market as far as a page has seen it.

const SPAN = 3 * 60_000; // ms of the sparklines
const POINTS = 60; // in each, at most: one a step
const STEP = SPAN / POINTS;

export class Market {
  symbols = new Map(); // {symbol, name, sector, price, open, change, moved, t, at, trace: [price]}
  source = "";

  // add takes a price event's data, or, of the past, one that is older than what
  // is known; it returns the symbol's entry. Anybody may publish: what is no
  // price is left out.
  add({ symbol, name = "", sector = "", price, open, source, t, at = "" }) {
    if (typeof symbol !== "string" || !(price > 0) || !(open > 0)) return null;
    const known = this.symbols.get(symbol);
    if (known && t < known.t) return known;
    const entry = known ?? { symbol, trace: [], slot: 0, moved: 0 };
    if (known && source !== this.source) Object.assign(entry, { trace: [], slot: 0 });
    Object.assign(entry, { name, sector, open, t, at, moved: known ? Math.sign(price - known.price) : 0, price });
    entry.change = (100 * (price - open)) / open;
    this.source = source;
    this.#trace(entry);
    this.symbols.set(symbol, entry);
    return entry;
  }

  // precede puts another's past before what is known here.
  precede(past) {
    for (const [symbol, before] of past.symbols) {
      const entry = this.symbols.get(symbol);
      if (!entry) this.symbols.set(symbol, before);
      else if (entry.trace.length < before.trace.length) {
        const kept = before.slot < entry.slot ? before.trace : before.trace.slice(0, -1);
        entry.trace = [...kept, entry.price].slice(-POINTS);
      }
    }
    this.source ||= past.source;
  }

  // index is the change of the whole market, each symbol counting alike, in percent.
  get index() {
    const all = [...this.symbols.values()];
    return all.reduce((sum, s) => sum + s.change, 0) / Math.max(all.length, 1);
  }

  // movers are all symbols, those that rose most first.
  get movers() {
    return [...this.symbols.values()].sort((a, b) => b.change - a.change || a.symbol.localeCompare(b.symbol));
  }

  // One point a step: trades within it replace each other.
  #trace(entry) {
    const slot = Math.floor(entry.t / STEP);
    if (slot === entry.slot) entry.trace.pop();
    else for (let gap = entry.slot + 1; entry.slot && gap < slot && gap > slot - POINTS; gap++) entry.trace.push(entry.trace.at(-1));
    entry.slot = slot;
    entry.trace.push(entry.price);
    entry.trace = entry.trace.slice(-POINTS);
  }
}

// signed is a change as one reads it: +1.23 %.
export function signed(change, unit = "\u00a0%") {
  const text = Math.abs(change).toFixed(2);
  return `${Number(text) === 0 ? "±" : change > 0 ? "+" : "−"}${text}${unit}`;
}

// direction is up, down or flat.
export function direction(change) {
  return change > 0.005 ? "up" : change < -0.005 ? "down" : "flat";
}
