// Alarms: the list of what happened, and a banner for what still stands.

import { clockTime } from "../static/connection.js";
import { el } from "../static/dom.js";
import { onLanguage, t } from "../static/i18n.js";

const ROWS = 30;
const byId = (id) => document.getElementById(id);
let history = []; // newest first
const standing = new Map(); // by metric

// addAlarm takes an alarm event's data. A standing alarm is published again from
// time to time for those who arrive later; that is no new row.
export function addAlarm(alarm) {
  const known = history.find((a) => a.metric === alarm.metric && a.since === alarm.since);
  if (known) Object.assign(known, alarm);
  else history = [alarm, ...history].slice(0, ROWS);
  if (alarm.level === "ok") standing.delete(alarm.metric);
  else standing.set(alarm.metric, alarm);
  show();
}

// forgetStanding is for when the stream has a gap: what cleared an alarm may be lost in it.
// What still stands is published again within a minute.
export function forgetStanding() {
  standing.clear();
  show();
}

function show() {
  byId("no-alarms").hidden = history.length > 0;
  byId("alarms").replaceChildren(...history.map(row));
  const banners = [...standing.values()].map((a) =>
    el("div", { class: `notice ${a.level}`, "data-metric": a.metric }, el("p", {}, t("alarm.banner", words(a)))),
  );
  const text = banners.map((b) => b.textContent).join();
  // Said once, not at each repetition.
  if (byId("alarm-banner").textContent !== text) byId("alarm-banner").replaceChildren(...banners);
}

function row(alarm) {
  const text = t(alarm.value < alarm.threshold ? "alarm.cleared" : "alarm.raised", words(alarm));
  return el(
    "li",
    { "data-metric": alarm.metric, "data-level": alarm.level },
    el("span", { class: `level ${alarm.level}` }, t(`level.${alarm.level}`)),
    el("strong", {}, t(`metric.${alarm.metric}`)),
    el("time", { class: "figures muted" }, clockTime(new Date(alarm.since))),
    el("span", { class: "figures muted detail" }, text),
  );
}

function words(alarm) {
  return {
    metric: t(`metric.${alarm.metric}`),
    level: t(`level.${alarm.level}`),
    value: alarm.value,
    threshold: alarm.threshold,
    time: clockTime(new Date(alarm.since)),
  };
}

onLanguage(show);
