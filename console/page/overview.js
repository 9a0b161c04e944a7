// The hub's figures, once a second: plots of what changes, and the counts behind
// them. Counters are of the hub's whole life; rates are differences.

import { getJSON } from "./api.js";
import { el, setText } from "./static/dom.js";
import { bytes, duration, rate } from "./static/format.js";
import { language, onLanguage, t, translateAll } from "./static/i18n.js";
import { Plot } from "./static/plot.js";
import { tell } from "./table.js";

const byId = (id) => document.getElementById(id);
const listeners = new Set();

const count = (n) => (n == null ? ["–", ""] : [n >= 1e6 ? `${(n / 1e6).toFixed(2)} M` : n >= 1e4 ? `${(n / 1e3).toFixed(1)} k` : String(Math.round(n * 10) / 10), ""]);
const perSecond = (n) => (n == null ? ["–", ""] : [count(n)[0], "/s"]);
const seconds = (s) => {
  if (s == null) return ["–", ""];
  if (s >= 1) return [s.toFixed(2), "s"];
  return s >= 0.001 ? [(s * 1e3).toFixed(s >= 0.1 ? 0 : 1), "ms"] : [(s * 1e6).toFixed(0), "µs"];
};
const size = (n) => (n == null ? ["–", ""] : bytes(n));

const BINARY = Array.from({ length: 40 }, (_, i) => 2 ** i);

const rateOf = (counter) => (now, before, elapsed) => Math.max(counter(now) - counter(before), 0) / elapsed;

// Each plot's series: a name, a colour, and the value of an answer and the one before.
const PLOTS = [
  { id: "streams", format: count, floor: 4, series: [["streams", 1, (s) => s.streams.open]] },
  { id: "published", format: perSecond, floor: 4, series: [["published", 1, rateOf((s) => s.published.events)]] },
  { id: "delivered", format: perSecond, floor: 4, series: [["delivered", 1, rateOf((s) => s.delivered.events)]] },
  { id: "latency", format: seconds, floor: 0.0005, series: [["p50", 1, (s) => s.p50], ["p99", 2, (s) => s.p99]] },
  { id: "lag", format: count, floor: 4, series: [["lagging", 2, (s) => s.streams.lagging], ["catching_up", 3, (s) => s.streams.catching_up]] },
  { id: "out", format: rate, floor: 1024, steps: BINARY, series: [["out", 1, rateOf((s) => s.delivered.bytes)]] },
  { id: "memory", format: size, floor: 16 << 20, steps: BINARY, series: [["process", 1, (s) => s.memory.bytes], ["windows", 3, (s) => s.memory.window_bytes + s.memory.page_bytes]] },
  { id: "log", format: size, floor: 4096, steps: BINARY, series: [["log", 1, (s) => s.log.bytes]] },
];

const plots = PLOTS.map(card);
let last = null; // the newest answer
let latency = null; // of the newest second that had events, or of all before
let trouble = false;
let asking = 0; // the interval

// onStats hears of each answer of GET /stats.
export const onStats = (f) => listeners.add(f);

// begin asks for the figures from now on, again after it was refused them.
export function begin() {
  clearInterval(asking);
  asking = setInterval(() => !document.hidden && ask(), 1000);
  ask();
}

function card({ id, format, floor, steps, series }) {
  const readouts = series.map(([name, colour]) => ({
    figure: el("span", { class: "figure" }),
    unit: el("small"),
    label: series.length > 1 ? [el("span", {}, el("i", { class: "swatch", "data-colour": colour }), el("span", { "data-i18n": `plot.${name}` }))] : [],
  }));
  const place = el("div", { class: "plot" });
  const node = el(
    "section",
    { class: "panel meter", id: `plot-${id}` },
    el("h2", { "data-i18n": `plot.${id}` }),
    el("p", { class: "readings" }, ...readouts.map((r) => el("span", { class: "reading1" }, r.figure, " ", r.unit, ...r.label))),
    place,
  );
  byId("plots").append(node);
  translateAll(node);
  let index = null;
  const show = () => {
    const sample = plot.at(index);
    readouts.forEach((r, i) => {
      const [figure, unit] = format(sample?.values[i]);
      setText(r.figure, figure);
      setText(r.unit, unit);
    });
  };
  const plot = new Plot(place, {
    series: series.map(([, colour], i) => ({ colour: `--series-${colour}`, fill: i === 0 ? 0.12 : 0 })),
    format: (v) => format(v).join(" "),
    floor,
    steps,
    height: 120,
    group: "hub",
    onCursor: (at) => {
      index = at;
      show();
    },
  });
  return {
    push: (at, values) => {
      plot.push(at, values);
      show();
    },
    values: series.map(([, , value]) => value),
  };
}

async function ask() {
  try {
    take(await getJSON("/stats"));
    trouble = false;
    tell(byId("view-overview"), "");
  } catch (problem) {
    trouble = true;
    if (problem.status === 401 || problem.status === 403) clearInterval(asking);
    tell(byId("view-overview"), problem.status === 403 ? t("needs.admin") : "");
    for (const f of listeners) f(null, problem);
  }
}

function take(now) {
  const before = last && last.started_at === now.started_at ? last : null;
  latency ??= now.latency_seconds.count > 0 ? now.latency_seconds : null;
  const elapsed = before ? (new Date(now.time) - new Date(before.time)) / 1000 : 0;
  last = now;
  if (before && elapsed > 0) {
    const since = recent(now, before);
    // Of a second without events there is nothing new to say.
    if (since.length > 0) latency = { p50: quantile(since, 0.5), p99: quantile(since, 0.99) };
    const sample = { ...now, ...latency };
    for (const p of plots) {
      p.push(new Date(now.time).getTime(), p.values.map((value) => value(sample, before, elapsed)));
    }
  }
  counts();
  for (const f of listeners) f(now);
}

// recent is what the latency's buckets have got since an answer.
function recent(now, before) {
  const old = new Map(before.latency_seconds.buckets);
  return now.latency_seconds.buckets.map(([end, n]) => [end, n - (old.get(end) ?? 0)]).filter(([, n]) => n > 0);
}

function quantile(buckets, q) {
  const total = buckets.reduce((sum, [, n]) => sum + n, 0);
  let seen = 0;
  for (const [end, n] of buckets) {
    if ((seen += n) >= q * total) return end;
  }
  return null;
}

function counts() {
  if (!last || trouble) return;
  const { streams, gaps } = last;
  const entries = Object.entries(streams.disconnects).filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]);
  const most = Math.max(...entries.map(([, n]) => n), 1);
  byId("reasons").replaceChildren(
    ...(entries.length ? entries : [["none", 0]]).map(([reason, n]) =>
      el("div", { class: `bar ${reason}`, title: t(`reason.${reason}.why`) }, el("span", {}, t(`reason.${reason}`)), el("meter", { min: 0, max: most, value: n, "aria-label": t(`reason.${reason}`) }), el("b", { class: "figures" }, n.toLocaleString("en"))),
    ),
  );
  const gapCount = Object.values(gaps).reduce((a, b) => a + b, 0);
  const facts = {
    uptime: duration((new Date(last.time) - new Date(last.started_at)) / 1000, language()),
    published: last.published.events.toLocaleString("en"),
    duplicates: last.published.duplicates.toLocaleString("en"),
    delivered: last.delivered.events.toLocaleString("en"),
    connects: streams.connects.toLocaleString("en"),
    feeds: streams.feeds.toLocaleString("en"),
    catch_ups: last.catch_ups.toLocaleString("en"),
    gaps: gapCount.toLocaleString("en"),
    retained: last.log.events.toLocaleString("en"),
  };
  byId("totals").replaceChildren(
    ...Object.entries(facts).flatMap(([name, value]) => [el("dt", {}, t(`total.${name}`)), el("dd", {}, value)]),
  );
  setText(byId("about"), `Tidings ${last.version ?? ""}${last.draining ? ` · ${t("draining")}` : ""}`);
}

onLanguage(counts);
