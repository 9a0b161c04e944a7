// The hub's public API beside the stream: publish, and read what is retained.

import { askForToken } from "./signin.js";
import { authorized } from "./token.js";

const RETRY_AFTER = 1500; // ms

// publish puts an event on a topic (or on several: an array); data is any JSON.
// It resolves to the event's id, and rejects with the hub's own sentence about
// what was wrong. While the hub cannot be reached it tries on, tries times in
// all, under one key: however often that arrives, it is published once. Where the
// hub wants a token, the user is asked for one; background is for what no user does.
export async function publish(topic, type, data, { tries = 1, keepalive = false, background = false } = {}) {
  const headers = { "Content-Type": "application/json", "Idempotency-Key": randomId() };
  const body = JSON.stringify({ topics: [topic].flat(), type, data });
  for (;;) {
    const answer = await fetch("/events", { method: "POST", headers: authorized(headers), body, keepalive }).catch((error) => error);
    if (answer.ok) return (await answer.json()).id;
    if (wantsToken(answer) && !keepalive) {
      const why = await reason(answer);
      if (await askForToken(why, { background })) continue;
      throw new Error(why);
    }
    const passes = answer instanceof Error || answer.status === 503;
    if (!passes || --tries <= 0) throw new Error(await reason(answer));
    await new Promise((done) => setTimeout(done, RETRY_AFTER));
  }
}

// A hub without keys refuses, too (a page of another origin), and no token helps.
const wantsToken = (answer) => (answer.status === 401 || answer.status === 403) && answer.headers.has("WWW-Authenticate");

async function reason(answer) {
  if (answer instanceof Error) return answer.message;
  const { detail, title } = await answer.json().catch(() => ({ title: answer.statusText }));
  return detail ?? title;
}

// retained reads what the hub holds of a query ("topic=news&last=20"), oldest
// first: [{id, topics, type, time, data}], data always a string.
export async function retained(query) {
  const answer = await fetch(`/events?${query}`, { headers: { Accept: "application/x-ndjson" } });
  if (!answer.ok) throw new Error(await reason(answer));
  return lines(await answer.text());
}

// topics lists the topics that a selector matches: [{topic, events, bytes, last_event_id}].
export async function topics(selector) {
  const answer = await fetch(`/topics?topic=${encodeURIComponent(selector)}`, { headers: authorized() });
  if (!answer.ok) throw new Error(await reason(answer));
  return lines(await answer.text());
}

const lines = (text) => text.split("\n").filter(Boolean).map((line) => JSON.parse(line));

// randomId has no need of a secure context, as crypto.randomUUID has.
export function randomId() {
  return [...crypto.getRandomValues(new Uint8Array(12))].map((b) => b.toString(16).padStart(2, "0")).join("");
}
