// Functions become a component that counts.

import { Change } from "./change.js";
import { Component } from "./component.js";
import { measures } from "./measures.js";
import { reason } from "./place.js";
import { document, WindowRow } from "./window.js";

export class Aggregate extends Component {
  world = "aggregate";
  #measure;
  #render;

  constructor(measure, { settings, render = document }) {
    if (typeof measure !== "function" || typeof render !== "function") {
      throw new TypeError("aggregate(…) takes a function of a change and the settings, and `render` is one of a row and the settings");
    }
    super(settings);
    this.#measure = measure;
    this.#render = render;
  }

  measure(changes) {
    const measurements = [];
    const f = this.#measure;
    for (let change = 0; change < changes.length; change++) {
      if (changes[change].operation === "delete") {
        continue;
      }
      try {
        for (const val of measures(f(new Change(changes[change]), this.settings))) {
          measurements.push({ change, measured: { tag: "counts", val } });
        }
      } catch (error) {
        measurements.push({ change, measured: { tag: "reject", val: reason(error) } });
      }
    }
    return measurements;
  }

  render(rows) {
    const f = this.#render;
    return this.outputs(rows, (row) => f(new WindowRow(row), this.settings));
  }
}

export function aggregate(measure, options = {}) {
  return new Aggregate(measure, options);
}
