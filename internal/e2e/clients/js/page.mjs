// A page with one client in it, ?client=NAME&url=URL&listener=N, that sends what
// the client sees, in order, to /saw/N.
import { clients } from "./clients.mjs";

const query = new URLSearchParams(location.search);
let sent = Promise.resolve();
const tell = (type, data = "") => {
  const body = JSON.stringify({ type, data });
  sent = sent.then(() => fetch(`/saw/${query.get("listener")}`, { method: "POST", body }));
};
try {
  await clients[query.get("client")](query.get("url"), tell);
} catch (err) {
  tell("error", String(err));
}
