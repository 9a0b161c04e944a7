import { clockTime } from "../static/connection.js";
import { el } from "../static/dom.js";
import { language, onLanguage } from "../static/i18n.js";
import { setupPage } from "../static/page.js";
import { Stream } from "../static/stream.js";
import texts from "./text.js";

const LOG_ROWS = 60;

const byId = (id) => document.getElementById(id);
const cells = Array.from({ length: 60 }, () => el("i"));
byId("minute").append(...cells);

let shownDate = null;
let shownMinute = 0;

const stream = new Stream("/events?topic=clock")
  .on("message", (event) => {
    const date = new Date(event.data);
    byId("message").textContent = event.data;
    byId("time").textContent = clockTime(date);
    byId("time").dateTime = event.data;
    shownDate = date;
    showDate();
    fill(date, "unnamed");
    log(event);
    return date.getTime();
  })
  .on("tick", (event) => {
    const { t } = JSON.parse(event.data);
    byId("tick").textContent = event.data;
    fill(new Date(t), "named");
    log(event);
    return t;
  });

function showDate() {
  if (!shownDate) return;
  const text = shownDate.toLocaleDateString(language() === "zh" ? "zh-CN" : "en-GB", { dateStyle: "full" });
  if (byId("date").textContent !== text) byId("date").textContent = text;
}

function fill(date, kind) {
  const minute = Math.floor(date / 60_000);
  if (minute !== shownMinute) {
    shownMinute = minute;
    for (const cell of cells) cell.className = "";
  }
  const second = date.getSeconds();
  cells[second].classList.add(kind);
  for (const cell of cells.slice(0, second)) cell.classList.add("past");
}

function log(event) {
  const row = el(
    "li",
    { class: event.type === "message" ? "unnamed" : "named" },
    el("span", { class: "type" }, event.type),
    el("span", { class: "data mono" }, event.data),
    el("span", { class: "id mono" }, event.lastEventId),
  );
  byId("log").prepend(row);
  if (byId("log").childElementCount > LOG_ROWS) byId("log").lastElementChild.remove();
}

onLanguage(showDate);
setupPage(texts, stream);
