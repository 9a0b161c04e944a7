import { clockTime } from "../static/connection.js";
import { el, oncePerFrame, setText } from "../static/dom.js";
import { percent, rate } from "../static/format.js";
import { retained } from "../static/hub.js";
import { language, onLanguage, t } from "../static/i18n.js";
import { asItem, headline, sourceOf } from "../static/items.js";
import { direction, Market, signed } from "../static/market.js";
import { setupPage } from "../static/page.js";
import { drawSpark, sparkline } from "../static/spark.js";
import { resuming, Stream } from "../static/stream.js";
import { startPlug } from "./plug.js";
import texts from "./text.js";

const REVIVE = 5000; // ms: nobody is there to press Open
const TOLD = 60_000; // ms that a gap is told: nor to press Dismiss
const SECONDS = 120; // of the host's lines
const SHOWN = { movers: 8, news: 5, said: 3, answer: 600 };

const byId = (id) => document.getElementById(id);

// What the screen shows. A wall's screen runs for months: all of it is bounded.
const market = new Market();
const news = new Map(); // by event id
const said = new Map();
let answer = { id: "", prompt: "", text: "" };
let tick = 0;

const TOPICS = ["clock", "host", "stocks/{symbol}", "news", "chat/{room}", "llm", "llm/{id}"];
const stream = new Stream(resuming(TOPICS, "since=2m"), { revive: REVIVE });

function on(type, handle) {
  stream.on(type, (event) => {
    const at = handle(event.type === "message" ? null : JSON.parse(event.data), event);
    show();
    return at;
  });
}

on("tick", ({ t }) => (tick = t));
for (const type of ["message", "item"]) on(type, (_, event) => keep(news, event.lastEventId, asItem(event), SHOWN.news));
on("say", (data, event) => keep(said, event.lastEventId, data, SHOWN.said));
on("price", (data) => market.add(data)?.t);
on("answer", ({ id, prompt, t }) => {
  answer = { id, prompt, text: "" };
  return t;
});
on("token", ({ text, t }, event) => {
  answer.text = (answer.text + text).slice(-SHOWN.answer);
  return t;
});
on("alarm", ({ metric, level, value, t: at }) => {
  alarms.set(metric, { level, value });
  return at;
});

function keep(map, id, value, most) {
  if (!value || map.has(id)) return null;
  map.set(id, value);
  if (map.size > most) map.delete(map.keys().next().value);
  return value.t;
}

// ---- this machine ----

const alarms = new Map(); // by metric
const meters = Object.entries({
  cpu: { read: (d) => d.total, format: percent, high: 100 },
  memory: { read: (d) => d.percent, format: percent, high: 100 },
  disk: { read: (d) => (d.read ?? 0) + (d.write ?? 0), format: rate },
  network: { read: (d) => d.rx + d.tx + d.loopback, format: rate },
}).map(([type, { read, format, high }]) => {
  const meter = { type, format, high, values: [], spark: sparkline(), figure: el("strong", { class: "figures" }) };
  byId("meters").append(el("li", {}, el("span", { "data-i18n": `meter.${type}` }), meter.figure, meter.spark));
  on(type, (data) => {
    meter.values.push(read(data));
    if (meter.values.length > SECONDS) meter.values.shift();
    return data.t;
  });
  return meter;
});

// ---- what one sees ----

const show = oncePerFrame(() => {
  showTime();
  for (const { values, format, high, spark, figure } of meters) {
    if (values.length === 0) continue;
    const [value, unit] = format(values.at(-1));
    if (figure.textContent !== `${value} ${unit}`) figure.replaceChildren(value, " ", el("small", {}, unit));
    drawSpark(spark, values, { span: SECONDS, low: 0, high: high ?? Math.max(...values, 1) });
  }
  showAlarm();
  showMarket();
  byId("headlines").replaceChildren(
    ...(news.size ? [] : [el("li", { class: "muted" }, t("news.none"))]),
    ...[...news.values()].reverse().map((item) => el("li", {}, headline(item), el("small", {}, sourceOf(item)))),
  );
  byId("said").replaceChildren(
    ...(said.size ? [] : [el("li", { class: "muted" }, t("talk.none"))]),
    ...[...said.values()].map(({ name, text }) => el("li", {}, el("strong", {}, `${name} `), String(text))),
  );
  setText(byId("question"), answer.prompt || t("llm"));
  const text = answer.id ? answer.text : t("llm.none");
  byId("answer").classList.toggle("muted", !answer.id);
  if (byId("answer").textContent !== text) byId("answer").replaceChildren(el("span", {}, text));
});

function showTime() {
  if (!tick) return;
  const date = new Date(tick);
  setText(byId("time"), clockTime(date));
  setText(byId("date"), date.toLocaleDateString(language() === "zh" ? "zh-CN" : "en-GB", { dateStyle: "full" }));
}

function showAlarm() {
  const worst = ["critical", "warning"].find((level) => [...alarms.values()].some((a) => a.level === level));
  const standing = [...alarms].filter(([, a]) => a.level !== "ok").map(([metric, a]) => `${t(`meter.${metric}`)} ${a.value}\u00a0%`);
  byId("alarm").dataset.level = worst ?? "ok";
  setText(byId("alarm"), standing.join(", ") || t("alarm.none"));
}

const rows = new Map(); // by symbol
function showMarket() {
  const { movers, index } = market;
  if (movers.length === 0) return;
  byId("index").dataset.direction = direction(index);
  setText(byId("index"), signed(index));
  const half = SHOWN.movers / 2;
  const shown = movers.length <= SHOWN.movers ? movers : [...movers.slice(0, half), ...movers.slice(-half)];
  byId("movers").replaceChildren(
    ...shown.map(({ symbol, price, change, trace }) => {
      if (!rows.has(symbol)) rows.set(symbol, sparkline());
      drawSpark(rows.get(symbol), trace, { span: Math.max(trace.length, 12) });
      return el("li", { "data-direction": direction(change) },
        el("strong", {}, symbol), rows.get(symbol), el("span", {}, price.toFixed(2)), el("span", { class: "change" }, signed(change)));
    }),
  );
}

byId("full").addEventListener("click", () => (document.fullscreenElement ? document.exitFullscreen() : byId("screen").requestFullscreen()));

stream.onGap(() => setTimeout(() => byId("gap")?.remove(), TOLD));

// What comes seldom may be older than two minutes.
async function readPast() {
  const read = (query) => retained(query).catch(() => []);
  const [items, talk, asked] = await Promise.all([
    read(`topic=news&last=${SHOWN.news}`),
    read(`topic=chat/lobby&type=say&last=${SHOWN.said}`),
    read("topic=llm&type=ask&last=1"),
  ]);
  for (const { id, type, data } of items) keep(news, id, asItem({ type, data }), SHOWN.news);
  for (const { id, data } of talk) keep(said, id, JSON.parse(data), SHOWN.said);
  for (const { data } of asked) {
    const { id, prompt } = JSON.parse(data);
    const tokens = await read(`topic=${encodeURIComponent(`llm/${id}`)}&type=token&last=300`);
    answer = { id, prompt, text: tokens.map(({ data }) => JSON.parse(data).text).join("").slice(-SHOWN.answer) };
  }
}

onLanguage(show);
await readPast().catch(() => {}); // without it, the screen fills with what comes
setupPage(texts, stream);
startPlug();
