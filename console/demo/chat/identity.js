// Who one is in the chat: per tab, so that two tabs are two people, and kept
// over a reload.

import { randomId } from "../static/hub.js";
import { language } from "../static/i18n.js";

const NAMES = {
  en: ["Heron", "Otter", "Lynx", "Wren", "Badger", "Swift", "Marten", "Curlew", "Hare", "Osprey", "Newt", "Finch"],
  zh: ["白鹭", "水獭", "猞猁", "鹪鹩", "獾", "雨燕", "貂", "杓鹬", "野兔", "鱼鹰", "蝾螈", "雀"],
};

export const me = { id: recall("id") ?? randomId(), name: recall("name") ?? anyName() };
keep();

export function rename(name) {
  me.name = name.trim().slice(0, 40) || me.name;
  keep();
}

// renew makes somebody else of a duplicated tab.
export function renew() {
  Object.assign(me, { id: randomId(), name: anyName() });
  keep();
}

function anyName() {
  const names = NAMES[language()];
  return `${names[Math.floor(Math.random() * names.length)]} ${Math.floor(10 + Math.random() * 90)}`;
}

function recall(what) {
  try {
    return sessionStorage.getItem(`tidings.chat.${what}`);
  } catch {
    return null; // storage may be forbidden
  }
}

function keep() {
  try {
    for (const [what, value] of Object.entries(me)) sessionStorage.setItem(`tidings.chat.${what}`, value);
  } catch {
    // not kept
  }
}
