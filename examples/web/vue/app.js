import { createApp } from "vue";
import { useEvents } from "./useEvents.js";

const hub = new URLSearchParams(location.search).get("hub") ?? "http://localhost:3000";

createApp({
  setup: () => useEvents(`${hub}/events?topic=news&last=20`),
  template: `
    <h1>News</h1>
    <p id="state">{{ state }}</p>
    <ol id="events" reversed>
      <li v-for="{ id, data } in events.toReversed()" :key="id">{{ data }}</li>
    </ol>
  `,
}).mount("#app");
