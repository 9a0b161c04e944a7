// node js/node.mjs CLIENT URL prints what the client sees, as JSON lines.
import { clients } from "./clients.mjs";

const [name, url] = process.argv.slice(2);
const tell = (type, data = "") => console.log(JSON.stringify({ type, data }));
await clients[name](url, tell);
setInterval(() => {}, 60_000); // a client that has given up does not end the program
