// The connection widget: badge, Open and Close, and the panel with what one wants
// to know about a stream. Every page with a stream has one.

import { el, oncePerFrame, setText } from "./dom.js";
import { onLanguage, rich, t } from "./i18n.js";
import { drawTape } from "./tape.js";

// mountConnection fills controls (badge and buttons), panel (the details) and
// notices (what a person should know) for stream.
export function mountConnection(stream, { controls, panel, notices }) {
  const state = el("span", { id: "state", class: "badge", role: "status" });
  const open = el("button", { id: "open", type: "button", class: "primary", "data-i18n": "open" });
  const close = el("button", { id: "close", type: "button", "data-i18n": "close" });
  open.addEventListener("click", () => stream.open());
  close.addEventListener("click", () => stream.close());
  controls.append(state, open, close);

  const request = el("code", { class: "request" });
  const tape = el("canvas", { class: "tape", role: "img", "data-i18n-label": "tape.label" });
  const events = figure("events");
  const delay = figure("delay");
  const reconnects = figure("reconnects");
  const lastError = figure("last-error");
  const lastId = figure("last-id", "mono");
  panel.append(
    el("header", {}, el("h2", { "data-i18n": "connection" })),
    request,
    tape,
    el("p", { class: "caption", "data-i18n": "tape.caption" }),
    el("dl", { class: "facts" }, ...events, ...delay, ...reconnects, ...lastError, ...lastId),
  );

  const details = () => {
    const current = stream.state;
    if (state.dataset.state !== current) state.dataset.state = current;
    setText(state, t(`state.${current}`));
    open.disabled = current !== "closed";
    close.disabled = current === "closed";
    setText(request, `GET ${stream.url}`);
    showDelay(delay[1], stream.delay);
    setText(reconnects[1], String(stream.reconnects));
    setText(lastError[1], stream.lastError ? clockTime(stream.lastError) : t("never"));
    showState(notices, stream);
    drawTape(tape, stream);
  };
  const detailsOnce = oncePerFrame(details);

  let shown = "";
  stream.onChange(() => {
    setText(events[1], String(stream.events));
    setText(lastId[1], stream.lastId || "–");
    // State at once, the rest once a frame: a replay may be thousands of events.
    if (shown !== stream.state + stream.attempts + stream.reconnects) {
      shown = stream.state + stream.attempts + stream.reconnects;
      details();
    } else {
      detailsOnce();
    }
  });
  stream.onGap((gap) => showGap(notices, gap));
  onLanguage(details);
  setText(events[1], "0");
  setText(lastId[1], "–");
  setInterval(details, 1000); // the tape moves on in silence, too
  new ResizeObserver(detailsOnce).observe(tape);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", detailsOnce);
}

function figure(id, kind = "") {
  return [el("dt", { "data-i18n": `figure.${id}` }), el("dd", { id, class: kind })];
}

function showDelay(node, delay) {
  if (!delay) return setText(node, "–");
  // Publisher and page each read their own clock. An event from the future means
  // that these differ, and then the figure says nothing.
  if (delay.min < -2) return setText(node, t("delay.clocks"));
  const text = t("delay.p50", { ms: Math.max(delay.p50, 0) });
  const max = t("delay.max", { ms: Math.max(delay.max, 0) });
  if (node.textContent !== text + max) node.replaceChildren(text, el("small", {}, max));
}

// showState explains what the badge alone does not.
function showState(notices, stream) {
  let text = "";
  let kind = "warning";
  if (stream.closedBy === "server") {
    [text, kind] = [t("note.server"), "critical"];
  } else if (stream.state === "connecting" && stream.attempts > 0) {
    text = t("note.retrying", { time: clockTime(stream.lostAt), n: stream.attempts });
  }
  let node = notices.querySelector("[data-about=state]");
  if (text === "") return node?.remove();
  if (!node) {
    node = el("div", { "data-about": "state", role: "status" }, el("p"));
    notices.prepend(node);
  }
  node.className = `notice ${kind}`;
  if (node.textContent !== text.replaceAll("`", "")) node.firstChild.replaceChildren(...rich(text));
}

function showGap(notices, gap) {
  const text = el("p");
  const dismiss = el("button", { type: "button", class: "quiet small" });
  const node = el("div", { id: "gap", class: "notice warning", role: "status", "data-reason": gap.reason }, text, dismiss);
  notices.querySelector("#gap")?.remove();
  notices.append(node);
  dismiss.addEventListener("click", () => node.remove());
  const reasons = ["trimmed", "epoch", "unknown"];
  onLanguage(() => {
    const reason = reasons.includes(gap.reason) ? gap.reason : "unknown";
    text.replaceChildren(...rich(`${t("gap")} ${t(`gap.${reason}`)}`));
    dismiss.textContent = t("dismiss");
  });
}

// clockTime is a local time of day with seconds, always in 24 hours.
export function clockTime(date) {
  return date.toLocaleTimeString("en-GB");
}
