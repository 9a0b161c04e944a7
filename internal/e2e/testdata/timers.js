// Loaded before a server, this tells on each line of input how many timers keep
// the process busy.
"use strict";
process.stdin.on("data", () => {
  const timers = process.getActiveResourcesInfo().filter((name) => name === "Timeout");
  console.log(`timers: ${timers.length};`);
});
