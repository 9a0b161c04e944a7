// node js/node.mjs CLIENT URL prints the events that the client gets, as JSON lines.
import { clients } from "./clients.mjs";

const [name, url] = process.argv.slice(2);
const saw = (type, data = "") => console.log(JSON.stringify({ type, data }));
await clients[name](url, saw);
setInterval(() => {}, 60_000); // keeps the program running when the client gives up
