// A time plot on uPlot: a fixed span that ends at the newest sample, colours from
// the stylesheet in dark and light, as wide as its place.

import uPlot from "./vendor/uplot/uPlot.esm.js";
import { oncePerFrame } from "./dom.js";

export class Plot {
  #plot;
  #data;
  #span;

  // series: [{colour: "--name", width, fill}]. format(value) labels the y axis (without .0).
  // range: [min, max], or floor: the least that the top of the axis may be.
  // marks: [{at, colour}], levels drawn across. Plots of one group share the cursor;
  // onCursor(index or null) hears where it stands.
  constructor(place, { series, format, range, floor, steps, marks = [], span = 120, height = 170, group, onCursor }) {
    this.#span = span;
    this.#data = [[], ...series.map(() => [])];
    const colour = (name) => getComputedStyle(place).getPropertyValue(name);
    const axis = {
      stroke: () => colour("--muted"),
      grid: { stroke: () => colour("--line"), width: 1 },
      ticks: { show: false },
      font: `12px ${colour("--sans")}`,
    };
    this.#plot = new uPlot(
      {
        width: Math.max(place.clientWidth, 100),
        height,
        padding: [8, 4, 0, 0],
        legend: { show: false },
        cursor: {
          y: false,
          drag: { x: false, y: false },
          points: { size: 7 },
          sync: group ? { key: group } : undefined,
        },
        scales: {
          x: { range: () => this.#xRange() },
          y: { range: range ? () => range : (_, __, max) => [0, niceTop(Math.max(max ?? 0, floor))] },
        },
        axes: [
          { ...axis, space: 70, size: 26, values: (u, at) => at.map((s) => timeLabel(s, u.scales.x, u.over.clientWidth)) },
          { ...axis, space: 38, size: 66, gap: 6, incrs: steps, values: (_, at) => at.map((v) => format(v).replace(/\.0+(?!\d)/, "")) },
        ],
        series: [{}, ...series.map((s) => line(s, colour))],
        hooks: {
          drawAxes: [(u) => drawMarks(u, marks, colour)],
          setCursor: onCursor ? [(u) => onCursor(u.cursor.idx ?? null)] : [],
        },
      },
      this.#data,
      place,
    );
    new ResizeObserver(
      oncePerFrame(() => this.#plot.setSize({ width: Math.max(place.clientWidth, 100), height })),
    ).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#plot.redraw());
  }

  // push adds a sample of Unix milliseconds, one value (or null) per series.
  // One that is not newer than the last is known already.
  push(t, values) {
    const [times, ...columns] = this.#data;
    if (t / 1000 <= times.at(-1)) return;
    times.push(t / 1000);
    columns.forEach((column, i) => column.push(values[i] ?? null));
    let old = 0;
    while (times[old] < times.at(-1) - this.#span - 2) old++;
    if (old > 0) for (const column of this.#data) column.splice(0, old);
    this.#draw();
  }

  // at is the sample at an index, or the newest: {t, values}, or null without any.
  at(index) {
    const [times, ...columns] = this.#data;
    const i = index ?? times.length - 1;
    if (times[i] === undefined) return null;
    return { t: times[i] * 1000, values: columns.map((column) => column[i]) };
  }

  #draw = oncePerFrame(() => this.#plot.setData(this.#data));

  #xRange() {
    const end = this.#data[0].at(-1) ?? Date.now() / 1000;
    return [end - this.#span, end];
  }
}

function line({ colour: name, width = 2, fill = 0 }, colour) {
  return {
    width,
    points: { show: false },
    stroke: () => colour(name),
    fill: fill ? () => `color-mix(in srgb, ${colour(name)} ${fill * 100}%, transparent)` : undefined,
  };
}

function drawMarks(u, marks, colour) {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.setLineDash([5 * devicePixelRatio, 5 * devicePixelRatio]);
  ctx.lineWidth = devicePixelRatio;
  for (const { at, colour: name } of marks) {
    const y = Math.round(u.valToPos(at, "y", true));
    ctx.strokeStyle = colour(name);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
  }
  ctx.restore();
}

// niceTop is the least of 1, 2, 4, 8 … that leaves a little room above max.
function niceTop(max) {
  return 2 ** Math.ceil(Math.log2(max * 1.08));
}

// timeLabel leaves out what would not fit at the edges of a plot of that width.
function timeLabel(seconds, { min, max }, width) {
  const margin = (max - min) * Math.max(0.08, 30 / width);
  return seconds < min + margin || seconds > max - margin ? "" : new Date(seconds * 1000).toLocaleTimeString("en-GB");
}
