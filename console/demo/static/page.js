// What every demo page has around its demo: header, language, code, notices.

import { showCode } from "./code.js";
import { mountConnection } from "./connection.js";
import { el } from "./dom.js";
import { apply, define, language, onLanguage, setLanguage, t } from "./i18n.js";
import { supported } from "./stream.js";
import texts from "./text.js";

const PAGES = [
  { path: "/demo/", name: "nav.index" },
  { path: "/demo/clock/", name: "nav.clock" },
  { path: "/demo/stocks/", name: "nav.stocks" },
  { path: "/demo/news/", name: "nav.news" },
  { path: "/demo/chat/", name: "nav.chat" },
  { path: "/demo/monitoring/", name: "nav.monitoring" },
  { path: "/demo/llm/", name: "nav.llm" },
  { path: "/demo/dashboard/", name: "nav.dashboard" },
];

// setupPage builds the page around its own content. own is the page's dictionary;
// it has the page's name under "title". A stream gets its widget and is opened.
export function setupPage(own, stream) {
  define(texts);
  define(own);
  document.body.prepend(skipLink(), header());
  document.body.append(footer());
  for (const block of document.querySelectorAll(".code")) showCode(block);

  const notices = document.getElementById("notices");
  if (stream) {
    mountConnection(stream, {
      controls: document.getElementById("controls"),
      panel: document.getElementById("connection") ?? el("section"), // a big screen has none
      notices,
    });
  }
  if (!supported) {
    notices.append(
      el("div", { id: "unsupported", class: "notice critical", role: "alert" }, el("p", { "data-i18n": "unsupported" })),
    );
  }
  onLanguage(() => {
    document.title = `${t("title")} · Tidings`;
    for (const link of document.querySelectorAll("a[href^='/demo/']")) keepLanguage(link);
  });
  apply();
  document.querySelector(".site nav [aria-current]").scrollIntoView({ inline: "center", block: "nearest" });
  stream?.open();
}

function skipLink() {
  return el("a", { class: "skip", href: "#main", "data-i18n": "skip" });
}

function header() {
  const lang = el("button", { id: "lang", type: "button", class: "quiet" });
  lang.addEventListener("click", () => setLanguage(language() === "zh" ? "en" : "zh"));
  onLanguage((current) => {
    // The other language's name, in that language.
    lang.textContent = current === "zh" ? "English" : "中文";
    lang.lang = current === "zh" ? "en" : "zh-CN";
  });
  const links = PAGES.map(({ path, name }) =>
    el("a", { href: path, "data-i18n": name, "aria-current": path === location.pathname ? "page" : null }),
  );
  return el(
    "header",
    { class: "site" },
    el(
      "div",
      { class: "wrap" },
      el("a", { class: "brand", href: "/demo/" }, el("img", { src: "/demo/static/favicon.svg", alt: "" }), "Tidings"),
      el("nav", { "data-i18n-label": "nav.label" }, ...links),
      lang,
    ),
  );
}

function footer() {
  return el("footer", {}, el("div", { class: "wrap" }, el("p", { "data-i18n": "footer" })));
}

// A language asked for in the address goes along to the next page.
function keepLanguage(link) {
  const asked = new URLSearchParams(location.search).get("lang");
  link.setAttribute("href", link.pathname + (asked ? `?lang=${encodeURIComponent(asked)}` : "") + link.hash);
}
