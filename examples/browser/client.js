"use strict";

// A native EventSource and all that it does. Any server will do: ?server=URL
// names it, else it is the one on port 3000.
const url = new URLSearchParams(location.search).get("server") ?? "http://localhost:3000/";

const ROWS = 100; // a page that runs for days must not keep every event
const byId = (id) => document.getElementById(id);
let source = null;

function open() {
  if (source && source.readyState !== EventSource.CLOSED) return;
  // withCredentials sends cookies to another origin, too. The server has to name
  // this page's origin then, and allow credentials; without need, leave it out.
  source = new EventSource(url, { withCredentials: true });
  showState();

  source.onopen = showState; // each time, also after a reconnection
  source.onmessage = show; // events without a type
  source.addEventListener("fifth", show); // events of that type, which onmessage does not hear

  source.onerror = () => {
    showState();
    // The event itself says nothing. What tells is the state: CONNECTING means
    // that the browser tries again, by itself and from the last event's id;
    // CLOSED that it has given up, for good.
    byId("problem").textContent =
      source.readyState === EventSource.CONNECTING
        ? "The connection was lost. The browser reconnects by itself."
        : "The server refused, or ended the stream. Nothing happens until it is opened again.";
  };
}

function close() {
  source?.close(); // fires no event
  showState();
}

function show(event) {
  const row = document.createElement("li");
  row.dataset.id = event.lastEventId;
  row.dataset.type = event.type;
  row.textContent = `${event.type}: ${event.data}`; // never innerHTML: data is anybody's text
  byId("events").prepend(row);
  if (byId("events").childElementCount > ROWS) byId("events").lastElementChild.remove();
}

function showState() {
  const state = ["connecting", "open", "closed"][source?.readyState ?? 2];
  byId("state").textContent = state;
  byId("open").disabled = state !== "closed";
  byId("close").disabled = state === "closed";
  if (state === "open") byId("problem").textContent = "";
}

if ("EventSource" in window) {
  byId("open").addEventListener("click", open);
  byId("close").addEventListener("click", close);
  // A page that is left may live on in the back/forward cache, and its stream with
  // it, which over HTTP/1.1 is one of the six connections that the browser has for
  // this server. So let go of it, and take it up again on return.
  let left = false;
  addEventListener("pagehide", () => {
    left = source?.readyState !== EventSource.CLOSED;
    close();
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted && left) open();
  });
  open();
} else {
  byId("problem").textContent = "This browser has no EventSource. Every current one does.";
}
