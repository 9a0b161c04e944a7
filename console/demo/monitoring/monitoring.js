import { bytes, duration, percent, rate } from "../static/format.js";
import { language, onLanguage, t } from "../static/i18n.js";
import { setupPage } from "../static/page.js";
import { Stream } from "../static/stream.js";
import { addAlarm, forgetStanding } from "./alarms.js";
import { Meter } from "./meter.js";
import { watchOutages } from "./outage.js";
import texts from "./text.js";

const SPAN = 120; // seconds
const BINARY_STEPS = Array.from({ length: 45 }, (_, i) => 2 ** i);
const latest = {}; // the newest data of each type

// Opened again within the span, the page wants only what it missed.
function url(stream) {
  const resume = stream.lastId && Date.now() - stream.lastEventAt < SPAN * 1000;
  return `/events?topic=host&${resume ? `last_event_id=${encodeURIComponent(stream.lastId)}` : "since=2m"}`;
}

const meters = {
  memory: new Meter("memory", {
    readouts: [
      { name: "memory.used", colour: "1", index: 0, id: "memory-value" },
      { name: "memory.swap", colour: "3", index: 1 },
    ],
    series: [{ colour: "--series-1", fill: 0.14 }, { colour: "--series-3" }],
    format: percent,
    range: [0, 100],
    marks: [{ at: 90, colour: "--warning" }],
  }),
  disk: new Meter("disk", {
    readouts: [
      { name: "disk.read", colour: "1", index: 0 },
      { name: "disk.write", colour: "2", index: 1, id: "disk-value" },
    ],
    series: [{ colour: "--series-1", fill: 0.1 }, { colour: "--series-2", fill: 0.1 }],
    format: rate,
    floor: 64 * 1024,
    steps: BINARY_STEPS,
  }),
  network: new Meter("network", {
    readouts: [
      { name: "network.rx", colour: "1", index: 0, id: "network-value" },
      { name: "network.tx", colour: "2", index: 1 },
      { name: "network.loopback", colour: "3", index: 2 },
    ],
    series: [{ colour: "--series-1", fill: 0.1 }, { colour: "--series-2", fill: 0.1 }, { colour: "--series-3", width: 1.5 }],
    format: rate,
    floor: 4 * 1024,
    steps: BINARY_STEPS,
  }),
};

// How many cores there are is known with the first event.
function cpuMeter(cores) {
  return new Meter("cpu", {
    readouts: [
      { name: "cpu.total", colour: "1", value: (values) => values.at(-1), id: "cpu-value" },
      { name: "cpu.core", colour: "faint", value: (values) => Math.max(...values.slice(0, -1)) },
    ],
    series: [...cores.map(() => ({ colour: "--series-faint", width: 1 })), { colour: "--series-1", fill: 0.14 }],
    format: percent,
    range: [0, 100],
    marks: [{ at: 85, colour: "--warning" }],
  });
}

const handlers = {
  cpu(data) {
    meters.cpu ??= cpuMeter(data.cores);
    meters.cpu.push(data.t, [...data.cores, data.total]);
  },
  memory(data) {
    meters.memory.push(data.t, [data.percent, data.swap_total ? (100 * data.swap_used) / data.swap_total : null]);
  },
  disk(data) {
    meters.disk.push(data.t, [data.read, data.write]);
  },
  network(data) {
    meters.network.push(data.t, [data.rx, data.tx, data.loopback]);
  },
};

const stream = new Stream(url);
for (const [type, handle] of Object.entries(handlers)) {
  stream.on(type, (event) => {
    const data = (latest[type] = JSON.parse(event.data));
    handle(data);
    showNotes();
    return data.t;
  });
}
stream.on("alarm", (event) => {
  const alarm = JSON.parse(event.data);
  addAlarm(alarm);
  return alarm.t;
});
stream.onGap(forgetStanding);

function showNotes() {
  const { cpu, memory, disk } = latest;
  const size = (n) => bytes(n).join(" ");
  if (cpu) {
    meters.cpu.note(
      t("cpu.note", {
        cores: cpu.cores.length,
        load: cpu.load ? t("cpu.load", { load: cpu.load.map((l) => l.toFixed(2)).join(" ") }) : "",
        uptime: duration(cpu.uptime, language()),
      }),
    );
  }
  if (memory) {
    const { used, total, available } = memory;
    meters.memory.note(t("memory.note", { used: size(used), total: size(total), available: size(available) }));
  }
  if (disk) {
    meters.disk.note(t("disk.note", { used: size(disk.used), total: size(disk.total), percent: disk.percent }));
  }
  meters.network.note(t("network.note"));
}

watchOutages(stream);
setupPage(texts, stream);
onLanguage(showNotes);
