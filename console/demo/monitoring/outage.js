// Outages: two that a person can ask for, and a word when no figures come,
// whatever the reason.

import { el } from "../static/dom.js";
import { publish } from "../static/hub.js";
import { onLanguage, t } from "../static/i18n.js";

const SECONDS = 10;
const OVERDUE = 3; // seconds without a figure

const byId = (id) => document.getElementById(id);

export function watchOutages(stream) {
  const asked = { cut: 0, silence: 0 }; // until when, Unix ms
  let refused = ""; // why the hub did not take the button's event

  byId("cut").addEventListener("click", () => {
    asked.cut = Date.now() + SECONDS * 1000;
    stream.close();
    setTimeout(() => stream.open(), SECONDS * 1000);
    show();
  });
  byId("silence").addEventListener("click", async () => {
    asked.silence = Infinity; // until the hub has it
    refused = "";
    show();
    try {
      await publish("outage", "pause", { seconds: SECONDS });
      asked.silence = Date.now() + SECONDS * 1000;
    } catch (error) {
      asked.silence = 0;
      refused = error.message;
    }
    show();
  });

  const why = () => {
    if (asked.cut > Date.now() && stream.state === "closed") return "cut";
    if (stream.state === "closed") return "closed";
    if (stream.state === "connecting") return "connection";
    return asked.silence + OVERDUE * 1000 > Date.now() ? "silence" : "unknown";
  };
  const show = () => {
    const now = Date.now();
    for (const name of ["cut", "silence"]) byId(name).disabled = asked[name] > now;
    const silent = Math.floor((now - stream.lastEventAt) / 1000);
    const overdue = stream.lastEventAt > 0 && silent >= OVERDUE;
    const text = overdue ? t("outage.banner", { seconds: silent, why: t(`outage.why.${why()}`) }) : refused;
    if (byId("outage-banner").textContent === text) return;
    const kind = overdue && (why() === "unknown" || why() === "connection") ? "critical" : "warning";
    byId("outage-banner").replaceChildren(...(text ? [el("div", { class: `notice ${kind}`, "data-why": overdue ? why() : "refused" }, el("p", {}, text))] : []));
  };
  onLanguage(show);
  setInterval(show, 500);
}
