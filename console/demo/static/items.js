// News: events of type `item`, and unnamed ones, whose data is the title.

import { language } from "./i18n.js";

const DATE = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/; // what the clock's unnamed events are

// asItem reads an event; of what anybody may publish, it takes what is a title.
export function asItem({ type, data }) {
  if (type === "message") return data.trim() && !DATE.test(data) ? { title: data, t: null, source: "" } : null;
  try {
    const { title, title_zh, summary, link, source, t } = JSON.parse(data);
    if (typeof title !== "string" || !title.trim()) return null;
    const web = typeof link === "string" && /^https?:\/\//.test(link);
    return { title, title_zh, summary: summary ? String(summary) : "", link: web ? link : "", source: String(source ?? ""), t: Number(t) || null };
  } catch {
    return null;
  }
}

// headline is the title in the page's language, if it has one.
export function headline({ title, title_zh: chinese }) {
  return language() === "zh" && typeof chinese === "string" ? chinese : title;
}
