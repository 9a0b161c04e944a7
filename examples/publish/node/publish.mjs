// Publishes one event: node publish.mjs "hello". Node.js 18 or later, no packages.
const hub = process.env.HUB ?? "http://localhost:3000";

const response = await fetch(`${hub}/events`, {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ topic: "news", data: process.argv[2] ?? "hello from Node.js" }),
});
if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
console.log((await response.json()).id);
