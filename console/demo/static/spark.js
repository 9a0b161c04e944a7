// A sparkline: an SVG with a polyline, and a polygon below it if it has one.
// It is 100 wide and high and stretched to its place.

const SVG = "http://www.w3.org/2000/svg";

// sparkline makes one, decorative: what it says is said in figures beside it.
export function sparkline() {
  const node = document.createElementNS(SVG, "svg");
  for (const [name, value] of Object.entries({ class: "spark", viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" })) {
    node.setAttribute(name, value);
  }
  node.append(document.createElementNS(SVG, "polygon"), document.createElementNS(SVG, "polyline"));
  return node;
}

// drawSpark draws values at the right of span places, between low and high; by
// default, what they reach.
export function drawSpark(node, values, { span = values.length, low = Math.min(...values), high = Math.max(...values) } = {}) {
  const height = high - low || 1;
  const step = 100 / Math.max(span - 1, 1);
  const first = 100 - step * (values.length - 1);
  const points = values.map((v, i) => `${(first + i * step).toFixed(2)},${(98 - ((v - low) / height) * 96).toFixed(2)}`).join(" ");
  node.querySelector("polyline").setAttribute("points", points);
  node.querySelector("polygon")?.setAttribute("points", values.length ? `${first},100 ${points} 100,100` : "");
}
