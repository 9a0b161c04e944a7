import { clockTime } from "../static/connection.js";
import { el, oncePerFrame, setText } from "../static/dom.js";
import { publish, topics } from "../static/hub.js";
import { language, onLanguage, t } from "../static/i18n.js";
import { setupPage } from "../static/page.js";
import { resuming, Stream } from "../static/stream.js";
import { onSignIn } from "../static/token.js";
import { me, rename, renew } from "./identity.js";
import { Presence } from "./presence.js";
import texts from "./text.js";

const HISTORY = 50;
const SHOWN = 300; // messages, at most
const ROOMS = ["lobby", "kitchen", "workshop"];

const byId = (id) => document.getElementById(id);
const messages = new Map(); // by event id, or, until it has one, by what it was sent under
let rooms = ROOMS;
let room = roomAsked();

const topic = () => `chat/${room}`;
const stream = new Stream((s) => resuming([topic(), `${topic()}/here`], `last=${HISTORY}`)(s));

const presence = new Presence(
  me,
  (type, data, leaving = false) => publish(`${topic()}/here`, type, data, { keepalive: leaving, background: true }).catch(() => {}),
  () => {
    renew();
    byId("name").value = me.name;
    presence.enter();
  },
);

stream.on("say", (event) => {
  const said = JSON.parse(event.data);
  if (messages.has(event.lastEventId)) return null;
  messages.delete(said.key); // the one that waited
  messages.set(event.lastEventId, { ...said, id: event.lastEventId });
  if (messages.size > SHOWN) messages.delete(messages.keys().next().value);
  presence.stopTyping(said.from);
  showMessages();
  return said.t;
});
for (const type of ["hello", "here", "bye", "typing"]) {
  stream.on(type, (event) => {
    presence.hear(type, JSON.parse(event.data));
  });
}
// Whoever comes back greets anew: others may have come meanwhile.
stream.onOpen(() => presence.enter());
onSignIn(() => presence.enter());
stream.onChange(({ state }) => state === "closed" && presence.leave());

// ---- talking ----

byId("composer").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = byId("text").value.trim();
  if (!text) return;
  byId("text").value = "";
  const key = `sending-${messages.size}-${Date.now()}`;
  const said = { from: me.id, name: me.name, text, t: Date.now(), key };
  messages.set(key, { ...said, sending: true });
  showMessages();
  try {
    await publish(topic(), "say", said, { tries: 40 });
  } catch (error) {
    messages.set(key, { ...said, failed: error.message });
    showMessages();
  }
});
byId("text").addEventListener("input", () => presence.typing());
byId("name").value = me.name;
byId("name").addEventListener("change", () => {
  rename(byId("name").value);
  byId("name").value = me.name;
  presence.beat();
});

// ---- rooms ----

// A room's name is part of a topic, in which a brace would begin a template.
function roomAsked() {
  return decodeURIComponent(location.hash.slice(1)).replace(/[{}/*]/g, "").trim().slice(0, 40) || ROOMS[0];
}

addEventListener("hashchange", () => {
  if (roomAsked() === room) return;
  presence.leave();
  room = roomAsked();
  messages.clear();
  showRooms();
  showMessages();
  stream.restart();
  byId("text").focus();
});
byId("new-room").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = byId("room-name").value.trim();
  byId("room-name").value = "";
  if (name) location.hash = encodeURIComponent(name);
});

// Rooms are what the hub holds topics of.
async function findRooms() {
  const found = await topics("chat/{room}").catch(() => []); // where that is not for everyone, the usual ones do
  rooms = [...new Set([...ROOMS, ...found.map(({ topic: name }) => name.slice("chat/".length))])];
  showRooms();
}
findRooms();
setInterval(findRooms, 30_000);

function showRooms() {
  const all = rooms.includes(room) ? rooms : [...rooms, room];
  byId("rooms").replaceChildren(
    ...all.map((name) =>
      el("a", { href: `#${encodeURIComponent(name)}`, "aria-current": name === room ? "page" : null }, roomName(name)),
    ),
  );
  byId("second").hash = encodeURIComponent(room);
}

const roomName = (name) => (ROOMS.includes(name) ? t(`room.${name}`) : name);

// ---- what one sees ----

const showMessages = oncePerFrame(() => {
  const list = byId("messages");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
  let before = null;
  list.replaceChildren(
    ...[...messages.values()].map((message) => {
      const node = row(message, before?.from === message.from && message.t - before.t < 120_000);
      before = message;
      return node;
    }),
  );
  byId("quiet").hidden = messages.size > 0;
  if (atEnd) list.scrollTop = list.scrollHeight;
});

function row({ from, name, text, t: at, sending, failed }, follows) {
  const state = failed ?? (sending ? t("sending") : clockTime(new Date(at)).slice(0, 5));
  return el(
    "li",
    { class: [from === me.id ? "mine" : "", follows ? "follows" : "", sending ? "sending" : "", failed ? "failed" : ""].join(" ").trim() || null },
    avatar(from, name),
    el("div", { class: "bubble" }, el("strong", {}, name), el("span", { class: "text" }, text), el("time", { class: "figures" }, state)),
  );
}

function avatar(id, name) {
  const node = el("span", { class: "avatar", "aria-hidden": "true" }, [...String(name)][0] ?? "?");
  node.style.setProperty("--hue", [...String(id)].reduce((sum, c) => (sum * 31 + c.codePointAt(0)) % 360, 7));
  return node;
}

function showPeople() {
  const people = [...presence.people.values()].sort((a, b) => (b.id === me.id) - (a.id === me.id) || a.name.localeCompare(b.name));
  const now = people.map(({ id, name }) => id + name).join() + language();
  if (byId("people").dataset.shown !== now) {
    byId("people").dataset.shown = now;
    byId("people").replaceChildren(
      ...people.map(({ id, name }) =>
        el("li", { "data-id": id }, avatar(id, name), el("span", {}, name), id === me.id ? el("small", {}, t("you")) : ""),
      ),
    );
  }
  setText(byId("count"), t("here", { n: people.length }));
  const typing = people.filter((p) => p.id !== me.id && p.typing > Date.now()).map((p) => p.name);
  setText(byId("typing"), typing.length ? t("typing", { names: typing.slice(0, 3).join(", ") }) : "\u00a0");
}
presence.onChange(showPeople);

onLanguage(() => {
  showRooms();
  showMessages();
  showPeople();
  for (const [id, name] of [["text", "say"], ["name", "name"], ["room-name", "room.new"]]) byId(id).placeholder = t(name);
});
setupPage(texts, stream);
