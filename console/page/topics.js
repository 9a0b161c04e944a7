// What the hub retains of each topic, and how many streams get its events.

import { getLines } from "./api.js";
import { el } from "./static/dom.js";
import { bytes } from "./static/format.js";
import { onLanguage, t } from "./static/i18n.js";
import { showStreams } from "./streams.js";
import { poll, table } from "./table.js";

const byId = (id) => document.getElementById(id);
const LIMIT = 200;

let topics = [];
let tailTopic = () => {};

// onTail is told of a topic that the user wants to see the events of.
export function onTail(f) {
  tailTopic = f;
}

const refresh = poll("topics", 2000, async () => {
  const query = new URLSearchParams({ limit: LIMIT });
  const selector = byId("topics-search").value.trim();
  if (selector) query.set("topic", selector);
  topics = await getLines(`/topics?${query}`);
  draw();
});

byId("topics-search").addEventListener("input", () => refresh());
onLanguage(draw);

function draw() {
  const button = (name, topic, act) => {
    const b = el("button", { type: "button", class: "small quiet", "data-focus": `${name} ${topic}` }, t(name));
    b.addEventListener("click", act);
    return b;
  };
  table(byId("topics-table"), {
    columns: ["topic", "events", "size", "streams", "last", ""],
    empty: "topics.none",
    caption: topics.length === LIMIT ? t("topics.part", { n: LIMIT }) : t("topics.count", { n: topics.length }),
    rows: topics.map((row) => ({
      key: row.topic,
      cells: [
        el("b", { class: "mono" }, row.topic),
        el("span", { class: "figures" }, row.events?.toLocaleString("en") ?? "–"),
        el("span", { class: "figures" }, row.bytes ? bytes(row.bytes).join(" ") : "–"),
        el("span", { class: "figures" }, row.streams?.toLocaleString("en") ?? "–"),
        el("span", { class: "mono muted" }, row.last_event_id),
        el("span", { class: "buttons" }, button("tail.it", row.topic, () => tailTopic(row.topic)), button("who.it", row.topic, () => showStreams(row.topic))),
      ],
    })),
  });
}
