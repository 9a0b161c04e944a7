// Loaded before a server, this prints how many timers keep the process alive, for
// each line of input.
"use strict";
process.stdin.on("data", () => {
  const timers = process.getActiveResourcesInfo().filter((name) => name === "Timeout");
  console.log(`timers: ${timers.length};`);
});
