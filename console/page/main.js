// The console: its views, signing in, and what lies between a tail and its page.

import { find, onRefused, publish } from "./api.js";
import { inspect, inspected } from "./inspector.js";
import { List } from "./list.js";
import { begin, onStats } from "./overview.js";
import { mountSnippets } from "./snippets.js";
import { el, setText } from "./static/dom.js";
import { apply, define, language, onLanguage, rich, setLanguage, t } from "./static/i18n.js";
import { signedIn, signIn } from "./static/token.js";
import { Tail } from "./tail.js";
import texts from "./text.js";
import { onTail } from "./topics.js";

define(texts);

const byId = (id) => document.getElementById(id);
const VIEWS = ["events", "overview", "topics", "streams", "connect"];

const tail = new Tail();
const list = new List(tail, byId("list"), inspect);
let stats = null; // the newest figures, once there are some
let began = false; // an event has been seen here
const redrawSnippets = ["waiting-snippets", "connect-snippets"].map((id) => mountSnippets(byId(id)));

/* ---- views ---- */

let refused = false;

function show() {
  const asked = location.hash.slice(1);
  const view = refused ? "sign-in" : VIEWS.includes(asked) ? asked : "events";
  for (const name of [...VIEWS, "sign-in"]) byId(`view-${name}`).hidden = name !== view;
  for (const link of byId("tabs").children) {
    if (link.hash === `#${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  byId("tabs").hidden = refused;
  byId("sign-out").hidden = !signedIn() || refused;
  dispatchEvent(new Event("view"));
}
addEventListener("hashchange", show);

/* ---- signing in ---- */

onRefused((problem) => {
  tail.close();
  refused = true;
  setText(byId("sign-in-problem"), signedIn() ? problem.message : "");
  show();
  byId("token").focus();
});

byId("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn(byId("token").value);
  byId("token").value = "";
  refused = false;
  for (const redraw of redrawSnippets) redraw();
  show();
  begin();
  openTail();
  focusList();
});

byId("sign-out").addEventListener("click", () => {
  signIn("");
  location.reload();
});

/* ---- the tail ---- */

// focusList is for when what had the focus goes from the page.
const focusList = () => byId("list").focus({ preventScroll: true });

async function openTail() {
  const selector = byId("selector").value.trim() || "*";
  say("");
  try {
    await tail.open(selector);
  } catch (problem) {
    if (problem.status !== 401) say(problem.message);
  }
}

let typing = 0;
byId("selector").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(openTail, 400);
});
byId("tail-form").addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(typing);
  openTail();
});
for (const id of ["type-filter", "text-filter"]) {
  byId(id).addEventListener("input", () => tail.filter(byId("type-filter").value, byId("text-filter").value));
}
// An event that is not held here may still be retained.
byId("find").addEventListener("click", async () => {
  try {
    inspect(await find(byId("text-filter").value.trim()));
    say("");
  } catch (problem) {
    say(problem.message);
  }
});
byId("pause").addEventListener("click", () => pause(!list.paused));
byId("reopen").addEventListener("click", () => {
  openTail();
  focusList();
});
byId("clear").addEventListener("click", () => tail.clear());
byId("newer").addEventListener("click", () => {
  pause(false);
  list.toNewest();
  focusList();
});
addEventListener("keydown", (event) => {
  if (event.key === " " && event.target === byId("list")) {
    event.preventDefault();
    pause(!list.paused);
  }
});
onTail((topic) => {
  byId("selector").value = topic;
  location.hash = "#events";
  openTail();
});

function pause(on) {
  list.pause(on);
  byId("pause").setAttribute("aria-pressed", on);
  byId("pause").dataset.i18n = on ? "resume" : "pause";
  setText(byId("pause"), t(byId("pause").dataset.i18n));
  drawTail();
}

function drawTail() {
  if (tail.total > 0) began = true;
  const waiting = !began && stats?.log.events === 0 && tail.selector === "*";
  const welcome = [byId("waiting"), byId("waiting-snippets")];
  for (const part of welcome) part.hidden = !waiting;
  byId("tail").classList.toggle("quiet", waiting);
  if (!waiting && welcome.some((part) => part.contains(document.activeElement))) focusList();
  list.draw();

  const badge = byId("state");
  badge.dataset.state = tail.state;
  setText(badge, t(`state.${tail.state}`));
  byId("reopen").hidden = tail.state !== "closed";
  setText(byId("tail-count"), t("tail.count", { n: tail.total.toLocaleString("en") }));
  setText(byId("tail-rate"), t("tail.rate", { n: tail.perSecond.toLocaleString("en") }));
  drawSpark();

  const nothing = tail.shown.length === 0;
  byId("nothing").hidden = !nothing;
  byId("find").hidden = tail.events.length === 0 || byId("text-filter").value === "";
  if (nothing) setText(byId("nothing").firstChild, tail.events.length ? t("nothing.filter", { n: tail.events.length }) : t("nothing.yet", { selector: tail.selector }));

  const held = list.newer > 0;
  byId("newer").hidden = !held;
  if (held) setText(byId("newer"), t("newer", { n: list.newer.toLocaleString("en") }));

  const named = [...tail.types];
  byId("named-hint").hidden = named.length === 0;
  const hint = named.length ? t("named.hint", { types: named.slice(0, 4).map((x) => `\`${x}\``).join(", "), first: named[0] }) : "";
  if (byId("named-hint").dataset.text !== hint) {
    byId("named-hint").dataset.text = hint;
    byId("named-hint").replaceChildren(...rich(hint));
  }
  offer("known-types", tail.types);
  offer("known-topics", tail.topics);
}

// offer fills a list of suggestions, when there is something new in it.
function offer(id, values) {
  if (byId(id).childElementCount !== values.size) byId(id).replaceChildren(...[...values].map((value) => el("option", { value })));
}

function drawSpark() {
  const canvas = byId("tail-spark");
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (width === 0) return;
  const scale = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.fillStyle = getComputedStyle(canvas).color;
  const most = Math.max(...tail.rates, 4);
  const bar = width / tail.rates.length;
  tail.rates.forEach((n, i) => {
    const tall = n === 0 ? 1 : Math.max((n / most) * height, 2);
    pen.globalAlpha = n === 0 ? 0.3 : 1;
    pen.fillRect(i * bar, height - tall, Math.max(bar - 1, 1), tall);
  });
}

tail.onChange(drawTail);
new ResizeObserver(drawSpark).observe(byId("tail-spark"));

/* ---- publishing ---- */

async function publishTest(event) {
  const result = byId("publish-result");
  try {
    const id = await publish(event);
    result.className = "result good";
    setText(result, t("published", { id }));
  } catch (problem) {
    result.className = "result bad";
    setText(result, problem.message);
    return problem;
  }
}

byId("publish-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const fields = { topic: byId("publish-topic").value.trim(), data: byId("publish-data").value };
  const type = byId("publish-type").value.trim();
  if (type) fields.type = type;
  if (byId("publish-private").checked) fields.private = true;
  publishTest(fields);
});
byId("publish-form").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("publish-form").requestSubmit();
});
byId("first").addEventListener("click", async () => {
  const problem = await publishTest({ topic: "hello", data: t("first.data") });
  if (problem) say(problem.message);
});

/* ---- what is wrong ---- */

// say tells what is wrong, or that it no longer is.
function say(text) {
  const notices = byId("notices");
  let node = notices.querySelector("[data-about=hub]");
  if (!text) return node?.remove();
  if (!node) notices.prepend((node = el("div", { class: "notice warning", "data-about": "hub", role: "status" }, el("p"))));
  setText(node.firstChild, text);
}

let unreachable = false;
onStats((answer, problem) => {
  if (answer) {
    stats = answer;
    if (unreachable) say("");
    unreachable = false;
  } else if (problem.status === 403) {
    stats ??= { log: { events: null } }; // not for this token's holder to know
  } else if (problem.status !== 401) {
    unreachable = true;
    say(t("unreachable"));
  }
  drawTail();
});

/* ---- the page ---- */

byId("lang").addEventListener("click", () => setLanguage(language() === "zh" ? "en" : "zh"));
onLanguage((current) => {
  document.title = `${t("title")} · Tidings`;
  byId("lang").textContent = current === "zh" ? "English" : "中文"; // the other language's name, in that language
  byId("lang").lang = current === "zh" ? "en" : "zh-CN";
  if (!inspected()) byId("inspector").hidden = true;
  drawTail();
});
byId("publish-data").value = JSON.stringify({ text: "hello", n: 1 }, null, 2);
apply();
show();
begin();
openTail();
