// The inspector: one event, how a page hears it, and who got it.

import { getJSON } from "./api.js";
import { el } from "./static/dom.js";
import { bytes } from "./static/format.js";
import { onLanguage, rich, t } from "./static/i18n.js";
import { agentName } from "./streams.js";

const byId = (id) => document.getElementById(id);
const MAX_DATA = 64 << 10; // characters shown
const MAX_LISTED = 12; // streams of each outcome
const OUTCOMES = ["delivered", "lagging", "banned", "no_grant", "type_not_asked_for", "began_later", "not_subscribed"];

let shown = null;
let asked = 0;

export function inspect(event) {
  shown = event;
  if (!event && byId("inspector").contains(document.activeElement)) byId("list").focus({ preventScroll: true });
  byId("inspector").hidden = event === null;
  if (!event) return;
  draw();
  askWho();
}

onLanguage(() => shown && inspect(shown));

function draw() {
  const { id, time, type, topics, data } = shown;
  const fact = (name, ...value) => [el("dt", {}, t(`fact.${name}`)), el("dd", { class: "mono" }, ...value)];
  byId("inspector-facts").replaceChildren(
    ...fact("id", id),
    ...fact("time", time.toISOString()),
    ...fact("type", el("span", { class: `chip ${type === "message" ? "unnamed" : "named"}` }, type)),
    ...fact("topics", ...topics.map((topic) => el("span", { class: "chip" }, topic))),
    ...fact("size", bytes(new TextEncoder().encode(data).length).join(" ")),
  );
  byId("inspector-data").textContent = pretty(data);
  const hear = type === "message" ? t("hear.message") : t("hear.named", { type: JSON.stringify(type) });
  byId("inspector-hear").replaceChildren(...rich(hear));
}

function pretty(data) {
  let text = data;
  try {
    if (/^\s*[[{]/.test(data) && JSON.parse(data)) text = layOut(data);
  } catch {
    // it is no JSON
  }
  return text.length > MAX_DATA ? `${text.slice(0, MAX_DATA)}\n… ${t("data.cut", { n: text.length - MAX_DATA })}` : text;
}

// layOut breaks JSON into lines, and leaves the rest as it was published: a
// number that is read and written again may be another.
function layOut(json) {
  let out = "";
  let depth = 0;
  const line = () => (out += `\n${"  ".repeat(depth)}`);
  const tokens = json.match(/"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s[\]{},:"]+/g);
  tokens.forEach((token, i) => {
    const closes = token === "}" || token === "]";
    if (closes) depth--;
    const opened = tokens[i - 1] === "{" || tokens[i - 1] === "[";
    if (tokens[i - 1] === "," || opened !== closes) line();
    out += token === ":" ? ": " : token;
    if (token === "{" || token === "[") depth++;
  });
  return out;
}

// askWho asks again while the event is still on its way to somebody.
async function askWho(tries = 5) {
  const [mine, event] = [++asked, shown];
  const place = byId("inspector-who");
  if (tries === 5) place.replaceChildren(el("p", { class: "muted" }, "…"));
  try {
    const found = await getJSON(`/subscriptions?limit=1000&event=${encodeURIComponent(event.id)}`);
    if (mine !== asked) return;
    place.replaceChildren(...groups(found));
    if (tries > 1 && found.subscriptions.some((s) => s.outcome === "lagging")) {
      setTimeout(() => mine === asked && askWho(tries - 1), 1000);
    }
  } catch (problem) {
    if (mine === asked) place.replaceChildren(el("p", { class: "muted" }, problem.status === 403 ? t("who.admin") : problem.message));
  }
}

function* groups({ total, subscriptions }) {
  if (total === 0) yield el("p", { class: "muted" }, t("who.nobody"));
  for (const outcome of OUTCOMES) {
    const streams = subscriptions.filter((s) => s.outcome === outcome);
    if (streams.length === 0) continue;
    const rest = streams.length - MAX_LISTED;
    yield el(
      "details",
      { class: `outcome ${outcome}`, open: outcome !== "not_subscribed" && outcome !== "began_later" },
      el("summary", {}, el("b", { class: "figures" }, String(streams.length)), ` ${t(`outcome.${outcome}`)}`),
      el(
        "ul",
        {},
        ...streams.slice(0, MAX_LISTED).map((s) =>
          el("li", {}, el("span", {}, s.subject ?? agentName(s.user_agent)), el("span", { class: "mono muted" }, s.remote), el("span", { class: "mono wants" }, wants(s))),
        ),
        ...(rest > 0 ? [el("li", { class: "muted" }, t("who.more", { n: rest }))] : []),
      ),
    );
  }
  if (total > subscriptions.length) yield el("p", { class: "muted" }, t("who.part", { n: subscriptions.length, total }));
  yield el("p", { class: "caption" }, t("who.caption"));
}

function wants({ selectors, types }) {
  return selectors.join(", ") + (types ? `  type=${types.join(",")}` : "");
}

byId("inspector-close").addEventListener("click", () => inspect(null));
addEventListener("keydown", (event) => event.key === "Escape" && shown && inspect(null));
export const inspected = () => shown;
