// The last twenty events on the topic news, then what comes. ?hub= names the hub.
const hub = new URLSearchParams(location.search).get("hub") ?? "http://localhost:3000";
const source = new EventSource(`${hub}/events?topic=news&last=20`);
const show = () => (document.getElementById("state").textContent = ["connecting", "open", "closed"][source.readyState]);

source.onopen = show;
source.onerror = show; // "connecting": the browser comes back by itself, and misses nothing

source.onmessage = (event) => {
  const row = document.createElement("li");
  row.textContent = event.data;
  document.getElementById("events").prepend(row);
};

// What was missed is no longer retained: only a fresh start is complete.
source.addEventListener("gap", () => location.reload());

// A page that is left may live on for the back button, and its connection with it.
addEventListener("pagehide", () => source.close());
addEventListener("pageshow", (event) => event.persisted && location.reload());
