// News: events of type `item`, and unnamed ones, whose data is the title.

import { language } from "./i18n.js";

const DATE = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/; // what the clock's unnamed events are

// asItem reads an event; of what anybody may publish, it takes what is a title.
export function asItem({ type, data }) {
  if (type === "message") return data.trim() && !DATE.test(data) ? { title: data, t: null, source: "" } : null;
  try {
    const { title, title_zh, summary, link, source, source_zh, t } = JSON.parse(data);
    if (typeof title !== "string" || !title.trim()) return null;
    const web = typeof link === "string" && /^https?:\/\//.test(link);
    return { title, title_zh, source_zh, summary: summary ? String(summary) : "", link: web ? link : "", source: String(source ?? ""), t: Number(t) || null };
  } catch {
    return null;
  }
}

// headline and sourceOf are in the page's language, if an item has it.
export const headline = (item) => inLanguage(item.title, item.title_zh);
export const sourceOf = (item) => inLanguage(item.source, item.source_zh);

function inLanguage(english, chinese) {
  return language() === "zh" && typeof chinese === "string" ? chinese : english;
}
