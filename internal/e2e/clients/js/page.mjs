// A page that runs one client, ?client=NAME&url=URL&listener=N, and posts the events
// that the client gets to /saw/N, in order.
import { clients } from "./clients.mjs";

const query = new URLSearchParams(location.search);
let sent = Promise.resolve();
const saw = (type, data = "") => {
  const body = JSON.stringify({ type, data });
  sent = sent.then(() => fetch(`/saw/${query.get("listener")}`, { method: "POST", body }));
};
try {
  await clients[query.get("client")](query.get("url"), saw);
} catch (err) {
  saw("error", String(err));
}
