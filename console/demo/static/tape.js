// The tape draws the last minute of a stream: one line per event, as high as its
// delay (logarithmic, 1 ms to 10 s), replayed ones pale and full height, and the
// times without a connection shaded.

const SPAN = 60_000;
const DECADES = 4;

export function drawTape(canvas, stream) {
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (width === 0) return;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);

  const style = getComputedStyle(canvas);
  const colour = (name) => style.getPropertyValue(name);
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);

  const now = Date.now();
  const x = (at) => width - ((now - at) / SPAN) * (width - 2) - 2;

  pen.fillStyle = colour("--line");
  for (let s = 10; s < 60; s += 10) pen.fillRect(x(now - s * 1000), 0, 1, height);

  pen.fillStyle = colour("--critical-soft");
  for (const { from, to } of stream.outages) {
    const left = Math.max(x(from), 0);
    pen.fillRect(left, 0, Math.max(x(to ?? now) - left, 2), height);
  }

  let column = -1;
  for (const { at, kind, delay } of stream.marks) {
    const left = Math.round(x(at));
    if (left < 0) continue;
    if (delay === null) {
      if (left === column) continue; // a replay of thousands is one line
      column = left;
      pen.fillStyle = colour("--replayed");
      pen.fillRect(left, 0, 1.5, height);
      continue;
    }
    const part = Math.min(Math.log10(Math.max(delay, 1)) / DECADES, 1);
    const tall = height * (0.12 + 0.88 * part);
    const unnamed = kind === "unnamed";
    pen.fillStyle = colour(unnamed ? "--unnamed" : "--named");
    pen.fillRect(unnamed ? left - 3 : left, height - tall, 2, tall); // side by side if together
  }
}
