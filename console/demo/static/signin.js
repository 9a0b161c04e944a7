// The notice that asks for a token, where a hub wants one of those who publish.

import { el, setText } from "./dom.js";
import { translateAll } from "./i18n.js";
import { signIn } from "./token.js";

let waiting = null; // while it is asked for: {answered, why}
let declined = false;

// askForToken resolves to whether there is one now that was not there before. why
// is the hub's own sentence. What goes on in the background does not wait for it,
// and does not ask again whoever said no.
export function askForToken(why, { background }) {
  if (background && declined) return Promise.resolve(false);
  waiting ??= ask();
  setText(waiting.why, why);
  return background ? Promise.resolve(false) : waiting.answered;
}

function ask() {
  const why = el("small");
  const token = el("input", { id: "token", class: "mono", required: true, autocomplete: "off", spellcheck: "false", "data-i18n-label": "token" });
  const later = el("button", { id: "token-later", type: "button", class: "quiet", "data-i18n": "token.later" });
  const form = el("form", {}, token, el("button", { "data-i18n": "token.use" }), later);
  const notice = el(
    "div",
    { id: "sign-in", class: "notice warning", role: "status" },
    el("div", {}, el("p", { "data-i18n": "token.wanted" }), form, why),
  );
  translateAll(notice);
  document.getElementById("notices").prepend(notice);
  const answered = new Promise((answer) => {
    const end = (given) => {
      waiting = null;
      declined = !given;
      notice.remove();
      answer(given);
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      signIn(token.value);
      end(true);
    });
    later.addEventListener("click", () => end(false));
  });
  return { answered, why };
}
