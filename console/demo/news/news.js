import { clockTime } from "../static/connection.js";
import { el, oncePerFrame } from "../static/dom.js";
import { publish } from "../static/hub.js";
import { language, onLanguage, t } from "../static/i18n.js";
import { asItem, headline, sourceOf } from "../static/items.js";
import { setupPage } from "../static/page.js";
import { resuming, Stream } from "../static/stream.js";
import texts from "./text.js";

const SHOWN = 100;
const DAY = 86_400_000;

const byId = (id) => document.getElementById(id);
const items = new Map(); // by event id, oldest first
const drawn = new Set(); // ids: what is not among them comes in

const stream = new Stream(resuming(["news"], "last=20"));
for (const type of ["message", "item"]) {
  stream.on(type, (event) => {
    const item = asItem(event);
    if (!item || items.has(event.lastEventId)) return null;
    items.set(event.lastEventId, item);
    if (items.size > SHOWN) items.delete(items.keys().next().value);
    show();
    return item.t;
  });
}

const show = oncePerFrame(() => {
  byId("none").hidden = items.size > 0;
  const first = drawn.size === 0;
  byId("items").replaceChildren(...[...items].reverse().map(([id, item]) => row(item, first || drawn.has(id))));
  for (const id of items.keys()) drawn.add(id);
});

function row(item, known) {
  const title = headline(item);
  return el(
    "li",
    { class: known ? null : "new" },
    el("h2", {}, item.link ? el("a", { href: item.link, target: "_blank", rel: "noopener noreferrer" }, title) : title),
    item.summary ? el("p", {}, item.summary) : "",
    el("p", { class: "caption figures" }, el("span", { class: "source" }, sourceOf(item) || t("anybody")), " ", when(item.t)),
  );
}

function when(at) {
  if (!at) return "";
  const date = new Date(at);
  const day = Date.now() - at > DAY ? `${date.toLocaleDateString(language() === "zh" ? "zh-CN" : "en-GB", { dateStyle: "medium" })} ` : "";
  return day + clockTime(date).slice(0, 5);
}

byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const [title, summary] = [byId("title").value.trim(), byId("summary").value.trim()];
  if (!title) return byId("title").focus();
  byId("send").disabled = true;
  byId("refused").hidden = true;
  try {
    await publish("news", "item", { t: Date.now(), title, ...(summary && { summary }), source: t("reader") }, { tries: 20 });
    byId("form").reset();
  } catch (error) {
    byId("refused").hidden = false;
    byId("refused").textContent = error.message;
  }
  byId("send").disabled = false;
  byId("title").focus();
});

onLanguage(() => {
  for (const id of ["title", "summary"]) byId(id).placeholder = t(`form.${id}`);
  show();
});
setupPage(texts, stream);
