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

// table fills a place: columns are names of texts, rows {key, cells}. What is
// there already stays, lest a click fall between the old and the new.
export function table(place, { columns, rows, empty, caption }) {
  const names = columns.map((c) => (c ? t(`col.${c}`) : ""));
  if (!place.firstChild) place.append(el("table", {}, el("caption"), el("thead"), el("tbody")));
  const [title, head, body] = place.firstChild.children;
  setText(title, rows.length ? caption : t(empty));
  renew(head, rows.length ? [el("tr", {}, ...names.map((name) => el("th", { scope: "col" }, name)))] : []);
  const known = new Map([...body.children].map((row) => [row.dataset.key, row]));
  const wanted = rows.map(({ key, cells }) => {
    const row = known.get(key) ?? el("tr", { "data-key": key });
    renew(row, cells.map((cell, i) => el("td", { "data-label": names[i] }, cell)));
    return row;
  });
  if (wanted.length !== body.childElementCount || wanted.some((row, i) => row !== body.children[i])) body.replaceChildren(...wanted);
}

// renew makes a node's children those wanted, but for those that are equal to
// what is there. Where the focus was, it stays.
function renew(node, wanted) {
  const focused = node.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
  while (node.childElementCount > wanted.length) node.lastElementChild.remove();
  wanted.forEach((child, i) => {
    const old = node.children[i];
    if (!old) node.append(child);
    else if (!old.isEqualNode(child)) old.replaceWith(child);
  });
  if (focused && !node.contains(document.activeElement)) node.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
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
