import { clockTime } from "./connection.js";
import { el, oncePerFrame } from "./dom.js";
import { onLanguage } from "./i18n.js";
import { asItem, headline } from "./items.js";
import { direction, Market, signed } from "./market.js";
import { setupPage } from "./page.js";
import { drawSpark, sparkline } from "./spark.js";
import { Stream } from "./stream.js";
import texts from "./index.text.js";

const SECONDS = 61; // of the load's line
const QUOTES = 4;
const HEADLINES = 4;

const byId = (id) => document.getElementById(id);
const loads = []; // CPU percent, one a second, the newest last
const spark = sparkline();
byId("preview-load").prepend(spark);
const market = new Market();
const news = []; // the newest first

// One stream serves all previews: over HTTP/1.1 a browser has six connections a host.
const stream = new Stream("/events?topic=clock&topic=host&topic=stocks/{symbol}&topic=news&last=60&type=message&type=cpu&type=price&type=item")
  .on("message", (event) => {
    const date = new Date(event.data);
    if (isNaN(date)) return addNews(event); // the clock's are dates
    byId("preview-time").textContent = clockTime(date);
    return date.getTime();
  })
  .on("cpu", (event) => {
    const { t, total } = JSON.parse(event.data);
    byId("preview-cpu").textContent = total.toFixed(0);
    loads.push(total);
    if (loads.length > SECONDS) loads.shift();
    drawLoad();
    return t;
  })
  .on("price", (event) => {
    const data = JSON.parse(event.data);
    market.add(data);
    showQuotes();
    return data.t;
  });

stream.on("item", addNews);

function addNews(event) {
  const item = asItem(event);
  if (!item) return null;
  news.unshift(item);
  news.splice(HEADLINES);
  showNews();
  return item.t;
}

const showNews = oncePerFrame(() => {
  if (news.length > 0) byId("preview-news").replaceChildren(...news.map((item) => el("li", {}, headline(item))));
});

const drawLoad = oncePerFrame(() => drawSpark(spark, loads, { span: SECONDS, low: 0, high: 100 }));

const showQuotes = oncePerFrame(() => {
  const { movers } = market;
  byId("preview-stocks").replaceChildren(
    ...[...movers.slice(0, QUOTES / 2), ...movers.slice(2).slice(-QUOTES / 2)].map(({ symbol, price, change }) =>
      el("li", { "data-direction": direction(change) }, el("strong", {}, symbol), el("span", {}, price.toFixed(2)), el("span", {}, signed(change))),
    ),
  );
});

onLanguage(showNews);
setupPage(texts, stream);
