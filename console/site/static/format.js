// Figures for people: three digits, binary units.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

// bytes returns ["12.3", "KiB"].
export function bytes(n) {
  let i = 0;
  while (n >= 1000 && i < UNITS.length - 1) {
    n /= 1024;
    i++;
  }
  const digits = i === 0 || n >= 100 ? 0 : n >= 10 ? 1 : 2;
  return [n.toFixed(digits), UNITS[i]];
}

// rate returns ["12.3", "KiB/s"], and a dash for what is not known.
export function rate(n) {
  if (n == null) return ["–", ""];
  const [value, unit] = bytes(n);
  return [value, `${unit}/s`];
}

export function percent(n) {
  return n == null ? ["–", ""] : [n.toFixed(n < 10 ? 1 : 0), "%"];
}

// duration of seconds, in its two largest units.
export function duration(seconds, lang) {
  const parts = [
    ["day", Math.floor(seconds / 86400)],
    ["hour", Math.floor(seconds / 3600) % 24],
    ["minute", Math.floor(seconds / 60) % 60],
    ["second", Math.floor(seconds) % 60],
  ];
  while (parts.length > 1 && parts[0][1] === 0) parts.shift();
  return parts
    .slice(0, 2)
    .map(([unit, n]) => n.toLocaleString(lang, { style: "unit", unit, unitDisplay: "long" }))
    .join(" ")
    .replace(/(\d)(?=\p{Script=Han})/gu, "$1 ");
}
