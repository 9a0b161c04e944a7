// The hub's public API, with the token that the user signed in with.

import { authorized, signedIn } from "./static/token.js";

const listeners = new Set();

// A Problem is what the hub answered instead: its own sentence, and the status.
export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

// onRefused hears of answers that a (better) token would change.
export const onRefused = (f) => listeners.add(f);

async function ask(path, { headers, ...options } = {}) {
  const answer = await fetch(path, { ...options, headers: authorized(headers) });
  if (answer.ok) return answer;
  const { detail, title } = await answer.json().catch(() => ({ title: answer.statusText }));
  const problem = new Problem(answer.status, detail ?? title);
  if (answer.status === 401) for (const f of listeners) f(problem);
  throw problem;
}

export async function getJSON(path) {
  return (await ask(path)).json();
}

export async function getLines(path) {
  const text = await (await ask(path)).text();
  return text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

// publish resolves to the new event's id.
export async function publish(event) {
  const answer = await ask("/events", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(event),
  });
  return (await answer.json()).id;
}

// find resolves to the retained event with an id.
export async function find(id) {
  const { event } = await getJSON(`/subscriptions?limit=1&event=${encodeURIComponent(id)}`);
  return { ...event, time: new Date(event.time) };
}

// kick ends a stream; with a duration, as in "10m", its token's subject is kept
// out meanwhile.
export function kick(id, duration) {
  const query = new URLSearchParams({ id });
  if (duration) query.set("for", duration);
  return ask(`/subscriptions?${query}`, { method: "DELETE" });
}

// streamURL is for a native EventSource, which sends no headers: in place of the
// token it has a ticket for what the token grants.
export async function streamURL(query) {
  if (!signedIn()) return `/events?${query}`;
  const { ticket } = await (await ask("/tickets", { method: "POST" })).json();
  return `/events?${query}&ticket=${encodeURIComponent(ticket)}`;
}
