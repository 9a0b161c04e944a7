import { el, oncePerFrame, setText } from "../static/dom.js";
import { retained } from "../static/hub.js";
import { onLanguage, t } from "../static/i18n.js";
import { direction, Market, signed } from "../static/market.js";
import { setupPage } from "../static/page.js";
import { drawSpark, sparkline } from "../static/spark.js";
import { resuming, Stream } from "../static/stream.js";
import texts from "./text.js";

const SELECTOR = "stocks/{symbol}";
const byId = (id) => document.getElementById(id);
const market = new Market();
const tiles = new Map(); // by symbol
const changed = new Set(); // symbols, since the frame before
let order = "sector";

const stream = new Stream(resuming([SELECTOR], "last=1")).on("price", (event) => {
  const data = JSON.parse(event.data);
  if (market.add(data)) {
    changed.add(data.symbol);
    draw();
  }
  return data.t;
});

// The last price of each is here with the stream. Where the lines come from may
// take a moment longer: it is some thousand events.
async function readPast() {
  const past = await retained(`topic=${encodeURIComponent(SELECTOR)}&since=3m`).catch(() => []);
  const before = new Market();
  for (const { type, data } of past) if (type === "price") before.add(JSON.parse(data));
  market.precede(before);
  for (const symbol of before.symbols.keys()) changed.add(symbol);
  draw();
}

const draw = oncePerFrame(() => {
  for (const symbol of changed) {
    const entry = market.symbols.get(symbol);
    if (!entry) continue;
    if (!tiles.has(symbol)) {
      tiles.set(symbol, new Tile(entry));
      arrange();
    }
    tiles.get(symbol).show(entry);
  }
  changed.clear();
  if (order === "change") arrange();
  showSummary();
});

class Tile {
  node = el("li", { class: "tile" });
  #price = el("span", { class: "price figures" });
  #change = el("span", { class: "change figures" });
  #spark = sparkline();

  constructor({ symbol, name }) {
    this.node.dataset.symbol = symbol;
    this.node.append(el("strong", {}, symbol), this.#change, el("span", { class: "name" }, name), this.#spark, this.#price);
  }

  show({ price, change, moved, trace }) {
    setText(this.#price, price.toFixed(2));
    setText(this.#change, signed(change));
    this.node.dataset.direction = direction(change);
    drawSpark(this.#spark, trace, { span: Math.max(trace.length, 12) });
    if (moved === 0) return;
    this.node.classList.remove("rose", "fell");
    void this.node.offsetWidth; // so that the animation begins anew
    this.node.classList.add(moved > 0 ? "rose" : "fell");
  }
}

// arrange puts the tiles in order, and leaves alone what is in its place.
function arrange() {
  const groups = order === "change" ? [["", market.movers]] : bySector();
  const nodes = groups.flatMap(([name, entries]) => [
    ...(name ? [heading(name)] : []),
    ...entries.map((entry) => tiles.get(entry.symbol)?.node).filter(Boolean),
  ]);
  const board = byId("board");
  if (nodes.length !== board.children.length || nodes.some((node, i) => board.children[i] !== node)) board.replaceChildren(...nodes);
}

function bySector() {
  const sectors = Map.groupBy(market.symbols.values(), (entry) => entry.sector);
  for (const entries of sectors.values()) entries.sort((a, b) => a.symbol.localeCompare(b.symbol));
  return [...sectors].sort(([a], [b]) => a.localeCompare(b));
}

const headings = new Map();
function heading(name) {
  if (!headings.has(name)) headings.set(name, el("li", { class: "sector" }));
  setText(headings.get(name), t(`sector.${name}`));
  return headings.get(name);
}

function showSummary() {
  const { source, index, movers } = market;
  if (!movers.length) return;
  byId("index").dataset.direction = direction(index);
  setText(byId("index"), signed(index));
  for (const [id, entry] of [["best", movers[0]], ["worst", movers.at(-1)]]) {
    setText(byId(id), `${entry.symbol} ${signed(entry.change)}`);
    byId(id).dataset.direction = direction(entry.change);
  }
  const { at } = movers.reduce((a, b) => (b.t > a.t ? b : a));
  setText(byId("source"), source === "simulated" ? t("simulated") : t("replayed", { source, at }));
}

for (const button of document.querySelectorAll("#order button")) {
  button.addEventListener("click", () => {
    order = button.value;
    for (const other of document.querySelectorAll("#order button")) other.setAttribute("aria-pressed", String(other === button));
    arrange();
  });
}

onLanguage(() => {
  arrange();
  showSummary();
});
setupPage(texts, stream);
readPast();
