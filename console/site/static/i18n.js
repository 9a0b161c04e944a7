// Two languages. English stands in the HTML itself; a dictionary holds, under the
// names of the data-i18n attributes, its translation, and in both languages the
// texts that only scripts show. `like this` in a dictionary becomes <code>.

const dictionaries = { en: {}, zh: {} };
const listeners = new Set();
const originals = new WeakMap();
let current = choose();

export function language() {
  return current;
}

// define adds {en: {name: text}, zh: {name: text}}.
export function define(texts) {
  for (const [lang, entries] of Object.entries(texts)) Object.assign(dictionaries[lang], entries);
}

// t is the text of that name; {x} in it stands for values.x.
export function t(name, values = {}) {
  const text = dictionaries[current][name] ?? dictionaries.en[name] ?? name;
  return text.replace(/\{(\w+)\}/g, (_, key) => values[key] ?? "");
}

// onLanguage calls f now and whenever the language changes.
export function onLanguage(f) {
  listeners.add(f);
  f(current);
}

export function setLanguage(lang) {
  current = lang;
  remember(lang);
  const url = new URL(location.href);
  if (url.searchParams.has("lang")) {
    url.searchParams.delete("lang");
    history.replaceState(null, "", url);
  }
  apply();
}

// apply shows the page in the current language.
export function apply() {
  document.documentElement.lang = current === "zh" ? "zh-CN" : "en";
  translateAll(document);
  for (const f of listeners) f(current);
}

// translateAll is for what is added to the page later.
export function translateAll(root) {
  for (const node of root.querySelectorAll("[data-i18n]")) translate(node);
  for (const node of root.querySelectorAll("[data-i18n-label]")) {
    node.setAttribute("aria-label", t(node.dataset.i18nLabel));
  }
}

function translate(node) {
  if (!originals.has(node)) originals.set(node, [...node.childNodes].map((n) => n.cloneNode(true)));
  const text = dictionaries[current][node.dataset.i18n];
  if (text !== undefined) node.replaceChildren(...rich(text));
  else if (current === "en") node.replaceChildren(...originals.get(node).map((n) => n.cloneNode(true)));
}

// rich turns `code` in a text into elements; everything else stays text.
export function rich(text) {
  return text.split("`").map((part, i) => {
    if (i % 2 === 0) return document.createTextNode(part);
    const code = document.createElement("code");
    code.textContent = part;
    return code;
  });
}

function choose() {
  const asked = new URLSearchParams(location.search).get("lang") ?? remembered();
  if (asked) return asked.startsWith("zh") ? "zh" : "en";
  return navigator.language.startsWith("zh") ? "zh" : "en";
}

// Storage may be forbidden; then the choice holds for the page.
function remembered() {
  try {
    return localStorage.getItem("tidings.lang");
  } catch {
    return null;
  }
}

function remember(lang) {
  try {
    localStorage.setItem("tidings.lang", lang);
  } catch {
    // not kept
  }
}
