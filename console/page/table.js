// Tables of what the hub answers, asked again while they are looked at.

import { el, oncePerFrame, setText } from "./static/dom.js";
import { language, t } from "./static/i18n.js";

// poll calls f now and then while its view is shown, and returns a function that
// does so at once. A failure is told in the view; who was refused is not asked
// for again until the view is opened anew.
export function poll(view, interval, f) {
  const section = document.getElementById(`view-${view}`);
  let running = false;
  let again = false;
  let refused = false;
  const run = async () => {
    if (running) return (again = true);
    running = true;
    try {
      await f();
      refused = false;
      tell(section, "");
    } catch (problem) {
      refused = problem.status === 401 || problem.status === 403;
      tell(section, problem.status === 403 ? t("needs.admin") : problem.message);
    }
    running = false;
    if (again) {
      again = false;
      run();
    }
  };
  const look = oncePerFrame(() => !section.hidden && !document.hidden && run());
  setInterval(() => refused || look(), interval);
  addEventListener("view", look);
  return run;
}

// tell says what is wrong with a view, or that nothing is.
export function tell(section, text) {
  let node = section.querySelector(".trouble");
  if (!text) return node?.remove();
  if (!node) section.prepend((node = el("p", { class: "notice warning trouble", role: "status" }, el("span"))));
  setText(node.firstChild, text);
}

// table fills a place: columns are names of texts, rows {key, cells}. Where the
// focus was, it stays.
export function table(place, { columns, rows, empty, caption }) {
  const focused = place.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
  const names = columns.map((c) => (c ? t(`col.${c}`) : ""));
  place.replaceChildren(
    el(
      "table",
      {},
      el("caption", {}, rows.length ? caption : t(empty)),
      ...(rows.length ? [el("thead", {}, el("tr", {}, ...names.map((name) => el("th", { scope: "col" }, name))))] : []),
      el("tbody", {}, ...rows.map(({ key, cells }) => el("tr", { "data-key": key }, ...cells.map((cell, i) => el("td", { "data-label": names[i] }, cell))))),
    ),
  );
  if (focused) place.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
}

const UNITS = [
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

// ago is how long since a time, in its largest unit.
export function ago(time) {
  const seconds = Math.max(Math.round((Date.now() - new Date(time)) / 1000), 0);
  const [unit, size] = UNITS.find(([, size]) => seconds >= size) ?? UNITS.at(-1);
  return new Intl.NumberFormat(language() === "zh" ? "zh-CN" : "en", { style: "unit", unit, unitDisplay: "narrow" }).format(Math.floor(seconds / size));
}
