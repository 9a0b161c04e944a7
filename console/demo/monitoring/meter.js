// A meter is one card: large readouts, which follow the cursor, above a plot.

import { clockTime } from "../static/connection.js";
import { el, setText } from "../static/dom.js";
import { translateAll } from "../static/i18n.js";
import { Plot } from "../static/plot.js";

const byId = (id) => document.getElementById(id);

export class Meter {
  #id;
  #readouts;
  #plot;
  #format;
  #index = null;

  // readouts: [{name, colour, index, id}], name being a text's, index the series shown,
  // or value(values) to compute it. format(value) returns [figure, unit].
  constructor(id, { readouts, format, ...plot }) {
    this.#id = id;
    this.#format = format;
    this.#readouts = readouts.map((r) => ({
      ...r,
      figure: el("span", { class: "figure" }),
      unit: el("small"),
    }));
    byId(`${id}-readouts`).append(
      ...this.#readouts.map((r) => {
        const swatch = r.colour ? [el("i", { class: "swatch", "data-colour": r.colour })] : [];
        const label = el("span", { "data-i18n": r.name });
        return el("div", {}, el("dt", {}, ...swatch, label), el("dd", { id: r.id }, r.figure, " ", r.unit));
      }),
    );
    translateAll(byId(`${id}-readouts`));
    this.#plot = new Plot(byId(`${id}-plot`), {
      ...plot,
      format: (value) => format(value).join(" "),
      group: "host",
      onCursor: (index) => {
        this.#index = index;
        this.#show();
      },
    });
    this.#show();
  }

  push(t, values) {
    this.#plot.push(t, values);
    if (this.#index === null) this.#show();
  }

  note(text) {
    setText(byId(`${this.#id}-note`), text);
  }

  #show() {
    const sample = this.#plot?.at(this.#index);
    setText(byId(`${this.#id}-moment`), sample ? clockTime(new Date(sample.t)) : "");
    for (const r of this.#readouts) {
      const value = sample && (r.value ? r.value(sample.values) : sample.values[r.index]);
      const [figure, unit] = this.#format(value);
      setText(r.figure, figure);
      setText(r.unit, unit);
    }
  }
}
