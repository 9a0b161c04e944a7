// The open streams, and the button that ends one.

import { getJSON, kick } from "./api.js";
import { el, setText } from "./static/dom.js";
import { bytes } from "./static/format.js";
import { onLanguage, t } from "./static/i18n.js";
import { ago, poll, table } from "./table.js";

const byId = (id) => document.getElementById(id);
const PAGE = 100;

let pages = 1; // shown
let listed = { total: 0, subscriptions: [] };
let asking = ""; // the stream about which the user is asked

const refresh = poll("streams", 2000, async () => {
  const topic = byId("streams-search").value.trim();
  const query = new URLSearchParams({ limit: PAGE * pages });
  if (topic) query.set("topic", topic);
  listed = await getJSON(`/subscriptions?${query}`);
  draw();
});

export function showStreams(topic) {
  byId("streams-search").value = topic;
  pages = 1;
  location.hash = "#streams";
  refresh();
}

byId("streams-search").addEventListener("input", () => refresh());
byId("streams-more").addEventListener("click", () => {
  pages = Math.min(pages + 1, 10);
  refresh();
});
onLanguage(draw);

function draw() {
  table(byId("streams-table"), {
    columns: ["state", "wants", "who", "address", "opened", "behind", ""],
    empty: "streams.none",
    caption: listed.total ? t("streams.count", { n: listed.subscriptions.length, total: listed.total }) : "",
    rows: listed.subscriptions.map((s) => ({
      key: s.id,
      cells: [
        el("span", { class: `chip state ${s.state}` }, t(`state.${s.state}`)),
        el("span", {}, ...s.selectors.map((x) => el("code", { class: "chip" }, x)), ...(s.types ?? []).map((x) => el("code", { class: "chip named" }, x))),
        el("span", { title: s.user_agent }, ...(s.subject ? [el("b", {}, s.subject), " "] : []), agentName(s.user_agent)),
        el("span", { class: "mono" }, s.remote),
        el("span", { class: "figures", title: s.opened_at }, ago(s.opened_at)),
        el("span", { class: "figures" }, s.behind_bytes ? bytes(s.behind_bytes).join(" ") : "–"),
        kickButtons(s),
      ],
    })),
  });
  byId("streams-more").hidden = listed.subscriptions.length >= listed.total || pages >= 10;
}

// kickButtons asks once more before it does it. Who has no subject cannot be
// known again, and so not be kept out.
function kickButtons({ id, subject }) {
  const button = (name, act, kind = "quiet") => {
    const b = el("button", { type: "button", class: `small ${kind}`, "data-focus": `${name} ${id}` }, t(name));
    b.addEventListener("click", act);
    return b;
  };
  if (asking !== id) return button("kick", () => ((asking = id), draw()));
  const end = (duration) => async () => {
    asking = "";
    try {
      await kick(id, duration);
    } catch (problem) {
      if (problem.status !== 404) setText(byId("streams-table").querySelector("caption"), problem.message);
    }
    refresh();
  };
  return el(
    "span",
    { class: "buttons" },
    button("kick.now", end(), "danger"),
    ...(subject ? [button("kick.for", end("10m"), "danger")] : []),
    button("cancel", () => ((asking = ""), draw())),
  );
}

const AGENTS = [
  [/Edg\/(\d+)/, "Edge"],
  [/OPR\/(\d+)/, "Opera"],
  [/Firefox\/(\d+)/, "Firefox"],
  [/(?:Headless)?Chrom(?:e|ium)\/(\d+)/, "Chrome"],
  [/Version\/(\d+).*Safari/, "Safari"],
];

// agentName is a browser's name and version, or how a program begins to name itself.
export function agentName(agent) {
  for (const [pattern, name] of AGENTS) {
    const found = agent.match(pattern);
    if (found) return `${name} ${found[1]}`;
  }
  return agent.split(" ")[0] || t("agent.none");
}
