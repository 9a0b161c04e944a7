// The hub that is killed in front of the viewer, and the count of what came.

import { oncePerFrame, setText } from "../static/dom.js";
import { publish } from "../static/hub.js";
import { onLanguage, t } from "../static/i18n.js";
import { drawSpark, sparkline } from "../static/spark.js";
import { resuming, Stream } from "../static/stream.js";
import { Sequence } from "./sequence.js";

const REVIVE = 2000; // ms
const SLOT = 500; // ms
const SLOTS = 120; // of the line: a minute
const byId = (id) => document.getElementById(id);

const count = new Sequence();
let run = ""; // of the publisher: with this its ids begin
let state = null; // what the publisher says: see PlugState
let darkSince = null;
let refused = ""; // why the hub did not take the button's event

const numbers = new Stream(resuming(["counter"], "last=1", "/demo/plug/events"), { revive: REVIVE }).on("message", ({ data, lastEventId }) => {
  // Only another run of the publisher has numbers of its own. What the hub says is
  // gone is lost, and shows as numbers that are skipped.
  const [publisher] = lastEventId.split("-");
  if (publisher !== run) count.restart();
  run = publisher;
  count.take(Number(data));
  arrived();
  show();
});

const word = new Stream(resuming(["plug"], "last=1"), { revive: REVIVE }).on("state", ({ data }) => {
  const now = JSON.parse(data);
  if (state?.up && !now.up) darkSince = Date.now();
  state = now;
  show();
});

const slots = []; // [slot, arrivals], the newest last
function arrived() {
  const slot = Math.floor(Date.now() / SLOT);
  if (slots.at(-1)?.[0] === slot) slots.at(-1)[1]++;
  else slots.push([slot, 1]);
  if (slots.length > SLOTS) slots.shift();
}

const flow = sparkline();

const show = oncePerFrame(() => {
  setText(byId("number"), count.last === null ? "–" : count.last.toLocaleString("en"));
  for (const what of ["received", "lost", "twice"]) setText(byId(what), count[what].toLocaleString("en"));
  byId("lost").parentElement.dataset.lost = String(count.lost > 0);
  byId("number").dataset.first = count.first;
  if (state) setText(byId("kills"), String(state.kills));
  const up = state?.up ?? false;
  byId("life").dataset.up = byId("life").closest(".plug").dataset.up = String(up);
  setText(byId("life"), refused || (!state ? "\u00a0" : up ? t("plug.up", state) : darkSince ? t("plug.down") : t("plug.starting")));
  byId("pull").disabled = !up;

  const now = Math.floor(Date.now() / SLOT);
  const counts = new Map(slots);
  const line = Array.from({ length: SLOTS }, (_, i) => counts.get(now - SLOTS + i) ?? 0);
  drawSpark(flow, line, { low: 0, high: Math.max(...line, 20) });
});

// startPlug opens the stream of numbers, which has the child hub started.
export function startPlug() {
  byId("flow").append(flow);
  byId("pull").addEventListener("click", async () => {
    byId("pull").disabled = true;
    refused = await publish("plug", "pull", { t: Date.now() }).then(() => "", (error) => error.message);
    show();
  });
  onLanguage(show);
  numbers.open();
  word.open();
  setInterval(show, SLOT); // the line moves on in silence, too
}
