import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { useEvents } from "./useEvents.js";

const hub = new URLSearchParams(location.search).get("hub") ?? "http://localhost:3000";

function News() {
  const { events, state } = useEvents(`${hub}/events?topic=news&last=20`);
  return (
    <>
      <h1>News</h1>
      <p id="state">{state}</p>
      <ol id="events" reversed>
        {events.toReversed().map(({ id, data }) => <li key={id}>{data}</li>)}
      </ol>
    </>
  );
}

createRoot(document.getElementById("app")).render(<StrictMode><News /></StrictMode>);
