import { clockTime } from "../static/connection.js";
import { el, oncePerFrame, setText } from "../static/dom.js";
import { publish, randomId, retained } from "../static/hub.js";
import { onLanguage, t } from "../static/i18n.js";
import { setupPage } from "../static/page.js";
import { resuming, Stream } from "../static/stream.js";
import { Answer } from "./answer.js";
import texts from "./text.js";

const RECENT = 8;
const SUGGESTIONS = ["suggest.reload", "suggest.sse", "suggest.websocket", "suggest.scale"];

const byId = (id) => document.getElementById(id);
const questions = new Map(); // by id, oldest first: {id, prompt, t, done}
let answer = new Answer(location.hash.slice(1));

// One stream for the questions and the answer that is looked at.
const stream = new Stream((s) => {
  const topics = answer.id ? ["llm", `llm/${answer.id}`] : ["llm"];
  return resuming(topics, "last_event_id=earliest")(s);
});

const handlers = {
  ask(data) {
    questions.set(data.id, { ...questions.get(data.id), ...data });
    // Somebody asked elsewhere: look at that, unless there is something to read.
    if (data.t > performance.timeOrigin && data.id !== answer.id && !answer.running) follow(data.id);
  },
  answer: (data) => answer.begin(data),
  token: (data) => answer.add(data),
  done(data) {
    questions.set(data.id, { ...questions.get(data.id), done: data });
    if (data.id === answer.id) answer.end(data);
  },
};
for (const [type, handle] of Object.entries(handlers)) {
  stream.on(type, (event) => {
    const data = JSON.parse(event.data);
    handle(data);
    show();
    return data.t;
  });
}

function follow(id) {
  if (id === answer.id) return;
  answer = new Answer(id);
  if (location.hash.slice(1) !== id) history.pushState(null, "", `#${id}`);
  byId("answer").replaceChildren();
  stream.restart();
  show();
}
addEventListener("hashchange", () => follow(location.hash.slice(1)));

// ---- asking and stopping ----

async function ask(prompt) {
  const id = randomId();
  follow(id);
  answer.asked({ prompt });
  show();
  try {
    await publish("llm", "ask", { id, prompt, t: Date.now() }, { tries: 20 });
  } catch (error) {
    answer.end({ reason: "error", error: error.message });
    show();
  }
}

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const prompt = byId("prompt").value.trim();
  byId("prompt").value = "";
  if (prompt) ask(prompt);
});
byId("stop").addEventListener("click", () => publish("llm", "stop", { id: answer.id }, { tries: 3 }).catch(() => {}));

// ---- what one sees ----

const show = oncePerFrame(() => {
  const text = byId("answer");
  text.append(...answer.unseen().map(({ text, old }) => el("span", { class: old ? null : "new" }, text)));
  text.setAttribute("aria-busy", String(answer.running));
  byId("stop").disabled = !answer.running;
  setText(byId("question"), (answer.prompt ?? questions.get(answer.id)?.prompt ?? t("question.none")) || "\u00a0");
  setText(byId("model"), answer.model ? t(answer.local ? "model.local" : "model", { model: answer.model }) : "");
  setText(byId("progress"), answer.tokens ? t("progress", answer) + (answer.replayed ? t("replayed", answer) : "") : "");
  setText(byId("outcome"), outcome());
  byId("elsewhere").hidden = !answer.id;
  byId("elsewhere").hash = answer.id;
  showRecent();
});

function outcome() {
  const { reason, error } = answer.done ?? {};
  return !reason || reason === "stop" ? "" : t(`outcome.${reason}`, { error: error ?? "" });
}

function showRecent() {
  const recent = [...questions.values()].filter((q) => q.prompt).slice(-RECENT).reverse();
  byId("none").hidden = recent.length > 0;
  byId("recent").replaceChildren(
    ...recent.map(({ id, prompt, t: at, done }) =>
      el(
        "li",
        {},
        el(
          "a",
          { href: `#${id}`, "aria-current": id === answer.id ? "true" : null },
          el("span", { title: prompt }, prompt),
          el("small", { class: "figures" }, done ? clockTime(new Date(at)).slice(0, 5) : t("writing")),
        ),
      ),
    ),
  );
}

onLanguage(() => {
  byId("prompt").placeholder = t("ask.placeholder");
  byId("suggestions").replaceChildren(
    ...SUGGESTIONS.map((name) => {
      const button = el("button", { type: "button" }, t(name));
      button.addEventListener("click", () => ask(t(name)));
      return button;
    }),
  );
  show();
});

// Without an answer in the address, the newest is looked at.
if (!answer.id) {
  const asked = await retained("topic=llm&type=ask&last=1").catch(() => []);
  if (asked.length > 0) answer = new Answer(JSON.parse(asked[0].data).id);
}
setupPage(texts, stream);
