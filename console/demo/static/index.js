import { clockTime } from "./connection.js";
import { setupPage } from "./page.js";
import { Stream } from "./stream.js";
import texts from "./index.text.js";

const byId = (id) => document.getElementById(id);
const loads = []; // CPU percent, one a second, the newest last

// One stream serves both previews: over HTTP/1.1 a browser has six connections a host.
const stream = new Stream("/events?topic=clock&topic=host&since=1m")
  .on("message", (event) => {
    const date = new Date(event.data);
    byId("preview-time").textContent = clockTime(date);
    return date.getTime();
  })
  .on("cpu", (event) => {
    const { t, total } = JSON.parse(event.data);
    byId("preview-cpu").textContent = total.toFixed(0);
    loads.push(total);
    if (loads.length > 61) loads.shift();
    drawSpark();
    return t;
  });

function drawSpark() {
  const first = 61 - loads.length; // x is 0 to 60
  const points = loads.map((load, i) => `${first + i},${99 - load * 0.97}`).join(" ");
  byId("spark-line").setAttribute("points", points);
  byId("spark-area").setAttribute("points", `${first},100 ${points} 60,100`);
}

setupPage(texts, stream);
