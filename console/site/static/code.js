// Code shown beside a demo: coloured a little, and with a button that copies it.

import { el } from "./dom.js";
import { onLanguage, t } from "./i18n.js";

const TOKENS = /((?<=^|\s)\/\/.*|^#.*)|("(?:[^"\\]|\\.)*"|`[^`]*`|'[^']*')|\b(const|let|new|if|for|of|await|async|function|return|import|from|export|default|func|package|echo)\b/gm;

// showCode sets up a .code block: a header, then <pre><code>. {origin} in the code
// becomes this server's address; a comment is translated under its own text as name.
export function showCode(block) {
  const code = block.querySelector("code");
  const source = code.textContent.replaceAll("{origin}", location.origin).trim();
  code.parentElement.tabIndex = 0; // it scrolls, so the keyboard must reach it
  onLanguage(() => code.replaceChildren(...coloured(source)));
  block.querySelector("header").append(copyButton(code));
}

// copyButton makes a button that copies the text of a node.
export function copyButton(node) {
  const copy = el("button", { type: "button", class: "small copy" });
  let label = "copy";
  const show = () => (copy.textContent = t(label));
  copy.addEventListener("click", async () => {
    label = (await copied(node)) ? "copied" : "copy.select";
    show();
    setTimeout(() => ((label = "copy"), show()), 2000);
  });
  onLanguage(show);
  return copy;
}

// coloured yields the parts of a source text, comments in the user's language.
export function* coloured(source) {
  let end = 0;
  for (const match of source.matchAll(TOKENS)) {
    yield source.slice(end, match.index);
    const [text, comment, string] = match;
    yield el("span", { class: comment ? "c" : string ? "s" : "k" }, comment ? t(comment) : text);
    end = match.index + match[0].length;
  }
  yield source.slice(end);
}

// Without a secure context there is no clipboard; then the code is left selected.
async function copied(node) {
  try {
    await navigator.clipboard.writeText(node.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(node);
    return false;
  }
}
